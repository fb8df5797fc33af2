"""`phoenix95 status`: is it well, what has it done, what does it hold?"""

from typing import Any, Final

import msgspec
import typer
from rich.text import Text

from phoenix95.cli.gateway import DATA_DEFAULT, find_gateway
from phoenix95.cli.options import AsJson, Data, Url
from phoenix95.cli.show import BAD, GOOD, add_row, age, amount, cell, make_console, print_json, side, table

EXIT_UNHEALTHY: Final = 1


class Component(msgspec.Struct):
    """One part of the system; `reason` says why it is not well."""

    healthy: bool
    reason: str | None = None
    progress_age_ms: int | None = None


class Health(msgspec.Struct):
    """The gateway's verdict."""

    status: str
    components: dict[str, Component] = {}


class Info(msgspec.Struct):
    """What runs there, and what it has done."""

    version: str = ""
    mode: str = ""
    symbols: tuple[str, ...] = ()
    uptime_s: float = 0.0
    equity: str | None = None
    counts: dict[str, Any] = {}


class Position(msgspec.Struct):
    """What is held in a symbol."""

    symbol: str
    side: str = ""
    size: str = ""
    entry_price: str = ""
    current_price: str | None = None
    unrealized_pnl: str | None = None
    stop_loss: str | None = None
    take_profit: str | None = None
    protected: bool | None = None


class Portfolio(msgspec.Struct):
    """The account as last reconciled, and what is held now."""

    balance: dict[str, Any] | None = None
    active_positions: tuple[Position, ...] = ()


class Restriction(msgspec.Struct):
    """The control mode of the account or of a symbol."""

    scope: str
    mode: str
    reason: str = ""
    changed_by: str = ""


class Control(msgspec.Struct):
    """What the executor may do."""

    modes: tuple[Restriction, ...] = ()


class _Report(msgspec.Struct, kw_only=True):
    url: str
    health: Health
    info: Info | None
    portfolio: Portfolio | None
    control: Control | None


def status(*, url: Url = None, data: Data = DATA_DEFAULT, as_json: AsJson = False) -> None:
    """Show the health of each part, halts, what was done so far and what is held. Exit 1 when not healthy."""
    gateway = find_gateway(url, data)
    # 503 carries the same report: it says who is not well. Figures are asked for only while they can be had.
    health = gateway.get("/health", Health, also=(503,))
    healthy = health.status == "healthy"
    postgres = health.components.get("postgres")
    askable = healthy or (postgres is not None and postgres.healthy)
    report = _Report(
        url=gateway.url,
        health=health,
        info=gateway.get("/api/info", Info) if askable else None,
        portfolio=gateway.get("/api/portfolio", Portfolio) if askable else None,
        control=gateway.get("/api/control", Control) if askable else None,
    )
    if as_json:
        print_json(report)
    else:
        _print(report)
    if not healthy:
        raise typer.Exit(EXIT_UNHEALTHY)


def state_of(component: Component) -> Text:
    """Well, or why not."""
    return cell("well", GOOD) if component.healthy else cell(component.reason or "not well", BAD)


def _print(report: _Report) -> None:
    console = make_console()
    info = report.info or Info()
    verdict = cell(report.health.status, "bold green" if report.health.status == "healthy" else "bold red")
    console.print(Text("  ").join((verdict, cell(report.url), cell(f"{info.version} {info.mode}".strip()))))
    restricted = [one for one in (report.control or Control()).modes if one.mode != "RUN"]
    if restricted:
        modes = table("entries are stopped in", "mode", "by", "why")
        for one in restricted:
            add_row(modes, (one.scope, cell(one.mode, BAD), one.changed_by, one.reason))
        console.print(modes)
    components = table("component", "state", "last progress")
    for name, component in report.health.components.items():
        ago = component.progress_age_ms
        add_row(components, (name, state_of(component), "" if ago is None else f"{age(ago)} ago"))
    console.print(components)
    if report.info is not None:
        done = table("what", "how many", numbers=("how many",))
        add_row(done, ("equity", amount(info.equity)))
        for name, count in info.counts.items():
            add_row(done, (name.replace("_", " "), count))
        console.print(done)
    if report.portfolio is not None and report.portfolio.active_positions:
        held = table("symbol", "side", "size", "entry", "stop", "target", title="positions")
        for each in report.portfolio.active_positions:
            add_row(held, (each.symbol, side(each.side), each.size, each.entry_price, each.stop_loss, each.take_profit))
        console.print(held)
