"""What anyone may look at: health, prices, the portfolio, the pipeline's figures."""

import asyncio
import time
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from phoenix95.common.events import Heartbeat, HostSample
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.problems import Problem
from phoenix95.gateway.away import EXCHANGE_TIME, POSTGRES, REDIS, Away
from phoenix95.gateway.core.asking import checked_symbol
from phoenix95.gateway.core.health import Component, HealthReport, components_of, own_check, report, unknown_services
from phoenix95.gateway.core.pipeline import PipelineFigures, SymbolFigures
from phoenix95.gateway.reads.rows import Counts, PortfolioRow, PositionRow
from phoenix95.gateway.reads.statistics import Statistics

NAME: Final = "Phoenix 95"
FEATURES: Final = (
    "dashboard",
    "prices",
    "price_history",
    "analyze",
    "execute",
    "manual_trade",
    "close",
    "subscribe",
    "notify",
    "portfolio",
    "positions",
    "orders",
    "decisions",
    "performance",
    "events",
    "alerts",
    "host",
    "feed",
    "metrics",
    "health",
    "api_keys",
)


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """What runs here. `equity` in quote currency, None before the first reconciliation with the exchange; `counts` and
    `statistics` are since the ledger began."""

    name: str
    version: str
    mode: str
    status: str
    features: tuple[str, ...]
    symbols: tuple[str, ...]
    config: dict[str, Any]
    uptime_s: float
    exchange_ms: int | None
    equity: str | None
    counts: Counts
    statistics: Statistics


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """The account as last reconciled, and what is held now."""

    balance: PortfolioRow | None
    active_positions: tuple[PositionRow, ...]
    count: int


class MetricsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The pipeline's figures, the latest host sample (None when it expired), and every living service."""

    pipeline: PipelineFigures
    symbols: dict[str, SymbolFigures]
    counts: Counts
    host: HostSample | None
    services: tuple[Heartbeat, ...]


@get("/health", opt={"answers": {200: HealthReport, 503: HealthReport}})
async def health(parts: NamedDependency[Parts]) -> Response[HealthReport]:
    """Each component, and the unhealthy ones named. 200 when all are well, else 503."""
    services, postgres = await asyncio.gather(_services(parts), parts.ledger.check())
    clock = None if parts.clock.uncertainty_ms() is not None else "the exchange does not tell its time"
    found = report(
        parts.version,
        {**services, POSTGRES: own_check(postgres), EXCHANGE_TIME: own_check(clock), "gateway": own_check(None)},
    )
    well = found.status == "healthy"
    return Response(found, status_code=HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)


async def _services(parts: Parts) -> dict[str, Component]:
    try:
        beats = await parts.bus.heartbeats()
    except Away as error:
        return {REDIS: own_check(error.reason), **unknown_services("unknown: Redis does not answer")}
    return {REDIS: own_check(None), **components_of(beats, time.time_ns() // 1_000_000)}


@get("/api/info", opt={"answers": {200: Info}})
async def info(parts: NamedDependency[Parts]) -> Info:
    """Name, version, configuration and what was done so far."""
    symbols = await parts.bus.symbols()
    counts, portfolio = await asyncio.gather(parts.ledger.counts(), parts.ledger.portfolio())
    reasons = parts.pulse.reason or parts.ledger.reason
    return Info(
        name=NAME,
        version=parts.version,
        mode=parts.settings.mode,
        status="running" if reasons is None else reasons,
        features=FEATURES,
        symbols=tuple(symbols),
        config={
            "partitions": parts.settings.partitions,
            "wait_ms": parts.settings.wait_ms,
            "trade_ttl_ms": parts.settings.trade_ttl_ms,
        },
        uptime_s=round(time.monotonic() - parts.started_s, 1),
        exchange_ms=None if parts.clock.uncertainty_ms() is None else parts.clock.now_ms(),
        equity=None if portfolio is None else portfolio.total_balance,
        counts=counts,
        statistics=await parts.ledger.statistics(),
    )


@get("/api/price/{symbol:str}", opt={"answers": {200: dict[str, str]}})
async def price(parts: NamedDependency[Parts], symbol: FromPath[str]) -> dict[str, str]:
    """The last price with the 24 h ticker, mark, funding, best bid and ask. 404 when there is none of the last 30 s."""
    checked = checked_symbol(symbol)
    fields = await parts.bus.price(checked)
    if fields is None:
        known = await parts.bus.symbols()
        if checked in known:
            raise Problem(HTTPStatus.NOT_FOUND, f"no price of {checked} in the last 30 s")
        raise Problem(HTTPStatus.NOT_FOUND, f"unknown symbol {checked}: not subscribed", subscribed=known)
    return {"symbol": checked, **fields}


@get("/api/portfolio", opt={"answers": {200: Portfolio}})
async def portfolio(parts: NamedDependency[Parts]) -> Portfolio:
    """Balance, active positions, count."""
    positions = await parts.ledger.active_positions()
    return Portfolio(balance=await parts.ledger.portfolio(), active_positions=positions, count=len(positions))


@get("/api/metrics", opt={"answers": {200: MetricsReport}})
async def metrics(parts: NamedDependency[Parts]) -> MetricsReport:
    """Ticks, analyses, decisions, orders, lag by symbol, and the machine's state."""
    pipeline, symbols = parts.pulse.now()
    return MetricsReport(
        pipeline=pipeline,
        symbols=symbols,
        counts=await parts.ledger.counts(),
        host=await parts.bus.host(),
        services=tuple(await parts.bus.heartbeats()),
    )
