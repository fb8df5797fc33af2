"""The ledger's lists: decisions, orders, positions; and how it went."""

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency

from phoenix95.common.events import Action, HostSample
from phoenix95.gateway.api.body import read_query
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.core.asking import checked_symbol
from phoenix95.gateway.reads.books import JournalRow, PlacedRow
from phoenix95.gateway.reads.rows import PositionRow
from phoenix95.gateway.reads.statistics import AnalysisStatistics, EquityPoint, TradeStatistics

ROWS_MAX: Final = 1_000
HOURS_MAX: Final = 24 * 90
HOST_HOURS_MAX: Final = 24  # the stream of samples holds no more
HOST_POINTS: Final = 120
Limit = Annotated[int, msgspec.Meta(ge=1, le=ROWS_MAX)]
State = Literal["SENT", "ACCEPTED", "OPEN", "PARTIAL", "FILLED", "CANCELED", "REJECTED", "ABSENT", "EXPIRED"]
Hours = Annotated[float, msgspec.Meta(gt=0, le=HOURS_MAX)]


class DecisionsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`accepted` and `action` leave out the others."""

    limit: Limit = 50
    symbol: str | None = None
    accepted: bool | None = None
    action: Action | None = None


class OrdersQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`state` leaves out the others."""

    limit: Limit = 50
    symbol: str | None = None
    state: State | None = None


class PositionsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`active` leaves out the others."""

    limit: Limit = 50
    symbol: str | None = None
    active: bool | None = None


class PerformanceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far to look back: up to 90 days."""

    hours: Hours = 24.0


class Decisions(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    decisions: tuple[JournalRow, ...]
    count: int


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    orders: tuple[PlacedRow, ...]
    count: int


class Positions(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    positions: tuple[PositionRow, ...]
    count: int


class HostPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The machine at a wall-clock time; `processes_mb` is what our processes take together, 0 when it is not known."""

    ts_wall_ms: int
    cpu_percent: float
    memory_percent: float
    disk_percent: float
    processes_mb: float


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """`since` and `until` are exchange time; `host` is wall-clock time, and goes back 24 hours at most."""

    hours: float
    since: datetime
    until: datetime
    analyses: AnalysisStatistics
    trades: TradeStatistics
    equity: tuple[EquityPoint, ...]
    host: tuple[HostPoint, ...]


@get("/api/decisions", opt={"query": DecisionsQuery, "answers": {200: Decisions}})
async def decisions(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Decisions:
    """What the gates said of the last analyses, each with every gate's verdict."""
    asked = read_query(request, DecisionsQuery)
    rows = await parts.ledger.decisions(
        limit=asked.limit, symbol=_symbol(asked.symbol), accepted=asked.accepted, action=asked.action
    )
    return Decisions(decisions=rows, count=len(rows))


@get("/api/orders", opt={"query": OrdersQuery, "answers": {200: Orders}})
async def orders(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Orders:
    """The orders that were sent to the exchange, by their last change."""
    asked = read_query(request, OrdersQuery)
    rows = await parts.ledger.orders(limit=asked.limit, symbol=_symbol(asked.symbol), state=asked.state)
    return Orders(orders=rows, count=len(rows))


@get("/api/positions", opt={"query": PositionsQuery, "answers": {200: Positions}})
async def positions(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Positions:
    """What is held and what was, with its result."""
    asked = read_query(request, PositionsQuery)
    rows = await parts.ledger.positions(limit=asked.limit, symbol=_symbol(asked.symbol), active=asked.active)
    return Positions(positions=rows, count=len(rows))


@get("/api/performance", opt={"query": PerformanceQuery, "answers": {200: Performance}})
async def performance(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Performance:
    """How the last hours went: analyses, trades, equity, the machine."""
    hours = read_query(request, PerformanceQuery).hours
    until = await _now(parts)
    since = until - timedelta(hours=hours)
    found = await parts.ledger.statistics(since)
    now_ms = time.time_ns() // 1_000_000
    host_ms = int(min(hours, HOST_HOURS_MAX) * 3_600_000)
    samples = await parts.history.host(now_ms - host_ms, now_ms, HOST_POINTS)
    return Performance(
        hours=hours,
        since=since,
        until=until,
        analyses=found.analyses,
        trades=found.trades,
        equity=await parts.ledger.equity(since, hours),
        host=tuple(host_point(sample) for sample in samples),
    )


def host_point(sample: HostSample) -> HostPoint:
    """What of a sample is drawn."""
    taken = sum(process.pss if process.pss is not None else process.rss for process in sample.processes)
    return HostPoint(
        ts_wall_ms=sample.ts_wall_ms,
        cpu_percent=sample.cpu_percent,
        memory_percent=sample.memory_percent,
        disk_percent=sample.disk_percent,
        processes_mb=round(taken / 2**20, 1),
    )


async def _now(parts: Parts) -> datetime:
    """Exchange time; while nobody tells it, that of the last reconciliation."""
    if parts.clock.uncertainty_ms() is not None:
        return datetime.fromtimestamp(parts.clock.now_ms() / 1000, UTC)
    return await parts.ledger.newest() or datetime.now(UTC)


def _symbol(text: str | None) -> str | None:
    return None if text is None else checked_symbol(text)
