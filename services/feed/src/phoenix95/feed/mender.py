"""One task a symbol: open its tick stream, and keep it without holes by the exchange's history."""

import asyncio
import time
from typing import Final

import structlog

from phoenix95.common.bus.client import Connection
from phoenix95.common.bus.publish import BATCH_MAX, Published, TickEntry
from phoenix95.common.bus.symbols import add_symbol
from phoenix95.common.errors import TransientError, VenueRejected
from phoenix95.common.events import Resume
from phoenix95.common.ids import STREAM_START, StreamId
from phoenix95.common.metrics import Metrics
from phoenix95.common.retry import backoff
from phoenix95.common.wire import encode
from phoenix95.feed.config import FeedSettings
from phoenix95.feed.core.frames import AggTrade
from phoenix95.feed.core.history import Hole, gap_entry, hole_of, mended, seeds
from phoenix95.feed.core.line import Entry
from phoenix95.feed.core.note import Note, resumes, write_note
from phoenix95.feed.desk import Desk, Opening, Place, ticks_of
from phoenix95.feed.sources import Source

QUIET_S: Final = 30.0  # no trade for as long: ask history, in case the channel is dead or the last frame was lost
NOTE_MARGIN_MS: Final = 1000  # the first trade may be a little older than the exchange's clock says
NOTE_AGE_MAX_MS: Final = 3_600_000  # an opening that failed for longer begins anew: nothing was promised yet
SEEDS_AGE_MAX_MS: Final = 3_600_000  # history of trades is asked for an hour at most
RETRY_CAP_S: Final = 5.0
HISTORY_RETRY_S: Final = 0.25  # history may lag behind the frames by a moment
HISTORY_RETRY_CAP_S: Final = 4.0


class Mender:
    """Opens and mends; `work` is the task of one symbol."""

    def __init__(
        self, *, settings: FeedSettings, redis: Connection, desk: Desk, source: Source, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._desk = desk
        self._source = source
        self._log = structlog.get_logger()
        self._gaps = metrics.counter("p95_feed_gap_trades_total", "Trades that are missing for good", ["symbol"])
        self._fetched = metrics.counter("p95_feed_mended_total", "Trades supplied by history", ["symbol"])
        self._seeded = metrics.counter("p95_feed_seeds_total", "Historical bars written", ["symbol"])

    async def work(self, place: Place) -> None:
        """Open the stream, then mend whenever it is due, until cancelled. Away Redis and exchange are waited for."""
        waits = backoff(cap_s=RETRY_CAP_S)
        opened = False
        while True:
            try:
                if not opened:
                    await self._open(place)
                    opened = True
                else:
                    await self._wait(place)
                await self._mend(place)
                place.trouble = None
                waits = backoff(cap_s=RETRY_CAP_S)
            except (TransientError, VenueRejected) as error:
                if place.trouble is None:
                    self._log.warning("history_waits", symbol=place.symbol, reason=str(error))
                place.trouble = str(error)
                place.ask = True
                place.due.set()
                await asyncio.sleep(next(waits))

    async def _wait(self, place: Place) -> None:
        """Wait until history is due; that it is quiet for long is a reason to ask too."""
        while not place.due.is_set():
            try:
                await asyncio.wait_for(place.due.wait(), QUIET_S)
            except TimeoutError:
                if time.monotonic() - place.heard_at >= QUIET_S:
                    place.ask = True
                    return

    # ------------------------------------------------------------ opening

    async def _open(self, place: Place) -> None:
        """Find out where the stream stands; before the first trade of a stretch write what belongs there."""
        top = await self._top(place)
        note = await self._noted(place, fresh=top is None or top.seq == 0)
        if resumes(note, top):
            place.opening = Opening(note.since, note.after)
        elif top is None or top.seq == 0:
            place.opening = Opening(await self._seed(place, note.since))
        place.ask = True

    async def _top(self, place: Place) -> StreamId | None:
        try:
            top = await self._desk.guard.top(place.symbol)
        except TransientError as error:
            self._desk.lost_redis(error)
            raise
        place.line.stored(top or STREAM_START)
        return top

    async def _noted(self, place: Place, *, fresh: bool) -> Note:
        """The symbol's note; a new one when there is none, or when it is too old to open a stretch with."""
        note = place.note
        if note is not None and not fresh:
            return note
        now_ms = await self._source.exchange_ms()
        if note is None or (not note.after and now_ms - note.since > NOTE_AGE_MAX_MS):
            note = place.note = Note(since=now_ms - NOTE_MARGIN_MS)
            await add_symbol(self._redis, place.symbol, write_note(note))
        return note

    async def _seed(self, place: Place, since_ms: int) -> int:
        """Write the bars before `since_ms`, and return from when on trades continue them."""
        count = self._settings.seed_bars
        if not count:
            return since_ms
        try:
            candles = await self._source.candles(place.symbol, since_ms, count + 1)
        except VenueRejected as error:
            self._log.warning("no_history", symbol=place.symbol, reason=str(error))
            return since_ms
        rows = seeds(candles, since_ms, count)
        for start in range(0, len(rows), BATCH_MAX):
            part = rows[start : start + BATCH_MAX]
            answer = await self._publish(place, [TickEntry(place.symbol, "seed", ms, 0, d) for ms, d in part])
            self._seeded.labels(place.symbol).inc(answer.appended)
        if rows and since_ms - rows[-1][0] <= SEEDS_AGE_MAX_MS:
            return rows[-1][0] + 1  # so that the first bar behind the seeds is whole
        return since_ms

    async def _begin(self, place: Place, opening: Opening) -> bool:
        """Publish the first trades of a stretch. False while there are none, here and in history."""
        head = place.line.head
        page = await self._source.trades_since(place.symbol, opening.start_ms)
        head = head or place.line.head
        before = [trade for trade in page if head is None or trade.id < head.a]
        entries = mended(0, before, _wall_ms()) or place.line.batch(self._settings.batch_max)
        if not entries:
            return False
        ticks = ticks_of(place.symbol, entries[: BATCH_MAX - 1])
        if opening.after:
            resume = encode(Resume(after=opening.after))
            ticks.insert(0, TickEntry(place.symbol, "resume", entries[0].ms, 0, resume, opening.after))
        await self._publish(place, ticks)
        self._log.info("stretch_opened", symbol=place.symbol, first=entries[0].a, after=opening.after or None)
        return True

    # ------------------------------------------------------------ mending

    async def _mend(self, place: Place) -> None:
        """Fill what is missing up to the oldest waiting trade, or, when asked, up to the newest that exists."""
        asked, place.ask = place.ask, False
        place.due.clear()
        if place.opening is not None:
            if not await self._begin(place, place.opening):
                return
            place.opening = None
        newest = await self._source.newest(place.symbol) if asked and place.line.head is None else None
        place.live = False
        await self._fill(place, newest.id + 1 if newest is not None else 0)
        place.live = True
        self._desk.nudge(place)

    async def _fill(self, place: Place, newest_goal: int) -> None:
        """Close the hole behind the stream's top page by page; what cannot be had becomes a gap entry."""
        line = place.line
        waits = backoff(first_s=HISTORY_RETRY_S, cap_s=HISTORY_RETRY_CAP_S)
        progress_at = time.monotonic()
        while True:
            head = line.head
            hole = hole_of(line.top_a, head.a if head is not None else newest_goal, self._settings.backfill_max)
            if hole is None:
                return
            patient = time.monotonic() - progress_at < self._settings.backfill_wait_ms / 1000
            entries = await self._supply(place, hole, head, patient=patient)
            if entries:
                before = line.top_a
                await self._publish(place, ticks_of(place.symbol, entries[:BATCH_MAX]))
                self._count(place, entries, before)
                if line.top_a > before:
                    progress_at = time.monotonic()
                    waits = backoff(first_s=HISTORY_RETRY_S, cap_s=HISTORY_RETRY_CAP_S)
                    continue
            elif head is None and not patient:
                return  # no trade is behind the hole yet, so that no gap can be written
            await asyncio.sleep(next(waits))

    async def _supply(self, place: Place, hole: Hole, head: Entry | None, *, patient: bool) -> list[Entry]:
        """What history has for a hole; empty when it may have more in a moment."""
        page: list[AggTrade] = []
        try:
            page = await self._source.trades_from(place.symbol, hole.first)
        except TransientError as error:
            place.trouble = str(error)
            self._log.warning("hole_waits", symbol=place.symbol, first=hole.first, reason=str(error))
        supply = [trade for trade in page if head is None or trade.id < hole.goal]
        if supply:
            return mended(place.line.top_a, supply, _wall_ms())
        if head is not None and (page or not patient):
            # History begins behind the hole, or never answered: these trades cannot be had.
            return [gap_entry(place.line.top_a + 1, hole.goal - 1, head.ms)]
        return []

    def _count(self, place: Place, entries: list[Entry], before: int) -> None:
        first = before + 1
        for entry in entries[:BATCH_MAX]:
            if entry.kind == "gap":
                self._gaps.labels(place.symbol).inc(entry.a - first + 1)
                self._log.error("gap", symbol=place.symbol, first=first, last=entry.a)
            else:
                self._fetched.labels(place.symbol).inc()
            first = entry.a + 1

    async def _publish(self, place: Place, ticks: list[TickEntry]) -> Published:
        try:
            answer = (await self._desk.guard.publish(ticks))[place.symbol]
        except TransientError as error:
            self._desk.lost_redis(error)
            raise
        self._desk.found_redis()
        self._desk.settle(place, answer)
        return answer


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
