"""Recorded frames of several files into one market: merged, freed of repeats, aggregated, in order of time.

Across streams and files event times go back by some ms, within one stream they do not. So frames wait in a
heap until every file has been read REORDER_MS further; repeats (overlapping files) then lie side by side.
"""

import heapq
from typing import Final

from phoenix95.paper.core.aggregate import Aggregator
from phoenix95.paper.core.emission import Emission, agg_payload
from phoenix95.paper.core.frames import AggTrade, BookTicker, Frame, TradeFrame

REORDER_MS: Final = 2000


class Replay:
    """Frames in, emissions out. `native` are the symbols whose own `aggTrade` frames are recorded.

    Those keep their ids and their `trade` frames are not needed; the other symbols' trades are aggregated.
    """

    def __init__(self, symbols: frozenset[str], native: frozenset[str]) -> None:
        self._symbols = symbols
        self._native = native
        self._aggregators = {symbol: Aggregator(symbol) for symbol in sorted(symbols - native)}
        self._waiting: list[tuple[int, int, int, Frame]] = []
        self._ready: list[tuple[int, int, Emission]] = []
        self._counter = 0
        self._last_agg: dict[str, int] = {}
        self._last_book: dict[str, int] = {}
        self._last_ms: dict[tuple[str, str], int] = {}
        self.repeated = 0

    def add(self, frame: Frame, stream_ms: int) -> None:
        """Take a frame; `stream_ms` is the running maximum of its stream's event times in its file."""
        body = frame.body
        if body.s in self._symbols and not (frame.kind == "trade" and body.s in self._native):
            self._counter += 1
            heapq.heappush(self._waiting, (stream_ms, _id_of(body), self._counter, frame))

    def settle(self, watermark_ms: int | None) -> None:
        """Everything up to `watermark_ms` (None: the end) was added: bring it into order."""
        final = watermark_ms is None
        limit = 0 if watermark_ms is None else watermark_ms - REORDER_MS
        while self._waiting and (final or self._waiting[0][0] <= limit):
            self._take(heapq.heappop(self._waiting)[3])
        for aggregator in self._aggregators.values():
            closed = aggregator.finish() if final else aggregator.settle(limit)
            if closed is not None:
                self._emit("aggTrade", closed, agg_payload(closed))

    def pop(self, until_ms: int) -> Emission | None:
        """The next emission at or before `until_ms`, or None."""
        if self._ready and self._ready[0][0] <= until_ms:
            return heapq.heappop(self._ready)[2]
        return None

    def next_ms(self) -> int | None:
        """Time of the next emission that is in order already."""
        return self._ready[0][0] if self._ready else None

    @property
    def skipped(self) -> int:
        """Trades left out: repeated ones and those that are not market trades."""
        return self.repeated + sum(aggregator.skipped for aggregator in self._aggregators.values())

    def _take(self, frame: Frame) -> None:
        body = frame.body
        if isinstance(body, TradeFrame):
            closed = self._aggregators[body.s].add(body)
            if closed is not None:
                self._emit("aggTrade", closed, agg_payload(closed))
        elif isinstance(body, AggTrade):
            if body.a <= self._last_agg.get(body.s, -1):
                self.repeated += 1
                return
            self._last_agg[body.s] = body.a
            self._emit("aggTrade", body, frame.payload)
        else:
            if body.u and body.u <= self._last_book.get(body.s, -1):
                return
            self._last_book[body.s] = body.u
            self._emit("bookTicker", body, frame.payload)

    def _emit(self, kind: str, body: AggTrade | BookTicker, payload: bytes) -> None:
        ms = self._last_ms[kind, body.s] = max(body.E, self._last_ms.get((kind, body.s), 0))
        self._counter += 1
        heapq.heappush(self._ready, (ms, self._counter, Emission(ms, body.s, body, payload)))


def _id_of(body: AggTrade | TradeFrame | BookTicker) -> int:
    if isinstance(body, TradeFrame):
        return body.t
    return body.a if isinstance(body, AggTrade) else body.u
