"""The exchange and the streams as the audit asks them: read only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from phoenix95.common.bus import connect as connect_redis
from phoenix95.common.bus.client import ping
from phoenix95.common.bus.reader import LogReader
from phoenix95.common.errors import ConfigError, TransientError, VenueRejected
from phoenix95.common.timekeeper import ExchangeClock, exchange_clock
from phoenix95.executor.audit.scene import Unavailable
from phoenix95.executor.config import ExecutorSettings
from phoenix95.executor.venue.binance import Binance
from phoenix95.executor.venue.exchange import Requests
from phoenix95.executor.venue.records import Records

TRIES = 3
AGAIN_S = 0.3


class Looker(Binance):
    """The venue with what it keeps of the past. See `scene.Exchange`."""

    def __init__(self, settings: ExecutorSettings, requests: Requests, clock: ExchangeClock) -> None:
        super().__init__(requests, clock.now_ms, settings.recv_window_ms, hedge=settings.hedge_mode)
        records = Records(requests, clock.now_ms)
        self.now_ms = clock.now_ms
        self.orders, self.conditionals, self.income = records.orders, records.conditionals, records.income


@asynccontextmanager
async def exchange_of(settings: ExecutorSettings) -> AsyncIterator[tuple[Looker | None, Unavailable | None]]:
    """The exchange, or None and why not."""
    if not settings.api_key or not settings.api_secret:
        yield None, Unavailable("no exchange keys are given", chosen=True)
        return
    clock = exchange_clock(settings)
    requests = Requests(settings.exchange_rest_url, settings.api_key.reveal(), settings.api_secret.reveal())
    try:
        looker = Looker(settings, requests, clock)
        reason = await _first_answer(looker, clock)
        yield (None, Unavailable(reason)) if reason else (looker, None)
    finally:
        await clock.aclose()
        await requests.close()


async def _first_answer(looker: Looker, clock: ExchangeClock) -> str:
    """Why the exchange is of no use, or nothing."""
    for attempt in range(TRIES):
        try:
            await clock.measure()
            await looker.account()
        except TransientError as error:
            reason = f"the exchange does not answer: {error}"
            await asyncio.sleep(AGAIN_S * (attempt + 1))
        except VenueRejected as refusal:
            return f"the exchange refuses the keys: {refusal}"
        else:
            return ""
    return reason


@asynccontextmanager
async def streams_of(settings: ExecutorSettings) -> AsyncIterator[tuple[LogReader | None, Unavailable | None]]:
    """The streams, or None and why not."""
    if not settings.redis_url:
        yield None, Unavailable("P95_REDIS_URL is not set", chosen=True)
        return
    password = settings.redis_password.reveal() or None
    redis = connect_redis(settings.redis_url, name="audit", username=settings.redis_username, password=password)
    try:
        try:
            await ping(redis)
            reason = ""
        except (TransientError, ConfigError) as error:
            reason = str(error)
        yield (None, Unavailable(reason)) if reason else (LogReader(redis, 0), None)
    finally:
        await redis.aclose()
