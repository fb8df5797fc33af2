"""GET /api/streams/{stream}: a stream as it is, entry by entry; for `tail` and for whoever follows us over HTTP."""

import asyncio
import time
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from phoenix95.common.ids import STREAM_START
from phoenix95.common.streams import GATEWAY, TABLE, Key
from phoenix95.gateway.api.body import read_query
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.problems import Problem
from phoenix95.gateway.core.asking import Refused, checked_symbol, parse_stream_id
from phoenix95.gateway.streams.entries import PastEntry

ENTRIES_MAX: Final = 1_000
WAIT_MS_MAX: Final = 10_000
LOOK_S: Final = 0.1  # between two looks of a caller who waits
FOLLOWERS_MAX: Final = 32  # callers that wait at once; places of their own, so that they take none from a trade
_PREFIX: Final = "p95:"
_BY_SYMBOL: Final = ":{pp}:SYM"


class StreamQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `after` the newest `limit` entries; with it the first `limit` behind that id.

    `symbol` for the streams that are kept by symbol, and only for them. `wait_ms`, with `after`: how long to wait for
    an entry when there is none, in wall-clock ms.
    """

    symbol: str | None = None
    after: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=ENTRIES_MAX)] = 100
    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=WAIT_MS_MAX)] = 0


class StreamRead(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first. `last` is the id to ask behind next; None when nothing was asked for nor found."""

    stream: str
    symbol: str | None
    entries: tuple[PastEntry, ...]
    count: int
    last: str | None


@get("/api/streams/{stream:str}", opt={"query": StreamQuery, "answers": {200: StreamRead}})
async def read_stream(
    request: Request[Any, Any, Any], parts: NamedDependency[Parts], stream: FromPath[str]
) -> StreamRead:
    """The entries of a stream. 404 naming the streams for one that there is not."""
    row, asked = _row(stream), read_query(request, StreamQuery)
    symbol = await _symbol(parts, stream, row, asked.symbol)
    after = None if asked.after is None else parse_stream_id("after", asked.after)
    key = parts.entries.key(row, symbol)
    if after is None:
        entries = await parts.entries.newest(key, asked.limit)
    else:
        entries = await _behind(parts, key, after, asked)
    return StreamRead(
        stream=stream,
        symbol=symbol,
        entries=tuple(entries),
        count=len(entries),
        last=entries[-1].id if entries else after,
    )


def readable_streams() -> dict[str, Key]:
    """Every stream that the gateway may read, by the name it has here."""
    found = {}
    for row in TABLE:
        name = row.name.removeprefix(_PREFIX).removesuffix(_BY_SYMBOL)
        ours = GATEWAY in row.readers or any(write.user == GATEWAY for write in row.writes)
        if row.kind == "stream" and ours and "SERVICE" not in name:
            found[name] = row
    return found


async def _behind(parts: Parts, key: str, after: str, asked: StreamQuery) -> list[PastEntry]:
    deadline_s = time.monotonic() + asked.wait_ms / 1000
    entries = await parts.entries.behind(key, after, asked.limit)
    if entries or not asked.wait_ms:
        return entries
    if parts.tailing.taken >= FOLLOWERS_MAX:
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too many callers follow already", headers={"Retry-After": "1"})
    parts.tailing.taken += 1
    try:
        while not entries and not parts.board.closed and (left_s := deadline_s - time.monotonic()) > 0:
            await asyncio.sleep(min(LOOK_S, left_s))
            entries = await parts.entries.behind(key, after, asked.limit)
    finally:
        parts.tailing.taken -= 1
    return entries


def _row(stream: str) -> Key:
    known = readable_streams()
    if stream not in known:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no stream of this name; there are {', '.join(known)}")
    return known[stream]


async def _symbol(parts: Parts, stream: str, row: Key, given: str | None) -> str | None:
    """The checked symbol, for a stream that has one. A symbol's streams outlive its subscription."""
    if not row.name.endswith(_BY_SYMBOL):
        if given is not None:
            raise Refused("symbol", f"the stream {stream} is one for all symbols")
        return None
    if given is None:
        raise Refused("symbol", f"the stream {stream} is kept by symbol; add ?symbol=BTCUSDT")
    symbol = checked_symbol(given)
    known = await parts.bus.symbols()
    if symbol not in known and await parts.entries.last_id(parts.entries.key(row, symbol)) == STREAM_START:
        raise Problem(HTTPStatus.NOT_FOUND, f"unknown symbol {symbol}: not subscribed", subscribed=known)
    return symbol
