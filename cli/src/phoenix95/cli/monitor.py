"""`phoenix95 monitor`: everything on one live screen."""

import time
from typing import Annotated

import msgspec
import typer
from rich.live import Live

from phoenix95.cli.gateway import DATA_DEFAULT, Gateway, find_gateway
from phoenix95.cli.look import Seen, look
from phoenix95.cli.options import AsJson, Data, Url
from phoenix95.cli.screen import screen
from phoenix95.cli.show import make_console, print_json
from phoenix95.cli.status import Health
from phoenix95.common.errors import TransientError


def monitor(
    *,
    interval: Annotated[float, typer.Option(min=0.2, help="seconds between two looks")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="look once; so it is too when nobody sees it live")] = False,
    url: Url = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show prices, positions, decisions, services, the machine and alerts, live, until Ctrl-C."""
    gateway, console = find_gateway(url, data), make_console()
    seen = look(gateway)
    if as_json:
        print_json(seen)
        return
    if once or not console.is_terminal:
        console.print(screen(seen, console.width))
        return
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(screen(seen, console.width, console.height), refresh=True)
                time.sleep(interval)
                seen = _look_again(gateway, seen)
    except KeyboardInterrupt:
        raise typer.Exit from None  # that is how it is ended


def _look_again(gateway: Gateway, last: Seen) -> Seen:
    """While the gateway is away the last look stays, and says so."""
    try:
        return look(gateway)
    except TransientError as error:
        return msgspec.structs.replace(last, missing=str(error), health=Health(status="unknown"))
