"""`phoenix95 status`: is it well, what has it done, what does it hold?"""

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from phoenix95.cli.gateway import DATA_DEFAULT, find_gateway

EXIT_UNHEALTHY: Final = 1


class _Component(msgspec.Struct):
    healthy: bool
    reason: str | None = None
    progress_age_ms: int | None = None


class _Health(msgspec.Struct):
    status: str
    components: dict[str, _Component] = {}


class _Info(msgspec.Struct):
    version: str = ""
    mode: str = ""
    symbols: tuple[str, ...] = ()
    uptime_s: float = 0.0
    equity: str | None = None
    counts: dict[str, Any] = {}


class _Position(msgspec.Struct):
    symbol: str
    side: str = ""
    size: str = ""
    entry_price: str = ""
    stop_loss: str | None = None
    take_profit: str | None = None


class _Portfolio(msgspec.Struct):
    active_positions: tuple[_Position, ...] = ()


class _Report(msgspec.Struct, kw_only=True):
    url: str
    health: _Health
    info: _Info | None
    portfolio: _Portfolio | None


def status(
    *,
    url: Annotated[str | None, typer.Option(help="the gateway's address; else P95_GATEWAY_URL, else --data")] = None,
    data: Annotated[Path, typer.Option(help="the data folder of a system that runs on this machine")] = DATA_DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Show the health of each component, what was done so far, and what is held. Exit 1 when not healthy."""
    gateway = find_gateway(url, data)
    # 503 carries the same report: it says who is not well. Figures are asked for only while they can be had.
    health = gateway.get("/health", _Health, also=(503,))
    healthy = health.status == "healthy"
    postgres = health.components.get("postgres")
    askable = healthy or (postgres is not None and postgres.healthy)
    report = _Report(
        url=gateway.url,
        health=health,
        info=gateway.get("/api/info", _Info) if askable else None,
        portfolio=gateway.get("/api/portfolio", _Portfolio) if askable else None,
    )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        _print(report)
    if not healthy:
        raise typer.Exit(EXIT_UNHEALTHY)


def _print(report: _Report) -> None:
    console = Console()
    info = report.info or _Info()
    console.print(f"[bold]{report.health.status}[/bold]  {report.url}  {info.version} {info.mode}", highlight=False)
    components = Table("component", "state", "last progress")
    for name, component in report.health.components.items():
        age = component.progress_age_ms
        state = "[green]well[/green]" if component.healthy else f"[red]{component.reason or 'not well'}[/red]"
        components.add_row(name, state, "" if age is None else f"{age / 1000:.1f} s ago")
    console.print(components)
    if report.info is not None:
        done = Table("equity", *info.counts)
        done.add_row(info.equity or "-", *(str(count) for count in info.counts.values()))
        console.print(done)
    if report.portfolio is not None and report.portfolio.active_positions:
        held = Table("symbol", "side", "size", "entry", "stop", "target", title="positions")
        for each in report.portfolio.active_positions:
            held.add_row(
                each.symbol, each.side, each.size, each.entry_price, each.stop_loss or "-", each.take_profit or "-"
            )
        console.print(held)
