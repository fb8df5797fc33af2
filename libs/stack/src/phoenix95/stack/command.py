"""The command `phoenix95 up`."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from phoenix95.common.errors import ConfigError
from phoenix95.stack.options import Options, read_options

DATA_DEFAULT: Final = Path(".p95")
EXIT_CONFIG: Final = 2


def up(
    *,
    source: Annotated[
        str | None,
        typer.Option(help="synthetic[:seed] or recorded:FILE[,FILE...]; default: as last time, at first synthetic"),
    ] = None,
    speed: Annotated[float, typer.Option(help="how many times faster than the clock the market's time passes")] = 1.0,
    run_for: Annotated[str | None, typer.Option("--for", help="stop after a duration, like 90s, 5m or 1h30m")] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="stop when the recording is played and done")] = False,
    profile: Annotated[str, typer.Option(help="a named set of settings, or a TOML file")] = "default",
    data: Annotated[Path, typer.Option(help="the folder that everything is written to")] = DATA_DEFAULT,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget what is in the data folder")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one summary object at the end")] = False,
) -> None:
    """Run the whole system on this machine: Redis, Postgres, a paper exchange and the services."""
    try:
        options = read_options(
            data=data,
            source=source,
            speed=speed,
            run_for=run_for,
            until_end=until_end,
            profile=profile,
            fresh=fresh,
            as_json=as_json,
        )
        code = _run(options)
    except ConfigError as error:
        sys.stderr.write(f"phoenix95 up: {error}\n")
        code = EXIT_CONFIG
    raise typer.Exit(code)


def _run(options: Options) -> int:
    # Imported here: the other commands shall not wait for Redis' driver and the rest.
    from rich.console import Console

    from phoenix95.stack.screen import Screen
    from phoenix95.stack.supervise import encode_summary, supervise

    screen = Screen(Console(stderr=options.as_json))
    code, summary = asyncio.run(supervise(options, os.environ, screen))
    if options.as_json and summary is not None:
        sys.stdout.write(encode_summary(summary) + "\n")
        sys.stdout.flush()
    return code
