"""Builds the parts and keeps them going: the API, the follower, the pulse, the heartbeat, exchange time."""

import asyncio
import contextlib
from collections.abc import Coroutine
from importlib.metadata import version
from typing import Any

from phoenix95.common.bus import connect, connect_reader
from phoenix95.common.bus.reader import LogReader
from phoenix95.common.retry import StopRequested, forever
from phoenix95.common.serve import Context, bind
from phoenix95.common.timekeeper import ExchangeClock, exchange_clock
from phoenix95.gateway.api.app import make_app
from phoenix95.gateway.api.auth import Keyring
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.server import ApiServer
from phoenix95.gateway.away import POSTGRES, REDIS
from phoenix95.gateway.board.board import Board
from phoenix95.gateway.config import GatewaySettings
from phoenix95.gateway.reads.ledger import Ledger
from phoenix95.gateway.streams.ask import Bus
from phoenix95.gateway.streams.beat import beat
from phoenix95.gateway.streams.entries import Entries
from phoenix95.gateway.streams.follow import READ_BLOCK_MS, Follower
from phoenix95.gateway.streams.history import History
from phoenix95.gateway.streams.pulse import Pulse


async def main(context: Context[GatewaySettings]) -> None:
    """Serve until the stop. Redis, Postgres and the exchange may be away at any time: the API then says so."""
    settings = context.settings
    with bind(settings.host, settings.port, "P95_GATEWAY_PORT") as listening:
        password = settings.redis_password.reveal() or None
        redis = connect(settings.redis_url, name="p95-gateway", username=settings.redis_username, password=password)
        reader = connect_reader(
            settings.redis_url,
            name="p95-gateway-follow",
            block_ms=READ_BLOCK_MS,
            username=settings.redis_username,
            password=password,
        )
        clock = exchange_clock(settings)
        running = version("phoenix95-gateway")
        bus, pulse = Bus(redis, settings.partitions), Pulse(redis, settings.partitions)
        ledger = Ledger(settings.postgres_url)
        board = Board(redis, settings.partitions, bus=bus, ledger=ledger, pulse=pulse, clock=clock, version=running)
        parts = Parts(
            settings=settings,
            version=running,
            bus=bus,
            follower=Follower(LogReader(reader, READ_BLOCK_MS)),
            history=History(redis, settings.partitions),
            entries=Entries(redis, settings.partitions),
            pulse=pulse,
            ledger=ledger,
            board=board,
            clock=clock,
            keyring=Keyring(settings.api_key, settings.host),
            execute_hop=context.metrics.hop_histogram("gateway_execute"),
        )
        context.health.check(REDIS, lambda: parts.pulse.reason)
        context.health.check(POSTGRES, lambda: parts.ledger.reason)
        host, port = listening.getsockname()[:2]
        context.log.info("api_listens", host=host, port=port, orders=bool(settings.api_key))
        try:
            await _run(context, parts, clock, ApiServer(make_app(parts), listening))
        finally:
            parts.ledger.close()
            await redis.aclose()
            await reader.aclose()


async def _run(context: Context[GatewaySettings], parts: Parts, clock: ExchangeClock, server: ApiServer) -> None:
    stop = context.stop
    works = (
        _agree(context, parts),
        parts.follower.run(stop),
        parts.pulse.run(stop),
        parts.ledger.watch(stop),
        parts.keyring.follow(parts.ledger, stop),
        parts.board.run(stop),
        beat(context, parts.bus, parts.version),
        clock.keep(stop),
        server.serve(),
    )
    async with asyncio.TaskGroup() as tasks:
        for work in works:
            tasks.create_task(_all_or_none(work, stop))
        await stop.wait()
        server.stop()


async def _all_or_none(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """When one fails all stop. The group's cancelling alone does not do it: `asyncio.wait_for` of Python 3.11, which
    the Redis driver sends by, can swallow a cancellation, and its loop then goes on for ever."""
    try:
        await work
    except BaseException:
        stop.set()
        raise


async def _agree(context: Context[GatewaySettings], parts: Parts) -> None:
    """Refuse to run with another number of partitions: every key would have another name."""
    with contextlib.suppress(StopRequested):
        await forever(parts.bus.agree, name=REDIS, stop=context.stop)
