"""The story as a page: no script, readable on a phone. Everything that others wrote is escaped."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import escape
from typing import Final
from urllib.parse import quote

from phoenix95.common.money import plain
from phoenix95.gateway.core.story import Request, Story

NONE: Final = "–"
GOOD: Final = frozenset({"closed", "open"})
BAD: Final = frozenset({"refused", "error", "poisoned", "failed", "expired"})


def as_page(story: Story) -> str:
    """A whole HTML document; its style is `/static/why.css`."""
    lost = story.trade is not None and (story.trade.pnl or 0) < 0
    tone = "no" if story.outcome in BAD or lost else "yes" if story.outcome in GOOD else ""
    badge = f'<span class="tag {tone}">{story.outcome}</span>'
    parts = [
        f'<header><a href="/">Phoenix 95</a><h1>{escape(story.symbol)} {badge}</h1>',
        f'<p>{escape(story.headline)}</p><p class="id">{escape(story.id)}</p></header><main>',
        _facts("Decision", _decision(story)),
        _facts("Result", _result(story)),
        _market(story),
        _table("Factors", ("factor", "value", "weight", "read"), _factors(story), numbers=(1, 2)),
        _table("Gates", ("", "stage", "gate", "numbers"), _gates(story)),
        _reasons(story),
        _table(
            "Requests", ("order", "state", "quantity", "price", "sent", "answer", "id"), map(_request, story.requests)
        ),
        _table("Fills", ("time", "side", "quantity", "price", "fee", "trade"), _fills(story)),
        _table("What happened", ("time", "after", "step", "record"), _moments(story)),
        _chain(story),
        "</main>",
    ]
    return _document(story.symbol, "".join(parts))


def missing_page(words: str, near: Sequence[str]) -> str:
    """The page for a name that leads nowhere."""
    items = "".join(f'<li><a href="/why/{quote(one, safe="")}">{escape(one)}</a></li>' for one in near)
    meant = f"<section><h2>Perhaps</h2><ul>{items}</ul></section>" if near else ""
    return _document(
        "not found", f'<header><a href="/">Phoenix 95</a><h1>{escape(words)}</h1></header><main>{meant}</main>'
    )


def time_of(ms: int) -> str:
    """Exchange ms as UTC, to the millisecond."""
    return f"{datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms):%Y-%m-%d %H:%M:%S}.{ms % 1000:03d}"


def after(ms: int | None) -> str:
    """A stretch of time in the unit that says enough."""
    if ms is None:
        return NONE
    return f"{ms} ms" if abs(ms) < 10_000 else f"{ms / 1000:.1f} s"


def number(value: object) -> str:
    """A number as it is, without an exponent; nothing for none."""
    if value is None:
        return NONE
    return plain(value) if isinstance(value, Decimal) else f"{value:.10g}" if isinstance(value, float) else str(value)


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>why: {escape(title)}</title><link rel="stylesheet" href="/static/why.css"></head>'
        f"<body>{body}</body></html>"
    )


def _decision(story: Story) -> list[tuple[str, str]]:
    one, more = story.decision, story.decision.metadata
    calibrated = None if more.win_probability is None else f"{more.win_probability:.3f} of {more.win_samples} outcomes"
    return [
        ("time", f"{time_of(one.ts_ms)} UTC"),
        ("decided", f"{after(one.decided_ms - one.ts_ms)} later"),
        ("asks for", f"{one.action} {one.side or ''}"),
        ("price", number(one.price)),
        ("confidence", number(one.confidence)),
        ("score", number(one.phoenix95_score)),
        ("risk level", one.risk_level or NONE),
        ("win probability", calibrated or NONE),
        ("size", NONE if one.position_size is None else f"{one.position_size:.4%} of equity, {one.leverage}×"),
        ("stop, target", f"{number(one.stop_loss)}, {number(one.take_profit)}"),
        ("caused by", f"{more.cause or NONE}{f', as of {more.as_of}' if more.as_of else ''}"),
        ("request", one.request or NONE),
        ("strategy", f"{more.strategy or NONE}, {more.config or NONE}"),
        *((f"field {name}", text) for name, text in more.fields.items()),
    ]


def _result(story: Story) -> list[tuple[str, str]]:
    trade = story.trade
    if trade is None:
        return []
    percent = "" if trade.pnl_percent is None else f" ({trade.pnl_percent:.3f} %)"
    why = str(trade.metadata.get("exit_reason") or trade.close_reason or trade.metadata.get("failed") or NONE)
    return [
        ("result", f"{number(trade.pnl)}{percent}"),
        ("fees", number(trade.fee)),
        ("funding", number(trade.funding)),
        ("entered", f"{number(trade.filled_amount)} at {number(trade.filled_price)}"),
        ("ended by", why.replace("_", " ")),
        ("state", f"{trade.status}, {trade.stage}"),
    ]


def _market(story: Story) -> str:
    more = story.decision.metadata
    rows: list[tuple[str, str]] = []
    if (bar := more.bar) is not None:
        rows = [
            ("bar", f"{time_of(bar.open_time)}, {bar.length_ms // 1000} s{'' if bar.whole else ', not whole'}"),
            ("open, high, low, close", ", ".join(number(one) for one in (bar.open, bar.high, bar.low, bar.close))),
            ("volume", f"{number(bar.volume)} in {bar.trades} trades"),
        ]
    rows += [(name, number(value)) for name, value in more.indicators.items()]
    if (quality := more.quality) is not None:
        state = "warm" if quality.warm else "warming up"
        rows.append(("data", f"{state}, {quality.bars} bars, spread {number(quality.spread_bps)} bps"))
    return _facts("Market", rows)


def _factors(story: Story) -> Iterable[tuple[str, ...]]:
    for one in story.decision.metadata.factors:
        inputs = ", ".join(f"{name} {number(value)}" for name, value in one.inputs.items())
        yield one.name, f"{one.value:+.3f}", number(one.weight), inputs


def _gates(story: Story) -> Iterable[tuple[str, ...]]:
    for one in story.decision.verdicts:
        numbers = ", ".join(f"{name} {value}" for name, value in one.numbers.items())
        words = numbers if one.reason is None else f"{one.reason} ({numbers})" if numbers else one.reason
        yield "✓" if one.reason is None else "✕", one.stage, one.gate, words


def _reasons(story: Story) -> str:
    said = story.decision.reasoning if story.decision.verdicts else (story.decision.reason,)
    items = "".join(f"<li>{escape(one)}</li>" for one in said)
    return f"<section><h2>Reasoning</h2><ul>{items}</ul></section>" if items else ""


def _request(one: Request) -> tuple[str, ...]:
    order = one.order
    price = order.average_price if order.average_price is not None else order.trigger_price
    state = order.state if order.refusal is None else f"{order.state} {order.refusal} {order.reason or ''}"
    name = order.role if order.attempt == 0 else f"{order.role} {order.attempt + 1}"
    sent = f"+{after(one.sent_after_ms)}, window {after(one.recv_window_ms)}"
    return (
        f"{name} {order.side}", state, number(order.quantity), number(price), sent, after(one.answered_after_ms),
        order.client_id,
    )  # fmt: skip


def _fills(story: Story) -> Iterable[tuple[str, ...]]:
    for one in story.fills:
        fee = f"{number(one.fee)} {one.fee_asset}"
        yield time_of(one.time_ms), one.side, number(one.quantity), number(one.price), fee, str(one.trade_id)


def _moments(story: Story) -> Iterable[tuple[str, ...]]:
    for one in story.moments:
        yield time_of(one.ts_ms)[11:], f"+{after(one.after_ms)}", one.words, str(one.record)


def _chain(story: Story) -> str:
    if story.records is None:
        return ""
    first, last, digest = story.records
    return f'<footer>records {first} to {last} of the chain, <span class="id">{digest}</span></footer>'


def _facts(title: str, rows: Sequence[tuple[str, str]]) -> str:
    if not rows:
        return ""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in rows)
    return f"<section><h2>{title}</h2><dl>{items}</dl></section>"


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    made = list(rows)
    if not made:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr{_tone(row)}>{_cells(columns, row, numbers)}</tr>" for row in made)
    return f"<section><h2>{title}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></section>"


def _cells(columns: Sequence[str], row: Sequence[str], numbers: Sequence[int]) -> str:
    """A narrow screen shows each cell behind its column's name."""
    return "".join(
        f'<td data-name="{escape(name, quote=True)}"{" class=num" if at in numbers else ""}>{escape(text)}</td>'
        for at, (name, text) in enumerate(zip(columns, row, strict=True))
    )


def _tone(row: Sequence[str]) -> str:
    return ' class="no"' if row[0] == "✕" else ' class="yes"' if row[0] == "✓" else ""
