"""`phoenix95 trade`: a trade by hand, through the gates like any other."""

import sys
import time
from typing import Annotated, Any, Final, Literal

import msgspec
import typer

from phoenix95.cli.gateway import DATA_DEFAULT, Gateway, find_gateway, segment
from phoenix95.cli.options import AsJson, Data, Url
from phoenix95.cli.show import BAD, GOOD, add_row, cell, facts, make_console, print_json, side, table
from phoenix95.cli.show import waiting as spinning
from phoenix95.common.errors import ConfigError

EXIT_NOT_DONE: Final = 1
LOOK_S: Final = 0.25
PAPER: Final = "paper"
ENTRY_FAILED: Final = frozenset({"REJECTED", "ABSENT", "EXPIRED", "CANCELED"})
Side = Literal["buy", "sell", "long", "short"]


class _Mode(msgspec.Struct):
    mode: str


class _Verdict(msgspec.Struct):
    gate: str
    stage: str
    reason: str | None
    numbers: dict[str, str] = {}


class _Decision(msgspec.Struct):
    symbol: str
    side: str | None
    accepted: bool
    reason: str
    verdicts: tuple[_Verdict, ...] = ()


class _Order(msgspec.Struct):
    role: str
    state: str
    side: str
    quantity: str
    filled: str = "0"
    average_price: str | None = None
    trigger_price: str | None = None
    reason: str | None = None


class _Sent(msgspec.Struct):
    """The answer to the trade itself, and later what became of the command."""

    command_id: str
    decision: _Decision | None = None
    orders: tuple[_Order, ...] = ()
    ack: dict[str, Any] | None = None


class _Traded(msgspec.Struct):
    """`accepted` is None while nobody has decided."""

    command_id: str
    accepted: bool | None
    entered: bool
    reason: str
    verdicts: tuple[_Verdict, ...]
    orders: tuple[_Order, ...]


def trade(
    *,
    symbol: Annotated[str, typer.Option(help="as the exchange spells it: BTCUSDT")],
    side: Annotated[Side, typer.Option(help="which way")],
    amount: Annotated[str | None, typer.Option(help="in base units, 0.002 of BTCUSDT; or --equity-fraction")] = None,
    equity_fraction: Annotated[str | None, typer.Option(help="the notional as a share of equity: 0.01")] = None,
    leverage: Annotated[int, typer.Option(help="1 to what the gates allow")] = 1,
    stop_loss: Annotated[str | None, typer.Option(help="a price; without it the default distance")] = None,
    take_profit: Annotated[str | None, typer.Option(help="a price; without it there is no target")] = None,
    hold_ms: Annotated[int | None, typer.Option(help="exchange ms until it is closed anyway")] = None,
    wait: Annotated[float, typer.Option(min=0, help="seconds to wait for the outcome")] = 10.0,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask, even where it is real money")] = False,
    url: Url = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Enter a trade by hand. The gates judge its size and risk. Exit 1 when it is refused or comes to nothing."""
    gateway = find_gateway(url, data)
    if not yes:
        confirm(gateway, f"{side} {symbol}")
    body = {
        "symbol": symbol,
        "side": side,
        "amount": amount,
        "equity_fraction": equity_fraction,
        "leverage": leverage,
        "stop_loss": stop_loss,
        "take_profit": take_profit,
        "hold_ms": hold_ms,
    }
    with spinning(f"{side} {symbol}: waiting for the gates and the exchange"):
        traded = _send(gateway, body, wait)
    if as_json:
        print_json(traded)
    else:
        _print(symbol.upper(), side, traded)
    if not traded.entered:
        raise typer.Exit(EXIT_NOT_DONE)


def confirm(gateway: Gateway, what: str) -> None:
    """Ask before real money moves. Raises ConfigError where nobody can be asked."""
    mode = gateway.get("/api/info", _Mode).mode
    if mode == PAPER:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"the mode is {mode} and nobody can be asked: give --yes")
    if not typer.confirm(f"The mode is {mode.upper()}. {what}?", err=True):
        raise typer.Exit(EXIT_NOT_DONE)


def _send(gateway: Gateway, body: dict[str, Any], wait_s: float) -> _Traded:
    deadline_s = time.monotonic() + wait_s
    sent = gateway.act("POST", "/api/manual_trade", _Sent, body)
    while not _settled(sent) and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)
        sent = gateway.get(f"/api/commands/{segment(sent.command_id)}", _Sent)
    return _outcome(sent)


def _settled(sent: _Sent) -> bool:
    """Whether nothing more is to be expected: refused, or the entry's fate known and a fill's stop with it."""
    if sent.decision is None:
        return sent.ack is not None
    states = {order.role: order.state for order in sent.orders}
    failed = states.get("entry") in ENTRY_FAILED
    return not sent.decision.accepted or failed or (_filled(sent.orders) and states.get("stop") in ("OPEN", "FILLED"))


def _filled(orders: tuple[_Order, ...]) -> bool:
    return any(order.role == "entry" and order.state == "FILLED" for order in orders)


def _outcome(sent: _Sent) -> _Traded:
    decision, ack = sent.decision, sent.ack or {}
    if decision is not None:
        accepted: bool | None = decision.accepted
        reason = decision.reason or "; ".join(order.reason for order in sent.orders if order.reason)
    else:
        accepted = None if not ack else bool(ack.get("ok"))
        reason = str(ack.get("message") or "nobody has decided yet; it may still be entered")
    return _Traded(
        command_id=sent.command_id,
        accepted=accepted,
        entered=_filled(sent.orders),
        reason=reason,
        verdicts=decision.verdicts if decision else (),
        orders=sent.orders,
    )


def _print(symbol: str, way: str, traded: _Traded) -> None:
    console = make_console()
    style = GOOD if traded.entered else BAD if traded.accepted is False else "yellow"
    words = "entered" if traded.entered else "refused" if traded.accepted is False else "not entered yet"
    told = [("outcome", cell(words, f"bold {style}")), ("side", side(way)), ("command", traded.command_id)]
    if traded.reason:
        told.append(("why", cell(traded.reason)))
    console.print(facts(told, symbol, style))
    if traded.orders:
        columns = ("order", "state", "side", "quantity", "filled", "price", "trigger")
        orders = table(*columns, numbers=columns[3:])
        for each in traded.orders:
            price = each.average_price
            values = (each.role, each.state, side(each.side), each.quantity, each.filled, price, each.trigger_price)
            add_row(orders, values)
        console.print(orders)
    refusals = [verdict for verdict in traded.verdicts if verdict.reason is not None]
    if refusals:
        gates = table("stage", "gate", "why not", "compared")
        for verdict in refusals:
            compared = ", ".join(f"{name} {value}" for name, value in verdict.numbers.items())
            add_row(gates, (verdict.stage, verdict.gate, cell(verdict.reason, BAD), compared))
        console.print(gates)
