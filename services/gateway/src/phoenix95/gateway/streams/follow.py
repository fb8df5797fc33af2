"""Follows the order events and acknowledgements, so that a caller can wait for what came of a request."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
import structlog

from phoenix95.common import keys
from phoenix95.common.bus.reader import Entry, LogReader
from phoenix95.common.errors import TransientError
from phoenix95.common.events import Ack, OrderEvent
from phoenix95.common.ids import command_analysis_id
from phoenix95.common.retry import backoff, pause
from phoenix95.common.wire import ack_decoder, order_decoder
from phoenix95.gateway.core.asking import RequestName

READ_BLOCK_MS: Final = 200  # so that a stop is noticed within 200 ms
REMEMBERED: Final = 1_000  # requests and commands; far more than can wait at once
REGRESSION_CHECK_S: Final = 5.0

Asked = RequestName | str
"""What somebody asked for: a request by its name, or a trade by command by the id of its analysis."""

K = TypeVar("K")
V = TypeVar("V")


class Follower:
    """One reader for all callers. It starts at the streams' ends: what came before is in Postgres."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._offsets: dict[str, str] = {}
        self._events: OrderedDict[Asked, list[OrderEvent]] = OrderedDict()
        self._acks: OrderedDict[str, Ack] = OrderedDict()
        self._changed = asyncio.Event()
        self._log = structlog.get_logger()

    @property
    def following(self) -> bool:
        """Whether it knows where the streams end; before that an outcome could be missed."""
        return bool(self._offsets)

    def events(self, asked: Asked) -> list[OrderEvent]:
        """What happened to it so far, oldest first; empty when nothing did, or it was long ago."""
        return list(self._events.get(asked, ()))

    def ack(self, command_id: str) -> Ack | None:
        """The outcome of a command; None while nobody acknowledged it."""
        return self._acks.get(command_id)

    async def wait_until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `holds()`, asked again after every batch of news. Returns whether it came true in time."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            try:
                await asyncio.wait_for(self._changed.wait(), left_s)
            except TimeoutError:
                return holds()
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop`. Redis may go away and come back meanwhile; no event is missed by that."""
        waits = None
        checked_at_s = 0.0
        while not stop.is_set():
            try:
                # Streams that ended before our offset were rolled back: without this the reader waits for ever.
                if not self._offsets or waits is not None or time.monotonic() - checked_at_s > REGRESSION_CHECK_S:
                    await self._find_ends()
                    checked_at_s = time.monotonic()
                streams = await self._reader.read(self._offsets)
            except TransientError as error:
                if waits is None:
                    self._log.warning("order_events_away", reason=str(error))
                    waits = backoff(cap_s=1.0)
                await pause(stop, next(waits))
                continue
            if waits is not None:
                self._log.info("order_events_back")
                waits = None
            self._take(streams)

    async def _find_ends(self) -> None:
        """At the start go to the ends; later only where a stream ends before our offset."""
        if not self._offsets:
            ends = await self._reader.last_ids((keys.ORDER, keys.ACK))
            self._offsets = {key: str(end) for key, end in ends.items()}
            return
        for key in await self._reader.regressed(self._offsets):
            self._log.warning("stream_went_back", key=key, offset=self._offsets[key])
            self._offsets[key] = str((await self._reader.last_ids((key,)))[key])

    def _take(self, streams: list[tuple[str, list[Entry]]]) -> None:
        for key, entries in streams:
            for entry_id, fields in entries:
                self._offsets[key] = entry_id
                try:
                    self._note(key, fields.get(b"d", b""))
                except msgspec.MsgspecError as error:
                    # It stays in its stream, and whoever acts on that stream dead-letters it; here it answers nobody.
                    self._log.warning("entry_unreadable", key=key, entry_id=entry_id, error=str(error))
        if streams:
            news, self._changed = self._changed, asyncio.Event()
            news.set()

    def _note(self, key: str, d: bytes) -> None:
        if key == keys.ACK:
            ack = ack_decoder.decode(d)
            self._acks.setdefault(ack.command_id, ack)
            _forget_oldest(self._acks)
            return
        event = order_decoder.decode(d)
        if event.request is not None:
            manual = command_analysis_id(event.symbol, event.request)
            asked = manual if event.analysis_id == manual else RequestName(event.symbol, event.request)
            self._events.setdefault(asked, []).append(event)
            _forget_oldest(self._events)


def _forget_oldest(kept: OrderedDict[K, V]) -> None:
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
