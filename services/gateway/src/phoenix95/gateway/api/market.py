"""Prices as they were, and the feed's connection to the exchange."""

from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from phoenix95.common.events import FeedStatus, Heartbeat
from phoenix95.common.ids import StreamId
from phoenix95.gateway.api.body import read_query
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.problems import Problem
from phoenix95.gateway.core.asking import checked_symbol
from phoenix95.gateway.streams.history import PRICES_MAX, PastPrice

NO_FEED: Final = "no feed is alive"


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many trades at most, of the last hour."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=PRICES_MAX)] = 100


class PriceHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first, read back from the tick stream."""

    symbol: str
    prices: tuple[PastPrice, ...]
    count: int


class FeedSymbol(msgspec.Struct, frozen=True, kw_only=True):
    """`age_ms` is how old the newest stored trade is, in exchange ms; None when there is none or nobody tells the time.
    `price` is the cached one, None when that is older than 30 s."""

    symbol: str
    last_ms: int | None
    age_ms: int | None
    ticks: int
    ticks_per_s: float
    price: str | None


class FeedInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One living feed. `status` is None when it does not tell."""

    instance: str
    version: str
    started_wall_ms: int
    progress_wall_ms: int
    status: FeedStatus | None


class FeedReport(msgspec.Struct, frozen=True, kw_only=True):
    """The connection. `count` is of the desired symbols, `cached` of those with a price of the last 30 s.

    `reason` says why not all symbols come; None when they do. Several feeds may run at once: one that is connected is
    enough; connections, reconnects and frames are those of all living feeds together.
    """

    connected: bool
    reason: str | None
    symbols: tuple[FeedSymbol, ...]
    count: int
    cached: int
    connections: int
    reconnects: int
    frames: int
    instances: tuple[FeedInstance, ...]


@get("/api/prices/{symbol:str}/history", opt={"query": HistoryQuery, "answers": {200: PriceHistory}})
async def price_history(
    request: Request[Any, Any, Any], parts: NamedDependency[Parts], symbol: FromPath[str]
) -> PriceHistory:
    """The last prices of one hour. 404 for a symbol that was never followed."""
    checked, limit = checked_symbol(symbol), read_query(request, HistoryQuery).limit
    prices = await parts.history.prices(checked, limit)
    if not prices and checked not in (known := await parts.bus.symbols()):
        raise Problem(HTTPStatus.NOT_FOUND, f"unknown symbol {checked}: not subscribed", subscribed=known)
    return PriceHistory(symbol=checked, prices=tuple(prices), count=len(prices))


@get("/api/feed", opt={"answers": {200: FeedReport}})
async def feed(parts: NamedDependency[Parts]) -> FeedReport:
    """Whether market data comes, of which symbols, and how old the newest is."""
    alive = [beat for beat in await parts.bus.heartbeats() if beat.service == "feed"]
    told = [beat.feed for beat in alive if beat.feed is not None]
    symbols = [await _symbol(parts, name) for name in await parts.bus.symbols()]
    return FeedReport(
        connected=any(status.connected for status in told),
        reason=_reason(told) if alive else NO_FEED,
        symbols=tuple(symbols),
        count=len(symbols),
        cached=sum(symbol.price is not None for symbol in symbols),
        connections=sum(status.connections for status in told),
        reconnects=sum(status.reconnects for status in told),
        frames=sum(status.frames for status in told),
        instances=tuple(_instance(beat) for beat in alive),
    )


def _reason(told: list[FeedStatus]) -> str | None:
    """One feed that misses nothing is enough."""
    reasons = [status.reason for status in told]
    return None if None in reasons else "; ".join(dict.fromkeys(reason for reason in reasons if reason)) or None


async def _symbol(parts: Parts, name: str) -> FeedSymbol:
    _, figures = parts.pulse.now()
    figure = figures.get(name)
    last = None if figure is None or figure.last_tick is None else StreamId.parse(figure.last_tick)
    known = last is not None and parts.clock.uncertainty_ms() is not None
    price = await parts.bus.price(name)
    return FeedSymbol(
        symbol=name,
        last_ms=None if last is None else last.ms,
        age_ms=max(0, parts.clock.now_ms() - last.ms) if known and last is not None else None,
        ticks=0 if figure is None else figure.ticks,
        ticks_per_s=0.0 if figure is None else figure.ticks_per_s,
        price=None if price is None else price.get("price"),
    )


def _instance(beat: Heartbeat) -> FeedInstance:
    return FeedInstance(
        instance=beat.instance,
        version=beat.version,
        started_wall_ms=beat.started_wall_ms,
        progress_wall_ms=beat.progress_wall_ms,
        status=beat.feed,
    )
