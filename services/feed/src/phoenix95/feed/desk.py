"""Where frames come in and ticks go out: one line a symbol, published in batches through the guard."""

import asyncio
import time
from collections.abc import Iterable
from typing import Final, NamedTuple

import structlog

from phoenix95.common.bus.client import Connection
from phoenix95.common.bus.prices import write_prices
from phoenix95.common.bus.publish import Published, PublishGuard, TickEntry
from phoenix95.common.errors import TransientError
from phoenix95.common.health import Health
from phoenix95.common.ids import STREAM_START
from phoenix95.common.metrics import Metrics
from phoenix95.common.retry import backoff, pause
from phoenix95.common.timekeeper import ExchangeClock
from phoenix95.feed.config import FeedSettings
from phoenix95.feed.core.frames import TIME_MAX_MS, AggTrade, Data
from phoenix95.feed.core.line import Entry, Line
from phoenix95.feed.core.note import Note
from phoenix95.feed.core.prices import PriceBoard
from phoenix95.feed.letters import Letters

PRICE_EVERY_S: Final = 0.2  # a symbol's price hash is written at most five times a second
LEAD_MS: Final = 3_600_000  # a paper exchange's time may run far ahead between two looks at its clock
RETRY_CAP_S: Final = 1.0  # so that a Redis that is back is used within a second
STUCK_S: Final = 5.0  # trades that wait longer than this make the service not ready
BAD_AGAIN_S: Final = 5.0  # a stream of bad frames asks history no more often than this


class Opening(NamedTuple):
    """A stretch that has no trade yet: trades are wanted from `start_ms` on, behind the id `after` if there is one."""

    start_ms: int
    after: str = ""


class Place:
    """A followed symbol: its line, its prices, and how far its stream is opened and mended."""

    def __init__(self, symbol: str, note: Note | None, limit: int) -> None:
        self.symbol = symbol
        self.note = note
        self.line = Line(symbol, limit)
        self.board = PriceBoard(symbol)
        self.live = False  # its stretch has a trade and no hole is known: trades go straight to the guard
        self.due = asyncio.Event()  # the mender has to look
        self.ask = False  # and to ask history even when no trade waits
        self.opening: Opening | None = None
        self.trouble: str | None = None  # what the mender waits for
        self.progress_at = time.monotonic()
        self.heard_at = time.monotonic()

    def settle(self, answer: Published) -> None:
        """Believe the stream's own last id."""
        if answer.appended:
            self.progress_at = time.monotonic()
        self.line.stored(answer.top or STREAM_START)

    def reason(self, now: float) -> str | None:
        """Why the symbol is not well, or None. A quiet symbol is well."""
        if self.line.foreign_id is not None:
            return self.foreign()
        waited_s = now - self.progress_at
        if (len(self.line) or self.trouble) and waited_s > STUCK_S:
            return f"{self.symbol}: {len(self.line)} trades wait for {waited_s:.0f} s: {self.trouble or 'publishing'}"
        return None

    def foreign(self) -> str:
        """What to say of trades whose ids the stream has passed already, though they are younger."""
        return (
            f"{self.symbol}: the exchange sends trade {self.line.foreign_id} while {self.line.top_a} is stored; "
            "this Redis holds another market's ticks: start with an empty one"
        )


class Desk:
    """The sink of a source, and the publisher behind it."""

    def __init__(
        self,
        *,
        settings: FeedSettings,
        redis: Connection,
        clock: ExchangeClock,
        letters: Letters,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self.places: dict[str, Place] = {}
        self.guard = PublishGuard(redis, settings.partitions)
        self.latest_ms = TIME_MAX_MS
        self._settings = settings
        self._redis = redis
        self._clock = clock
        self._letters = letters
        self._health = health
        self._log = structlog.get_logger()
        self._wake = asyncio.Event()
        self._redis_away: str | None = None
        self._bad_at = 0.0
        self._published = metrics.counter("p95_feed_ticks_total", "Entries appended to tick streams", ["symbol"])
        self._skipped = metrics.counter("p95_feed_duplicates_total", "Trades that were stored already", ["symbol"])
        self._bad = metrics.counter("p95_feed_bad_frames_total", "Frames that were refused", ["route"])
        self._waiting = metrics.gauge("p95_feed_waiting", "Trades that wait to be published", ["symbol"])
        self._refused = metrics.gauge("p95_feed_refused", "Trades refused by a full line, to be fetched", ["symbol"])
        self._received_hop = metrics.hop_histogram("exchange_feed")
        self._stored_hop = metrics.hop_histogram("feed_stream")
        health.check("redis", lambda: self._redis_away)
        health.check("symbols", self._symbols_reason)

    # ------------------------------------------------------------ the sink

    def data(self, data: Data) -> None:
        """Take a checked frame of a followed symbol; what comes late for a removed one is dropped."""
        place = self.places.get(data.symbol)
        if place is None:
            return
        place.board.show(data)
        if not isinstance(data, AggTrade):
            return
        place.heard_at = time.monotonic()
        line = place.line
        was_foreign = line.foreign_id is not None
        if line.offer(data, place.board, time.time_ns() // 1_000_000):
            if len(place.line) == 1:
                place.progress_at = place.heard_at
            self.nudge(place)
        elif line.foreign_id is not None and not was_foreign:
            self._log.error("another_market", symbol=place.symbol, reason=place.foreign())

    def bad(self, source: str, reason: str, frame: bytes) -> None:
        """Keep a refused frame for people, and let history say whether a trade was in it."""
        self._bad.labels(source).inc()
        self._letters.drop(source, reason, frame)
        now = time.monotonic()
        if now - self._bad_at > BAD_AGAIN_S:
            self._bad_at = now
            self._log.warning("bad_frame", source=source, reason=reason[:300])
            asyncio.get_running_loop().call_later(BAD_AGAIN_S / 5, self.subscribed, list(self.places))

    def subscribed(self, symbols: Iterable[str]) -> None:
        """Let history say what was missed before now."""
        for symbol in symbols:
            place = self.places.get(symbol)
            if place is not None:
                place.ask = True
                place.due.set()

    def nudge(self, place: Place) -> None:
        """A place has something to publish."""
        (self._wake if place.live else place.due).set()

    def wake(self) -> None:
        """Let the publisher look."""
        self._wake.set()

    # ------------------------------------------------------------ the publisher

    async def publish(self, stop: asyncio.Event) -> None:
        """Publish what waits, until `stop`; once more then, so that nothing stays behind needlessly."""
        waits = backoff(cap_s=RETRY_CAP_S)
        while not stop.is_set():
            await self._wake.wait()
            if self._settings.linger_ms:
                await asyncio.sleep(self._settings.linger_ms / 1000)
            self._wake.clear()
            if await self.flush():
                waits = backoff(cap_s=RETRY_CAP_S)
            else:
                self._wake.set()
                await pause(stop, next(waits))
        await self.flush()

    async def flush(self) -> bool:
        """Publish one batch of every live place. False when Redis did not take it: the trades wait on."""
        batches = {
            place.symbol: (place, batch)
            for place in self.places.values()
            if place.live and (batch := place.line.batch(self._settings.batch_max))
        }
        if not batches:
            return True
        for _, batch in batches.values():
            self._observe(batch[-1].ms)
        began = time.monotonic()
        try:
            answers = await self.guard.publish(
                [tick for place, batch in batches.values() for tick in ticks_of(place.symbol, batch)]
            )
        except TransientError as error:
            self.lost_redis(error)
            return False
        self.found_redis()
        self._stored_hop.observe((time.monotonic() - began) * 1000)
        for symbol, answer in answers.items():
            place, _ = batches[symbol]
            self.settle(place, answer)
            if answer.gap_after is not None:
                place.live = False
                place.due.set()
            elif len(place.line):
                self._wake.set()
        return True

    def settle(self, place: Place, answer: Published) -> None:
        """Count what the guard did and believe it."""
        place.settle(answer)
        if answer.appended:
            self._published.labels(place.symbol).inc(answer.appended)
            self._health.progress("publish")
        if answer.skipped:
            self._skipped.labels(place.symbol).inc(answer.skipped)

    def lost_redis(self, error: Exception) -> None:
        """Redis did not answer; say it once."""
        if self._redis_away is None:
            self._log.warning("redis_away", reason=str(error))
        self._redis_away = f"Redis is away: {error}"

    def found_redis(self) -> None:
        """Redis answered; say it once."""
        if self._redis_away is not None:
            self._log.info("redis_back")
        self._redis_away = None

    # ------------------------------------------------------------ beside the ticks

    async def show_prices(self, stop: asyncio.Event) -> None:
        """Write out changed prices until `stop`. A lost write is repaired by the next change."""
        while not await pause(stop, PRICE_EVERY_S):
            self._look()
            changed = [place.board for place in self.places.values() if place.board.changed]
            if not changed or self._redis_away is not None:
                continue
            prices = {board.symbol: board.fields() for board in changed}
            for board in changed:
                board.changed = False
            try:
                await write_prices(self._redis, prices, self._settings.partitions)
            except TransientError as error:
                self._log.debug("prices_not_written", reason=str(error))

    def _look(self) -> None:
        known = self._clock.uncertainty_ms() is not None
        self.latest_ms = self._clock.now_ms() + LEAD_MS if known else TIME_MAX_MS
        for place in self.places.values():
            self._waiting.labels(place.symbol).set(len(place.line))
            self._refused.labels(place.symbol).set(place.line.refused)

    def _observe(self, trade_ms: int) -> None:
        if self._clock.uncertainty_ms() is not None:
            self._received_hop.observe(self._clock.now_ms() - trade_ms)

    def _symbols_reason(self) -> str | None:
        if not self.places:
            return "no symbol is followed"
        now = time.monotonic()
        return "; ".join(reason for place in self.places.values() if (reason := place.reason(now))) or None


def ticks_of(symbol: str, entries: Iterable[Entry]) -> list[TickEntry]:
    """The guard's form of a line's entries."""
    return [TickEntry(symbol, entry.kind, entry.ms, entry.a, entry.d) for entry in entries]
