"""The engine: which partitions are ours, and a worker for each.

Every second it says that it lives, reads who else does and what symbols are wanted, and lets go of or takes
what the rendezvous of partitions and members says. Correctness does not depend on any of this.
"""

import asyncio
from typing import Final

from phoenix95 import engine
from phoenix95.common.bus import connect, connect_reader
from phoenix95.common.bus.beat import write_heartbeat
from phoenix95.common.bus.commit import FencedLog
from phoenix95.common.bus.members import Members, owner_of
from phoenix95.common.bus.meta import agree_on_partitions
from phoenix95.common.bus.symbols import read_symbols
from phoenix95.common.errors import TransientError
from phoenix95.common.events import Heartbeat
from phoenix95.common.ids import partition_of
from phoenix95.common.retry import forever, pause
from phoenix95.common.serve import Context
from phoenix95.engine.config import EngineSettings, core_config
from phoenix95.engine.core.factors import base as factors
from phoenix95.engine.core.indicators import base as indicators
from phoenix95.engine.gauges import Gauges
from phoenix95.engine.partition import READ_BLOCK_MS, PartitionWorker, Tools

BEAT_EVERY_S: Final = 1.0
REDIS: Final = "redis"


class Engine:
    """The worker process. `run` works until the context's stop."""

    def __init__(self, context: Context[EngineSettings]) -> None:
        settings = context.settings
        self._context = context
        self._settings = settings
        self._redis = connect(
            settings.redis_url, name="engine", username=settings.redis_username, password=self._password
        )
        self._members = Members(self._redis, context.instance)
        self._gauges = Gauges(context.metrics)
        self._tools = Tools(
            log=FencedLog(self._redis, settings.partitions),
            config=core_config(settings),
            partitions=settings.partitions,
            lease_ms=settings.lease_ms,
            instance=context.instance,
            gauges=self._gauges,
            health=context.health,
            logger=context.log,
        )
        self._workers: dict[int, PartitionWorker] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    @property
    def _password(self) -> str | None:
        return self._settings.redis_password.reveal() or None

    async def run(self) -> None:
        """Follow members and symbols until the stop, then commit and release everything."""
        stop, health = self._context.stop, self._context.health
        indicators.registered(), factors.registered()  # found once, before the first tick
        health.set(REDIS, "not asked yet")
        health.check("partitions", self._not_held)
        health.check("streams", self._went_back)
        try:
            await forever(self._agree, name=REDIS, stop=stop, health=health)
            async with asyncio.TaskGroup() as group:
                while not stop.is_set():
                    try:
                        await self._follow(group)
                        health.set(REDIS, None)
                    except TransientError as error:  # the workers keep what they have and wait for themselves
                        health.set(REDIS, str(error))
                    await pause(stop, BEAT_EVERY_S)
                for worker in self._workers.values():
                    worker.stop.set()
            await self._leave()
        finally:
            await self._redis.aclose()

    async def _agree(self) -> None:
        await agree_on_partitions(self._redis, self._settings.partitions)

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        members = await self._members.beat()
        wanted: dict[int, list[str]] = {}
        for symbol in await read_symbols(self._redis):
            partition = partition_of(symbol, self._settings.partitions)
            if owner_of(partition, members) == self._members.me:
                wanted.setdefault(partition, []).append(symbol)
        for partition, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[partition], self._workers[partition]
            elif partition not in wanted:
                self._workers[partition].stop.set()
        for partition, symbols in wanted.items():
            if partition in self._workers:  # one that was told to stop is started anew when it has ended
                self._workers[partition].symbols = tuple(symbols)
            else:
                self._start(group, partition, tuple(symbols))
        self._gauges.held(sum(worker.held for worker in self._workers.values()))
        await self._beat()

    def _start(self, group: asyncio.TaskGroup, partition: int, symbols: tuple[str, ...]) -> None:
        connection = connect_reader(
            self._settings.redis_url,
            name=f"engine-{partition:02d}",
            block_ms=READ_BLOCK_MS,
            username=self._settings.redis_username,
            password=self._password,
        )
        worker = PartitionWorker(partition, symbols, connection, self._tools)
        self._workers[partition] = worker
        self._tasks[partition] = group.create_task(worker.run(), name=f"partition-{partition:02d}")

    async def _beat(self) -> None:
        context = self._context
        beat = Heartbeat(
            service=context.service,
            instance=context.instance,
            version=engine.__version__,
            started_wall_ms=context.started_wall_ms,
            progress_wall_ms=context.health.progress_wall_ms(),
        )
        await write_heartbeat(self._redis, beat)

    async def _leave(self) -> None:
        try:
            await self._members.leave()
        except TransientError as error:
            self._context.log.info("left_without_a_word", reason=str(error))

    def _not_held(self) -> str | None:
        waiting = sorted(number for number, worker in self._workers.items() if not worker.held)
        return f"waiting for the lease of partitions {waiting}" if waiting else None

    def _went_back(self) -> str | None:
        behind = sorted(key for worker in self._workers.values() for key in worker.regressed)
        return f"streams end before what was read of them: {', '.join(behind)}" if behind else None


async def main(context: Context[EngineSettings]) -> None:
    """Run the engine until it is asked to stop."""
    await Engine(context).run()
