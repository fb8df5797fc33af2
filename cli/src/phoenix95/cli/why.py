"""`phoenix95 why`: the whole story of one analysis on one page."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from phoenix95.cli.gateway import DATA_DEFAULT, find_gateway, segment
from phoenix95.cli.options import AsJson, Data, Url
from phoenix95.cli.show import BAD, GOOD, QUIET, add_row, amount, cell, facts, make_console, print_json, side, table

TONES: Final = {"closed": GOOD, "open": GOOD, "held": QUIET, "asked": QUIET, "entering": "yellow"}
Told = Mapping[str, Any]


def why(
    *,
    name: Annotated[
        str, typer.Argument(help="an analysis, a request, an order or a trade; its beginning will do", metavar="ID")
    ],
    url: Url = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Why it traded, or why not: bar, indicators, gates, requests, fills, result."""
    found = find_gateway(url, data).get(f"/api/why/{segment(name)}", dict[str, Any])
    if as_json:
        print_json(found)
    else:
        show(make_console(), found)


def show(console: Console, story: Told) -> None:
    """Print the page."""
    lost = float((story.get("trade") or {}).get("pnl") or 0) < 0
    tone = BAD if lost else TONES.get(story["outcome"], BAD)
    decision, more = story["decision"], story["decision"].get("metadata") or {}
    console.print(facts(_decision(story, decision, more), f"{story['symbol']}: {story['outcome']}", tone))
    if market := _market(more):
        console.print(facts(market, "market"))
    if more.get("factors"):
        factors = table("factor", "value", "weight", "read", numbers=("value", "weight"))
        for one in more["factors"]:
            add_row(factors, (one["name"], f"{one['value']:+.3f}", _number(one["weight"]), _pairs(one["inputs"])))
        console.print(factors)
    if decision.get("verdicts"):
        _gates(console, decision["verdicts"])
    if story["requests"]:
        _requests(console, story["requests"])
    if story["fills"]:
        fills = table("fill", "time", "side", "quantity", "price", "fee", numbers=("quantity", "price", "fee"))
        for one in story["fills"]:
            fee = f"{one['fee']} {one['fee_asset']}"
            at = _time(one["time_ms"])
            add_row(fills, (one["trade_id"], at, side(one["side"]), one["quantity"], one["price"], fee))
        console.print(fills)
    if story["moments"]:
        steps = table("time", "after", "what happened", "record", numbers=("after", "record"))
        for one in story["moments"]:
            add_row(steps, (_time(one["ts_ms"]), _after(one["after_ms"]), one["words"], one["record"]))
        console.print(steps)
    if story.get("trade"):
        console.print(facts(_result(story["trade"]), "result", tone))
    if story.get("records"):
        first, last, digest = story["records"]
        console.print(Text(f"records {first} to {last} of the chain, {digest}", style=QUIET))


def _decision(story: Told, decision: Told, more: Told) -> list[tuple[str, object]]:
    asks = f"{decision['action']} {decision.get('side') or ''}".strip()
    rows: list[tuple[str, object]] = [
        ("", cell(story["headline"], "bold")),
        ("id", story["id"]),
        ("time", f"{_date(decision['ts_ms'])} UTC, decided {_after(decision['decided_ms'] - decision['ts_ms'])} later"),
    ]
    if decision.get("price") is not None:
        rows += [
            ("caused by", _given(more.get("cause"), f"as of {more['as_of']}" if more.get("as_of") else None)),
            ("asks for", f"{asks} at {_number(decision['price'])}"),
            ("confidence", f"{_number(decision.get('confidence'))}, score {_number(decision.get('phoenix95_score'))}"),
            ("chance", f"{_probability(more)}, risk {decision.get('risk_level') or '-'}"),
            ("size", f"{_share(decision.get('position_size'))} of equity at {_number(decision.get('leverage'))}x"),
            ("plan", f"stop {_number(decision.get('stop_loss'))}, target {_number(decision.get('take_profit'))}"),
            ("strategy", _given(more.get("strategy"), more.get("config"))),
        ]
    if decision.get("request"):
        rows.append(("request", decision["request"]))
    if not decision["accepted"]:
        rows.append(("why not", cell(decision["reason"], BAD if decision.get("verdicts") else "")))
    if decision.get("reasoning"):
        rows.append(("reasoning", "; ".join(decision["reasoning"])))
    return [*rows, *((f"field {name}", text) for name, text in (more.get("fields") or {}).items())]


def _market(more: Told) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    if bar := more.get("bar"):
        prices = ", ".join(f"{name} {_number(bar[name])}" for name in ("open", "high", "low", "close"))
        whole = "" if bar["whole"] else ", not whole"
        rows.append(("bar", f"{_date(bar['open_time'])}, {bar['length_ms'] // 1000} s{whole}"))
        rows.append(("", f"{prices}, volume {_number(bar['volume'])} in {bar['trades']} trades"))
    if more.get("indicators"):
        rows.append(("indicators", _pairs(more["indicators"])))
    if quality := more.get("quality"):
        state = "warm" if quality["warm"] else "warming up"
        rows.append(("data", f"{state}, {quality['bars']} bars, spread {_number(quality['spread_bps'])} bps"))
    return rows


def _gates(console: Console, verdicts: Sequence[Told]) -> None:
    gates = table("", "stage", "gate", "numbers")
    for one in verdicts:
        passed = one["reason"] is None
        numbers = _pairs(one["numbers"])
        words = numbers if passed else f"{one['reason']}{f' ({numbers})' if numbers else ''}"
        tone = GOOD if passed else BAD
        add_row(
            gates, (cell("✓" if passed else "✗", tone), one["stage"], one["gate"], cell(words, "" if passed else BAD))
        )
    console.print(gates)


def _requests(console: Console, requests: Sequence[Told]) -> None:
    sent = table("request", "state", "quantity", "price", "sent", "answer", "id", numbers=("quantity", "price"))
    for one in requests:
        order = one["order"]
        name = order["role"] if not order["attempt"] else f"{order['role']} {order['attempt'] + 1}"
        state = order["state"] if order.get("refusal") is None else f"{order['state']} {order['refusal']}"
        price = order.get("average_price") or order.get("trigger_price")
        add_row(
            sent,
            (Text.assemble(f"{name} ", side(order["side"])), state, order["quantity"], price,
             f"+{_after(one['sent_after_ms'])}", _after(one["answered_after_ms"]), order["client_id"]),
        )  # fmt: skip
    console.print(sent)


def _result(trade: Told) -> list[tuple[str, object]]:
    more = trade.get("metadata") or {}
    ended = more.get("exit_reason") or trade.get("close_reason") or more.get("failed")
    percent = "" if trade.get("pnl_percent") is None else f" ({float(trade['pnl_percent']):+.3f} %)"
    return [
        ("result", Text.assemble(amount(trade.get("pnl"), 4), percent)),
        ("fees", f"{trade['fee']}, funding {trade.get('funding', '0')}"),
        ("entered", f"{trade['filled_amount']} at {_number(trade.get('filled_price'))}, {trade['leverage']}x"),
        ("ended by", str(ended or "-").replace("_", " ")),
        ("state", f"{trade['status']}, {trade['stage']}"),
    ]


def _pairs(values: Told) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in values.items())


def _given(*texts: str | None) -> str | None:
    return ", ".join(text for text in texts if text) or None


def _number(value: object) -> str:
    return "-" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4%}"


def _probability(more: Told) -> str:
    chance = more.get("win_probability")
    return "-" if chance is None else f"{chance:.3f} of {more.get('win_samples')} outcomes"


def _after(ms: int | None) -> str:
    return "-" if ms is None else f"{ms} ms" if abs(ms) < 10_000 else f"{ms / 1000:.1f} s"


def _date(ms: int) -> str:
    return f"{datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms):%Y-%m-%d %H:%M:%S}.{ms % 1000:03d}"


def _time(ms: int) -> str:
    return _date(ms)[11:]
