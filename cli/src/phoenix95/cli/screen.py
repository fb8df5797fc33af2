"""What `phoenix95 monitor` shows, drawn from one look: two panels beside each other where there is room."""

from collections.abc import Sequence
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
ROWS_MIN: Final = 4
HEAD_ROWS: Final = 4
ROWS_PIPED: Final = 12
ALERT_ROWS: Final = 5
MODES: Final = {"paper": "bold black on yellow", "demo": "bold black on cyan", "live": "bold white on red"}


def screen(seen: Seen, width: int, height: int | None = None) -> RenderableType:
    """All panels; with a `height` there are as many decisions as fit on it. What matters most stands above."""
    narrow = width < WIDE
    head, held, alerts = _head(seen, live=height is not None), _positions(seen, narrow=narrow), _alerts(seen)
    below: list[RenderableType] = [alerts] if alerts else []
    if narrow:
        above: list[RenderableType] = [head, *([held] if held else []), _market(seen)]
        below.insert(0, _state(seen))
    else:
        above = [head, _beside(_market(seen), _state(seen)), *([held] if held else [])]
    rows = ROWS_PIPED if height is None else max(ROWS_MIN, height - _taken(seen, narrow=narrow))
    return Group(*above, _decisions(seen, rows, narrow=narrow), *below)


def _taken(seen: Seen, *, narrow: bool) -> int:
    """Lines of a screen that other panels take: their rows, and what stands around these."""
    symbols = len(seen.feed.symbols) if seen.feed else 0
    held = len(seen.portfolio.active_positions) if seen.portfolio else 0
    alerts = min(len(seen.alerts), ALERT_ROWS)
    market, state = symbols + 6, len(seen.health.components) + 6
    lines = HEAD_ROWS + (market if narrow else max(market, state)) + 2
    lines += held + 6 if held else 0
    return lines + (alerts + 2 if alerts and not narrow else 0)


def _beside(left: RenderableType, right: RenderableType) -> Table:
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1)
    grid.add_column(ratio=1)
    grid.add_row(left, right)
    return grid


def _head(seen: Seen, *, live: bool) -> Panel:
    mode = seen.info.mode if seen.info else "?"
    well = seen.health.status == "healthy"
    balance: dict[str, Any] = (seen.portfolio.balance if seen.portfolio else None) or {}
    gap = "   "
    line = Text.assemble(
        ("Phoenix 95 ", "bold"),
        (f" {mode.upper()} ", MODES.get(mode, "bold reverse")),
        gap,
        (_verdict_of(seen), f"bold {GOOD if well else BAD}"),
        (f"{gap}equity ", QUIET),
        amount(seen.info.equity if seen.info else None),
        (f"{gap}today ", QUIET),
        amount(balance.get("daily_pnl")),
        (f"{gap}{clock(seen.wall_ms)} UTC", QUIET),
        (f"{gap}Ctrl-C ends" if live else "", QUIET),
    )
    content: RenderableType = line
    if seen.missing:
        content = Group(line, cell(seen.missing, "yellow"))
    return framed(content, seen.url, "" if well else BAD)


def _verdict_of(seen: Seen) -> str:
    ill = [name for name, component in seen.health.components.items() if not component.healthy]
    return f"{seen.health.status}: {', '.join(ill)}" if ill else seen.health.status


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
    if not seen.decisions:
        return framed(cell("none yet: the first come with the first closed bars", QUIET), "decisions")
    rows = []
    for each in seen.decisions[:count]:
        sure = () if narrow else (cell(percent(each.confidence, 0)), cell(each.action))
        rows.append((cell(clock(each.decided_ms), QUIET), cell(each.symbol), side(each.side), *sure, _verdict(each)))
    return framed(_lines(rows), "last decisions, by exchange time")


def _verdict(each: Decision) -> Text:
    if each.accepted:
        return cell(f"accepted: {each.reason}" if each.reason else "accepted", GOOD)
    return cell(each.reason, QUIET if each.action == "HOLD" else "")


def _alerts(seen: Seen) -> Panel | None:
    if not seen.alerts:
        return None
    rows = []
    for each in seen.alerts[:ALERT_ROWS]:
        alert = each.alert
        words = alert.message if alert.symbol is None else f"{alert.symbol}: {alert.message}"
        rows.append((cell(clock(alert.ts_wall_ms), QUIET), severity(alert.severity), cell(alert.service), cell(words)))
    return framed(_lines(rows), "alerts")


def _lines(rows: Sequence[tuple[Text, ...]]) -> Text:
    """Rows of one line each: the last cell is cut where there is no room, the others never."""
    widths = [max(text.cell_len for text in column) for column in zip(*rows, strict=True)]
    for row in rows:
        for text, width in zip(row[:-1], widths, strict=False):
            text.pad_right(width - text.cell_len)
    lines = Text("\n").join(Text("  ").join(row) for row in rows)
    lines.no_wrap, lines.overflow = True, "ellipsis"
    return lines
