"""What `phoenix95 monitor` shows, drawn from one look: two panels beside each other where there is room."""

from typing import Any, Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from phoenix95.cli.look import Decision, Seen
from phoenix95.cli.metrics import host_facts
from phoenix95.cli.show import (
    BAD,
    GOOD,
    QUIET,
    add_row,
    age,
    amount,
    cell,
    clock,
    framed,
    percent,
    severity,
    side,
    table,
)
from phoenix95.cli.status import state_of

WIDE: Final = 100  # columns from which on two panels stand beside each other
REASON_ROWS_MIN: Final = 4
ROWS_PIPED: Final = 12
ALERT_ROWS: Final = 5
MODES: Final = {"paper": "bold black on yellow", "testnet": "bold black on cyan", "live": "bold white on red"}


def screen(seen: Seen, width: int, height: int | None = None) -> RenderableType:
    """All panels; with a `height` there are as many decisions as fit on it."""
    market, state = _market(seen), _state(seen)
    alerts = _alerts(seen)
    upper = _beside(market, state) if width >= WIDE else Group(market, state)
    held = _positions(seen, narrow=width < WIDE)
    parts: list[RenderableType] = [_head(seen), upper, *([held] if held else [])]
    rows = ROWS_PIPED
    if height is not None:
        symbols = 0 if seen.feed is None else len(seen.feed.symbols)
        taken = max(symbols + 5, len(seen.health.components) + 6) if width >= WIDE else symbols + 5
        positions = 0 if seen.portfolio is None else len(seen.portfolio.active_positions)
        taken += 3 + (positions + 5 if positions else 0) + min(len(seen.alerts), ALERT_ROWS) + 3 + 5
        rows = max(REASON_ROWS_MIN, height - taken)
    return Group(*parts, _decisions(seen, rows, narrow=width < WIDE), *([alerts] if alerts else []))


def _beside(left: RenderableType, right: RenderableType) -> Table:
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1)
    grid.add_column(ratio=1)
    grid.add_row(left, right)
    return grid


def _head(seen: Seen) -> Panel:
    mode = seen.info.mode if seen.info else "?"
    well = seen.health.status == "healthy"
    balance: dict[str, Any] = (seen.portfolio.balance if seen.portfolio else None) or {}
    gap = "   "
    line = Text.assemble(
        ("Phoenix 95 ", "bold"),
        (f" {mode.upper()} ", MODES.get(mode, "bold reverse")),
        gap,
        (seen.health.status, f"bold {GOOD if well else BAD}"),
        (f"{gap}equity ", QUIET),
        amount(seen.info.equity if seen.info else None),
        (f"{gap}today ", QUIET),
        amount(balance.get("daily_pnl")),
        (f"{gap}{clock(seen.wall_ms)} UTC", QUIET),
        (f"{gap}Ctrl-C ends", QUIET),
    )
    content: RenderableType = line
    if seen.missing:
        content = Group(line, cell(seen.missing, "yellow"))
    return framed(content, seen.url, "" if well else BAD)


def _market(seen: Seen) -> Panel:
    figures = seen.metrics.symbols if seen.metrics else {}
    rows = table("symbol", "price", "age", "ticks/s", "lag", numbers=("price", "age", "ticks/s", "lag"))
    for each in seen.feed.symbols if seen.feed else ():
        figure = figures.get(each.symbol)
        lag = None if figure is None or figure.lag_ms is None else f"{figure.lag_ms} ms"
        add_row(rows, (each.symbol, each.price, age(each.age_ms), each.ticks_per_s, lag))
    title = "market"
    if seen.feed and not seen.feed.connected:
        title = f"market: not connected, {seen.feed.reason}"
    return framed(rows, title, BAD if seen.feed and not seen.feed.connected else "")


def _state(seen: Seen) -> Panel:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, component in seen.health.components.items():
        ago = component.progress_age_ms
        state = state_of(component)
        if ago is not None:
            state.append(f"  {age(ago)} ago", style=QUIET)
        grid.add_row(name, state)
    for fact, value in host_facts(seen.metrics.host) if seen.metrics and seen.metrics.host else ():
        grid.add_row(cell(fact, QUIET), cell(value))
    return framed(grid, "services and machine")


def _positions(seen: Seen, *, narrow: bool) -> Panel | None:
    held = seen.portfolio.active_positions if seen.portfolio else ()
    if not held:
        return None
    columns = ("symbol", "side", "size", "entry", "now", "result", "stop", "target", "protected")
    shown = tuple(name for name in columns if not narrow or name in ("symbol", "side", "result", "stop"))
    rows = table(*shown, numbers=("size", "entry", "now", "result", "stop", "target"))
    for each in held:
        values = {
            "symbol": each.symbol,
            "side": side(each.side),
            "size": each.size,
            "entry": each.entry_price,
            "now": each.current_price,
            "result": amount(each.unrealized_pnl),
            "stop": each.stop_loss,
            "target": each.take_profit,
            "protected": cell("yes", GOOD) if each.protected else cell("no", BAD),
        }
        add_row(rows, tuple(values[name] for name in shown))
    return framed(rows, f"positions ({len(held)})")


def _decisions(seen: Seen, count: int, *, narrow: bool) -> Panel:
    rows = Table.grid(padding=(0, 2))
    for _ in range(3 if narrow else 5):
        rows.add_column(no_wrap=True)
    rows.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for each in seen.decisions[:count]:
        sure = () if narrow else (cell(percent(each.confidence, 0)), cell(each.action))
        rows.add_row(cell(clock(each.decided_ms), QUIET), each.symbol, side(each.side), *sure, _verdict(each))
    if not seen.decisions:
        return framed(cell("none yet: the first come with the first closed bars", QUIET), "decisions")
    return framed(rows, "last decisions")


def _verdict(each: Decision) -> Text:
    if each.accepted:
        return cell(f"accepted: {each.reason}" if each.reason else "accepted", GOOD)
    return cell(each.reason, QUIET if each.action == "HOLD" else "")


def _alerts(seen: Seen) -> Panel | None:
    if not seen.alerts:
        return None
    rows = Table.grid(padding=(0, 2))
    for _ in range(3):
        rows.add_column(no_wrap=True)
    rows.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for each in seen.alerts[:ALERT_ROWS]:
        alert = each.alert
        words = alert.message if alert.symbol is None else f"{alert.symbol}: {alert.message}"
        rows.add_row(cell(clock(alert.ts_wall_ms), QUIET), severity(alert.severity), alert.service, cell(words))
    return framed(rows, "alerts")
