"""Put the monitor together: it watches the host, keeps the books, and tells people; each until the stop."""

import asyncio
import contextlib

from phoenix95.common.bus import Connection, connect, connect_reader
from phoenix95.common.bus.meta import agree_on_partitions
from phoenix95.common.bus.reader import LogReader
from phoenix95.common.errors import ConfigError
from phoenix95.common.retry import StopRequested, forever
from phoenix95.common.serve import Context
from phoenix95.monitor.bookkeeper import Bookkeeper
from phoenix95.monitor.config import MonitorSettings
from phoenix95.monitor.ledger.postgres import Postgres
from phoenix95.monitor.ledger.tables import SystemEvents
from phoenix95.monitor.notify.channels import open_channels
from phoenix95.monitor.post import Post
from phoenix95.monitor.probes.host import HostProbe
from phoenix95.monitor.recorder import Recorder
from phoenix95.monitor.telling import READ_BLOCK_MS, Telling
from phoenix95.monitor.watch import Watch


async def main(context: Context[MonitorSettings]) -> None:
    """Run until the stop. Raises ConfigError for a path that is not there and for a channel that is none."""
    settings = context.settings
    try:
        probe = HostProbe(settings.disk_path)
    except OSError as error:
        raise ConfigError(f"P95_MONITOR_DISK_PATH: {settings.disk_path}: {error.strerror}") from error
    postgres = Postgres(settings.postgres_url) if settings.postgres_url else None
    # In a thread: what sends is loaded only now, and takes some tenths of a second.
    channels = await asyncio.to_thread(open_channels, settings.channel_addresses())
    post = Post(context, channels)
    password = settings.redis_password.reveal() or None
    user = settings.redis_username
    redis = connect(settings.redis_url, name="p95-monitor", username=user, password=password)
    blocking = connect_reader(
        settings.redis_url, name="p95-monitor-reader", block_ms=READ_BLOCK_MS, username=user, password=password
    )
    reader = LogReader(blocking, READ_BLOCK_MS)
    recorder = None if postgres is None else Recorder(context, redis, SystemEvents(postgres))
    try:
        async with asyncio.TaskGroup() as tasks:
            if postgres is not None:
                tasks.create_task(Bookkeeper(context, postgres).run(), name="books")
            with contextlib.suppress(StopRequested):
                await _agree(context, redis)
                tasks.create_task(Telling(context, redis, reader, post, recorder).run(), name="telling")
                await Watch(context, redis, probe, post).run()
    finally:
        await blocking.aclose()
        await redis.aclose()


async def _agree(context: Context[MonitorSettings], redis: Connection) -> None:
    await forever(
        lambda: agree_on_partitions(redis, context.settings.partitions),
        name="redis",
        stop=context.stop,
        health=context.health,
    )
