"""The feed: frames of the exchange in, contiguous tick streams out."""

import asyncio
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

import structlog

from phoenix95.common.bus.beat import write_heartbeat
from phoenix95.common.bus.client import Connection, ping
from phoenix95.common.bus.meta import agree_on_mode, agree_on_partitions
from phoenix95.common.errors import TransientError
from phoenix95.common.events import Heartbeat
from phoenix95.common.retry import forever, pause
from phoenix95.common.serve import Context
from phoenix95.common.timekeeper import ExchangeClock
from phoenix95.feed.commands import Commands
from phoenix95.feed.config import FeedSettings
from phoenix95.feed.core.note import read_note
from phoenix95.feed.core.status import status_of
from phoenix95.feed.desk import Desk, Place
from phoenix95.feed.letters import Letters
from phoenix95.feed.mender import Mender
from phoenix95.feed.sources import Source
from phoenix95.feed.symbols import Symbols

HEARTBEAT_S: Final = 3.0


class Feed:
    """All parts of the feed, joined. `run` works until the context's stop."""

    def __init__(
        self,
        context: Context[FeedSettings],
        *,
        redis: Connection,
        reader: Connection,
        source: Source,
        clock: ExchangeClock,
    ) -> None:
        self._context = context
        self._redis = redis
        self._source = source
        self._clock = clock
        settings = context.settings
        self._letters = Letters(redis)
        self._desk = Desk(
            settings=settings,
            redis=redis,
            clock=clock,
            letters=self._letters,
            metrics=context.metrics,
            health=context.health,
        )
        self._mender = Mender(settings=settings, redis=redis, desk=self._desk, source=source, metrics=context.metrics)
        self._symbols = Symbols(settings, redis, source)
        self._commands = Commands(redis, reader, self._symbols, self._letters)
        self._menders: dict[str, asyncio.Task[None]] = {}
        context.health.check("exchange", source.reason)

    async def run(self) -> None:
        """Wait for Redis, then work until the stop, and publish what is held."""
        stop = self._context.stop
        settings = self._context.settings

        async def greet() -> None:
            await ping(self._redis)
            await agree_on_partitions(self._redis, settings.partitions)
            await agree_on_mode(self._redis, settings.mode)

        await forever(greet, name="redis at start", stop=stop, health=self._context.health, cap_s=1.0)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._clock.keep(stop), name="clock")
            group.create_task(self._desk.publish(stop), name="publish")
            group.create_task(self._desk.show_prices(stop), name="prices")
            group.create_task(self._letters.write(stop), name="letters")
            group.create_task(self._commands.obey(stop), name="commands")
            group.create_task(self._beat(stop), name="heartbeat")
            source = group.create_task(self._source.run(self._desk), name="source")
            group.create_task(self._symbols.follow(lambda wanted: self._apply(wanted, group), stop), name="symbols")
            await stop.wait()
            source.cancel()
            for mender in self._menders.values():
                mender.cancel()
            self._symbols.changed.set()
            self._desk.wake()

    def _apply(self, wanted: Mapping[str, bytes], group: asyncio.TaskGroup) -> None:
        """Follow exactly these symbols; one that was removed and added in between begins anew."""
        if self._context.stop.is_set():
            return
        places = self._desk.places
        notes = {symbol: read_note(text) for symbol, text in wanted.items()}
        for symbol, place in list(places.items()):
            note = notes.get(symbol)
            if symbol not in notes or (note is not None and note.after and note != place.note):
                self._menders.pop(symbol).cancel()
                del places[symbol]
        for symbol, note in notes.items():
            if symbol not in places:
                places[symbol] = place = Place(symbol, note, self._context.settings.line_max)
                self._menders[symbol] = group.create_task(self._mender.work(place), name=f"mend {symbol}")
        self._source.follow(places)

    async def _beat(self, stop: asyncio.Event) -> None:
        """Say that we live, and show the source's counters."""
        context = self._context
        facts = context.metrics.gauge("p95_feed_source", "Counters of the source", ["fact"])
        while True:
            told = self._source.facts()
            for fact, value in told.items():
                facts.labels(fact).set(value)
            beat = Heartbeat(
                service=context.service,
                instance=context.instance,
                version=version("phoenix95-feed"),
                started_wall_ms=context.started_wall_ms,
                progress_wall_ms=context.health.progress_wall_ms(),
                feed=status_of(told, self._source.reason(), self._desk.places),
            )
            try:
                await write_heartbeat(self._redis, beat)
            except TransientError as error:
                structlog.get_logger().debug("heartbeat_not_written", reason=str(error))
            if await pause(stop, HEARTBEAT_S):
                return
