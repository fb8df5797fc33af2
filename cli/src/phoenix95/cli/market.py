"""`phoenix95 price`, `feed`, `subscribe` and `unsubscribe`: what comes from the exchange, and which symbols of it."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.text import Text

from phoenix95.cli.gateway import DATA_DEFAULT, Gateway, Refused, find_gateway, segment
from phoenix95.cli.options import AsJson, Data, Symbol, Url
from phoenix95.cli.show import (
    BAD,
    GOOD,
    add_row,
    age,
    cell,
    clock,
    facts,
    make_console,
    print_json,
    side,
    table,
    waiting,
)
from phoenix95.common.errors import TransientError

EXIT_NOT_DONE: Final = 1
HISTORY_MAX: Final = 1_000
Symbols = Annotated[list[str], typer.Argument(help="one or more, as the exchange spells them", metavar="SYMBOL...")]


class _PastPrice(msgspec.Struct):
    ms: int
    price: str
    quantity: str
    side: str


class _History(msgspec.Struct):
    symbol: str
    prices: tuple[_PastPrice, ...]


class FeedSymbol(msgspec.Struct):
    """A symbol as the feed has it; `age_ms` is how old its newest stored trade is."""

    symbol: str
    age_ms: int | None
    ticks: int
    ticks_per_s: float
    price: str | None


class Feed(msgspec.Struct):
    """The connection to the exchange; `reason` says why not all symbols come."""

    connected: bool
    reason: str | None
    symbols: tuple[FeedSymbol, ...]
    count: int
    cached: int
    connections: int
    reconnects: int
    frames: int
    instances: tuple[dict[str, Any], ...] = ()


class _Ack(msgspec.Struct):
    ok: bool
    message: str
    service: str = ""


class _Commanded(msgspec.Struct):
    command_id: str
    ack: _Ack | None


class _Done(msgspec.Struct):
    """`ok` is None while nobody has acted."""

    symbol: str
    ok: bool | None
    message: str
    command_id: str | None


def price(
    symbol: Symbol,
    *,
    history: Annotated[
        int | None, typer.Option(min=1, max=HISTORY_MAX, help="the last N trades instead, of one hour")
    ] = None,
    url: Url = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show a symbol's last price with bid, ask, mark, funding and the last 24 hours."""
    gateway = find_gateway(url, data)
    if history is not None:
        _history(gateway, symbol, history, as_json)
        return
    found = gateway.get(f"/api/price/{segment(symbol)}", dict[str, str])
    if as_json:
        print_json(found)
        return
    name = found.get("symbol", symbol)
    make_console().print(facts([(key.replace("_", " "), _as_shown(key, text)) for key, text in found.items()], name))


def feed(*, url: Url = None, data: Data = DATA_DEFAULT, as_json: AsJson = False) -> None:
    """Show whether market data comes, of which symbols, and how old the newest is. Exit 1 when it does not come."""
    found = find_gateway(url, data).get("/api/feed", Feed)
    if as_json:
        print_json(found)
    else:
        _print_feed(found)
    if not found.connected or found.reason is not None:
        raise typer.Exit(EXIT_NOT_DONE)


def subscribe(symbols: Symbols, *, url: Url = None, data: Data = DATA_DEFAULT, as_json: AsJson = False) -> None:
    """Start market data, and with it analyses, of symbols. Exit 1 when one could not be had."""
    command("POST", _subscription, symbols, find_gateway(url, data), as_json)


def unsubscribe(symbols: Symbols, *, url: Url = None, data: Data = DATA_DEFAULT, as_json: AsJson = False) -> None:
    """Stop market data of symbols. Exit 1 when one was not subscribed."""
    command("DELETE", _subscription, symbols, find_gateway(url, data), as_json)


def _history(gateway: Gateway, symbol: str, limit: int, as_json: bool) -> None:
    found = gateway.get(f"/api/prices/{segment(symbol)}/history", _History, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = table("time", "price", "quantity", "taker", title=found.symbol, numbers=("price", "quantity"))
    for each in found.prices:
        add_row(rows, (clock(each.ms), each.price, each.quantity, side(each.side)))
    make_console().print(rows)


def _print_feed(found: Feed) -> None:
    console = make_console()
    state = cell("connected", GOOD) if found.connected else cell("not connected", BAD)
    console.print(
        facts(
            (
                ("state", state),
                ("missing", found.reason),
                ("symbols", f"{found.count}, {found.cached} with a price of the last 30 s"),
                ("connections", f"{found.connections}, of these {found.reconnects} again after a loss"),
                ("frames", f"{found.frames:,}"),
                ("instances", ", ".join(str(each.get("instance")) for each in found.instances)),
            ),
            "feed",
        )
    )
    columns = ("symbol", "price", "newest", "ticks", "ticks/s")
    rows = table(*columns, numbers=columns[1:])
    for each in found.symbols:
        add_row(rows, (each.symbol, each.price, age(each.age_ms), f"{each.ticks:,}", each.ticks_per_s))
    console.print(rows)


def command(method: str, path: Callable[[str], str], symbols: list[str], gateway: Gateway, as_json: bool) -> None:
    """Command something of symbols and show what came of each: every one is tried. Exit 1 when one was not done."""
    with waiting(f"waiting for {', '.join(symbols)}"):
        done: list[_Done] = []
        for symbol in symbols:
            try:
                done.append(_one(method, path(symbol), symbol, gateway))
            except TransientError as error:
                if not done:
                    raise  # no gateway at all
                done.append(_Done(symbol=symbol.upper(), ok=None, message=str(error), command_id=None))
    if as_json:
        print_json(done)
    else:
        rows = table("symbol", "outcome", "")
        for each in done:
            add_row(rows, (each.symbol, _outcome(each.ok), each.message))
        make_console().print(rows)
    if not all(each.ok for each in done):
        raise typer.Exit(EXIT_NOT_DONE)


def _subscription(symbol: str) -> str:
    return f"/api/subscribe/{segment(symbol)}"


def _one(method: str, path: str, symbol: str, gateway: Gateway) -> _Done:
    name = symbol.upper()
    try:
        came = gateway.act(method, path, _Commanded)
    except Refused as error:
        return _Done(symbol=name, ok=False, message=str(error), command_id=None)
    if came.ack is None:
        words = f"nobody has acted yet; it still may be done (command {came.command_id})"
        return _Done(symbol=name, ok=None, message=words, command_id=came.command_id)
    return _Done(symbol=name, ok=came.ack.ok, message=came.ack.message, command_id=came.command_id)


def _outcome(ok: bool | None) -> Text:
    if ok is None:
        return cell("not yet", "yellow")
    return cell("done", GOOD) if ok else cell("not done", BAD)


def _as_shown(name: str, text: str) -> str:
    times = ("trade_time", "timestamp", "next_funding_time")
    return f"{clock(int(text))} UTC" if name in times and text.isdigit() else text
