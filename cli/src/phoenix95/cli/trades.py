"""`phoenix95 trades`: every trade with its result, as a table, as JSON or as CSV."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.text import Text

from phoenix95.cli.gateway import DATA_DEFAULT, find_gateway
from phoenix95.cli.options import AsJson, Data, Url
from phoenix95.cli.show import add_row, amount, facts, make_console, print_json, side, table
from phoenix95.common.errors import ConfigError

PATH: Final = "/api/trades"
_COLUMNS: Final = ("decided", "symbol", "side", "quantity", "entry", "exit", "result", "fees", "ended by", "id")
_ONLY_WIDE: Final = frozenset({"quantity", "fees", "id"})
_WIDE: Final = 120  # columns of a terminal; a narrower one would break every cell
_OPEN: Final = {"filled": "still held"}
Time = Annotated[str | None, typer.Option(help="UTC, like 2026-11-22 or 2026-11-22T10:00:00")]


class _Trade(msgspec.Struct):
    symbol: str
    side: str
    status: str
    decided: datetime
    closed: datetime | None
    filled_quantity: str
    entry_price: str | None
    exit_price: str | None
    pnl: Decimal | None
    fees: Decimal
    funding: Decimal
    exit_reason: str | None
    analysis_id: str


class _Trades(msgspec.Struct):
    trades: tuple[_Trade, ...]
    count: int


def trades(
    *,
    since: Time = None,
    until: Time = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV: columns as in docs/how-to/audit.md")] = False,
    url: Url = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Every trade with its prices, fees, funding and result, by the time of its decision."""
    gateway = find_gateway(url, data)
    first, last = _moment("--since", since), _moment("--until", until)
    if as_csv:
        typer.echo(gateway.text(f"{PATH}.csv", since=first, until=last), nl=False)
    elif as_json:
        print_json(gateway.get(PATH, dict[str, Any], since=first, until=last))
    else:
        _print(gateway.get(PATH, _Trades, since=first, until=last))


def _moment(name: str, given: str | None) -> str | None:
    """With its time zone, as the gateway wants it. Raises ConfigError for what is no time."""
    if given is None or (given.isascii() and given.isdigit()):
        return given
    try:
        found = datetime.fromisoformat(given)
    except ValueError as error:
        raise ConfigError(f"{name}: {given!r} is no time like 2026-11-22 or 2026-11-22T10:00:00Z") from error
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).isoformat()


def _print(found: _Trades) -> None:
    console = make_console()
    shown = _COLUMNS if console.width >= _WIDE else [name for name in _COLUMNS if name not in _ONLY_WIDE]
    rows = table(*shown, numbers=("quantity", "entry", "exit", "result", "fees"))
    rows.collapse_padding = True
    for one in found.trades:
        cells = {
            "decided": f"{one.decided.astimezone(UTC):%m-%d %H:%M}",
            "symbol": one.symbol,
            "side": side(one.side),
            "quantity": one.filled_quantity,
            "entry": one.entry_price,
            "exit": one.exit_price,
            "result": _money(one.pnl),
            "fees": _money(one.fees),
            "ended by": (one.exit_reason or _OPEN.get(one.status, one.status)).replace("_", " "),
            "id": one.analysis_id,
        }
        add_row(rows, [cells[name] for name in shown])
    console.print(rows)
    closed = [one.pnl for one in found.trades if one.pnl is not None]
    told: list[tuple[str, object]] = [
        ("trades", f"{found.count}, {len(closed)} closed, {sum(pnl > 0 for pnl in closed)} won"),
        ("result", _money(sum(closed, Decimal(0)))),
        ("fees", _money(sum((one.fees for one in found.trades), Decimal(0)))),
        ("funding", _money(sum((one.funding for one in found.trades), Decimal(0)))),
    ]
    console.print(facts(told, "together"))


def _money(number: Decimal | None) -> Text:
    return amount(None if number is None else str(number), 4)
