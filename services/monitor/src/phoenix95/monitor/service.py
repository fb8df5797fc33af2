"""Look at the host, write it down, say that we live: in that order, until the stop."""

import asyncio
import contextlib
import time
from importlib.metadata import version
from typing import Final

from phoenix95.common import keys
from phoenix95.common.bus import Connection, connect
from phoenix95.common.bus.append import append
from phoenix95.common.bus.beat import HEARTBEAT_TTL_MS, write_expiring, write_heartbeat
from phoenix95.common.bus.meta import agree_on_partitions
from phoenix95.common.errors import ConfigError, TransientError
from phoenix95.common.events import Heartbeat, HostSample
from phoenix95.common.retry import StopRequested, forever, pause
from phoenix95.common.serve import Context
from phoenix95.common.streams import TABLE
from phoenix95.monitor.bookkeeper import Bookkeeper
from phoenix95.monitor.config import MonitorSettings
from phoenix95.monitor.core.expiry import expiry_ms
from phoenix95.monitor.gauges import Gauges
from phoenix95.monitor.ledger.postgres import Postgres
from phoenix95.monitor.probes.host import HostProbe

HOST_MAX: Final = next(key.keep_max for key in TABLE if key.name == keys.HOST)


async def main(context: Context[MonitorSettings]) -> None:
    """Run until the stop. While Redis is away samples are taken and lost: an old host state is no news."""
    settings = context.settings
    try:
        probe = HostProbe(settings.disk_path)
    except OSError as error:
        raise ConfigError(f"P95_MONITOR_DISK_PATH: {settings.disk_path}: {error.strerror}") from error
    password = settings.redis_password.reveal() or None
    redis = connect(settings.redis_url, name="p95-monitor", username=settings.redis_username, password=password)
    books = Bookkeeper(context, Postgres(settings.postgres_url)) if settings.postgres_url else None
    try:
        async with asyncio.TaskGroup() as tasks:
            if books is not None:
                tasks.create_task(books.run(), name="books")
            with contextlib.suppress(StopRequested):
                await forever(
                    lambda: agree_on_partitions(redis, settings.partitions),
                    name="redis",
                    stop=context.stop,
                    health=context.health,
                )
                await _watch(context, redis, probe)
    finally:
        await redis.aclose()


async def _watch(context: Context[MonitorSettings], redis: Connection, probe: HostProbe) -> None:
    settings = context.settings
    gauges = Gauges(context.metrics)
    running = version("phoenix95-monitor")
    away = False
    context.health.set("sample", "no sample yet")
    while not context.stop.is_set():
        started_s = time.monotonic()
        # In a thread: reading /proc takes milliseconds that the loop should not stand still for.
        sample = await asyncio.to_thread(probe.sample, time.time_ns() // 1_000_000)
        gauges.show(sample)
        try:
            await _write(context, redis, sample, running)
        except TransientError as error:
            if not away:
                context.log.warning("redis_away", reason=str(error))
            away = True
            context.health.set("redis", "Redis does not answer")
        else:
            if away:
                context.log.info("redis_back")
            away = False
            context.health.set("redis", None)
            context.health.set("sample", None)
            context.health.progress("sample")
        await pause(context.stop, settings.sample_ms / 1000 - (time.monotonic() - started_s))


async def _write(context: Context[MonitorSettings], redis: Connection, sample: HostSample, running: str) -> None:
    ttl_ms = expiry_ms(context.settings.sample_ms)
    await write_expiring(redis, keys.HOST_NOW, sample, ttl_ms)
    await append(redis, keys.HOST, sample, maxlen=HOST_MAX)
    beat = Heartbeat(
        service=context.service,
        instance=context.instance,
        version=running,
        started_wall_ms=context.started_wall_ms,
        progress_wall_ms=sample.ts_wall_ms,
    )
    await write_heartbeat(redis, beat, ttl_ms=max(HEARTBEAT_TTL_MS, ttl_ms))
