"""`phoenix95 tail`: a stream, entry by entry, as it grows."""

import time
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from phoenix95.cli.gateway import DATA_DEFAULT, Gateway, Refused, find_gateway, segment
from phoenix95.cli.options import AsJson, Data, Url
from phoenix95.cli.show import cell, make_console, severity, side
from phoenix95.common.errors import TransientError

LIMIT_MAX: Final = 1_000
WAIT_MS: Final = 10_000  # for one stream the gateway waits; several are asked in turn
BETWEEN_S: Final = 0.5
RETRY_S: Final = 2.0
BY_SYMBOL: Final = ("tick", "request", "analysis", "reply")
_TAG: Final = "t"


class _Entry(msgspec.Struct):
    id: str
    event: dict[str, Any] | None
    raw: str | None = None


class _Read(msgspec.Struct):
    entries: tuple[_Entry, ...]
    last: str | None


class _Symbols(msgspec.Struct):
    symbols: tuple[str, ...]


def tail(
    stream: Annotated[
        str, typer.Argument(help="tick, request, analysis, reply, order, command, ack, alert or host", metavar="STREAM")
    ],
    symbol: Annotated[
        str | None, typer.Argument(help="of tick, request, analysis and reply; else all", metavar="[SYMBOL]")
    ] = None,
    *,
    count: Annotated[int, typer.Option("--count", "-n", min=0, max=LIMIT_MAX, help="the last N first")] = 10,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", "-f", help="go on as the stream grows")] = True,
    url: Url = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show the last entries of a stream and then each new one, until Ctrl-C. JSON comes a line an entry."""
    gateway, console = find_gateway(url, data), make_console()
    symbols: tuple[str | None, ...] = (symbol,)
    if symbol is None and stream in BY_SYMBOL:
        symbols = gateway.get("/api/info", _Symbols).symbols
    if not symbols:
        raise Refused("no symbol is subscribed")
    try:
        _follow(gateway, console, stream, symbols, count, follow, as_json)
    except KeyboardInterrupt:
        raise typer.Exit from None  # that is how it is ended


def _follow(
    gateway: Gateway,
    console: Console,
    stream: str,
    symbols: tuple[str | None, ...],
    count: int,
    follow: bool,
    as_json: bool,
) -> None:
    last: dict[str | None, str] = {}
    found: list[tuple[_Entry, str | None]] = []
    for symbol in symbols:
        read = _read(gateway, stream, symbol, limit=max(count, 1))
        last[symbol] = read.last or "0-0"
        found += [(entry, symbol) for entry in read.entries]
    newest = sorted(found, key=lambda pair: _order(pair[0]))
    _print(console, stream, newest[-count:] if count else [], as_json)
    one = len(symbols) == 1
    while follow:
        news: list[tuple[_Entry, str | None]] = []
        for symbol in symbols:
            wait_ms = WAIT_MS if one else 0
            read = _again(gateway, stream, symbol, after=last[symbol], limit=LIMIT_MAX, wait_ms=wait_ms)
            last[symbol] = read.last or last[symbol]
            news += [(entry, symbol) for entry in read.entries]
        _print(console, stream, sorted(news, key=lambda pair: _order(pair[0])), as_json)
        if not one:
            time.sleep(BETWEEN_S)


def _again(gateway: Gateway, stream: str, symbol: str | None, **query: Any) -> _Read:
    """A restart of the gateway ends no `tail`; that is told once."""
    told = False
    while True:
        try:
            return _read(gateway, stream, symbol, **query)
        except TransientError as error:
            if not told:
                make_console(to_stderr=True).print(cell(f"{error}; trying again", "yellow"))
            told = True
            time.sleep(RETRY_S)


def _read(gateway: Gateway, stream: str, symbol: str | None, **query: Any) -> _Read:
    return gateway.get(f"/api/streams/{segment(stream)}", _Read, symbol=symbol, **query)


def _order(entry: _Entry) -> tuple[int, ...]:
    return tuple(int(number) for number in entry.id.split("-"))


def _print(console: Console, stream: str, entries: list[tuple[_Entry, str | None]], as_json: bool) -> None:
    for entry, symbol in entries:
        if as_json:
            typer.echo(msgspec.json.encode({"stream": stream, "symbol": symbol, **msgspec.structs.asdict(entry)}))
        else:
            console.print(line_of(entry.id, entry.event, entry.raw, symbol), soft_wrap=not console.is_terminal)
    console.file.flush()


def line_of(entry_id: str, event: dict[str, Any] | None, raw: str | None, symbol: str | None) -> Text:
    """One entry in one line: its id, what it is, and its fields; what is empty is left out."""
    line = Text.assemble((entry_id, "dim"), " ")
    if event is None:
        return line.append_text(cell(f"unreadable: {raw}", "red"))
    line.append(f"{event.get(_TAG, '?')} ", style="bold")
    if symbol is not None and "symbol" not in event:
        line.append(f"{symbol} ")
    for name, value in event.items():
        if name != _TAG and value not in (None, [], {}):
            line.append(f" {name}=", style="dim").append_text(_value(name, value))
    return line


def _value(name: str, value: object) -> Text:
    if name == "severity":
        return severity(str(value))
    if name == "side":
        return side(str(value))
    if isinstance(value, list):
        # Lists of lists and the like are for --json: here one entry is one line.
        flat = all(isinstance(each, str) for each in value)
        return cell("; ".join(value)) if flat else cell(f"({len(value)})", "dim")
    return cell(msgspec.json.encode(value).decode() if isinstance(value, dict | bool) else value)
