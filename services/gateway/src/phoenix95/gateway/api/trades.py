"""`GET /api/trades` and `GET /api/trades.csv`: every trade with its result."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency

from phoenix95.gateway.api.body import as_ms, read_query
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.reads.trades import TradeRow, as_csv

_CSV: Final = "text/csv"
_ATTACHED: Final = {"Content-Disposition": 'attachment; filename="trades.csv"'}


class TradesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exchange time, by the decision: ms since 1970, or ISO with a time zone. `until` itself is not in it."""

    since: str | None = None
    until: str | None = None


class Trades(msgspec.Struct, frozen=True, kw_only=True):
    """The oldest first."""

    trades: tuple[TradeRow, ...]
    count: int


@get("/api/trades", opt={"query": TradesQuery, "answers": {200: Trades}})
async def trades_list(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Trades:
    """Every trade with its prices, fees, funding and result."""
    rows = await _rows(request, parts)
    return Trades(trades=rows, count=len(rows))


@get("/api/trades.csv", media_type=_CSV, opt={"query": TradesQuery})
async def trades_csv(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Response[str]:
    """The same as CSV, for spreadsheets."""
    return Response(as_csv(await _rows(request, parts)), media_type=_CSV, headers=_ATTACHED)


async def _rows(request: Request[Any, Any, Any], parts: Parts) -> tuple[TradeRow, ...]:
    asked = read_query(request, TradesQuery)
    since, until = _moment("since", asked.since), _moment("until", asked.until)
    return await parts.ledger.trades(since, until)


def _moment(field: str, given: str | None) -> datetime | None:
    if given is None:
        return None
    ms = as_ms(field, int(given) if given.isascii() and given.isdigit() else given)
    return None if ms is None else datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
