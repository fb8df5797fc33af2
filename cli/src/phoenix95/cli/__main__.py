"""The command `phoenix95`: its own commands, and those that members register by entry point."""

import os
import sys
from importlib.metadata import entry_points, version
from typing import Annotated, Final

import typer

from phoenix95.cli.analyze import analyze
from phoenix95.cli.close import close
from phoenix95.cli.control import flatten, halt, resume
from phoenix95.cli.market import feed, price, subscribe, unsubscribe
from phoenix95.cli.metrics import metrics
from phoenix95.cli.monitor import monitor
from phoenix95.cli.status import status
from phoenix95.cli.tail import tail
from phoenix95.cli.trade import trade
from phoenix95.cli.trades import trades
from phoenix95.cli.why import why
from phoenix95.common.errors import ConfigError, Phoenix95Error

COMMANDS: Final = "phoenix95.commands"
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 2
# Typer brings a Click of its own or takes the installed one, by its version: this is the right one in both.
USAGE_ERROR: Final[type[typer.BadParameter]] = typer.BadParameter.__bases__[0]
OWN: Final = (
    status,
    analyze,
    trade,
    close,
    halt,
    resume,
    flatten,
    metrics,
    monitor,
    price,
    feed,
    subscribe,
    unsubscribe,
    tail,
    why,
    trades,
)


def make_app() -> typer.Typer:
    """All commands of this installation."""
    app = typer.Typer(
        name="phoenix95",
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Event-driven trading of Binance USD-M futures: run the system, look at it.",
    )
    app.callback()(_options)
    for command in OWN:
        app.command(command.__name__)(command)
    for found in sorted(entry_points(group=COMMANDS), key=lambda each: each.name):
        app.command(found.name)(found.load())
    return app


def main() -> None:
    """Run one command. What a user can cause ends in one line, not in a traceback."""
    try:
        code = make_app()(sys.argv[1:] or ["--help"], standalone_mode=False)
    except Phoenix95Error as error:
        sys.stderr.write(f"phoenix95: {error}\n")
        sys.exit(EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_FAILED)
    except USAGE_ERROR as error:
        sys.stderr.write(f"phoenix95: {' '.join(error.format_message().split())} (--help tells more)\n")
        sys.exit(EXIT_CONFIG)
    except typer.Abort:
        sys.stderr.write("phoenix95: given up\n")
        sys.exit(EXIT_FAILED)
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter must not fail again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    sys.exit(code if isinstance(code, int) else 0)


def _options(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda asked: _version(asked), help="print the version")
    ] = False,
) -> None:
    """Event-driven trading of Binance USD-M futures: run the system, look at it."""


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"phoenix95 {version('phoenix95-cli')}")
        raise typer.Exit


if __name__ == "__main__":
    main()
