"""The public history of aggregate trades of one symbol: bounded, compressed, exact to the letter."""

import zlib
from bisect import bisect_left, bisect_right
from collections import deque
from typing import Final, NamedTuple

from phoenix95.paper.core.frames import AggTrade

KEEP: Final = 100_000  # trades a symbol: hours of a busy one, and less than 3 MB
BLOCK: Final = 500  # trades compressed together; one answer of 1000 opens three blocks at most
LEVEL: Final = 3


class _Block(NamedTuple):
    first: int
    last: int
    first_ms: int
    last_ms: int
    packed: bytes


class Tape:
    """Trades in the order of their ids. Rows are the JSON of `GET /fapi/v1/aggTrades`, without the brackets."""

    def __init__(self, keep: int = KEEP) -> None:
        self._blocks: deque[_Block] = deque(maxlen=max(1, keep // BLOCK))
        self._ids: list[int] = []
        self._times: list[int] = []
        self._rows: list[bytes] = []
        self.count = 0
        self.last_id: int | None = None

    def add(self, trade: AggTrade) -> None:
        """Append a trade; ids and times of a tape never go back."""
        self._ids.append(trade.a)
        self._times.append(trade.T)
        self._rows.append(row_of(trade))
        self.count += 1
        self.last_id = trade.a
        if len(self._rows) >= BLOCK:
            packed = zlib.compress(b"\n".join(self._rows), LEVEL)
            self._blocks.append(_Block(self._ids[0], self._ids[-1], self._times[0], self._times[-1], packed))
            self._ids, self._times, self._rows = [], [], []

    def from_id(self, first: int, limit: int) -> list[bytes]:
        """At most `limit` rows with ids of `first` and above, the oldest first."""
        found: list[bytes] = []
        for block in self._blocks:
            if block.last < first:
                continue
            rows = _rows(block)
            found += rows[bisect_left(rows, first, key=_id_of) :] if block.first < first else rows
            if len(found) >= limit:
                return found[:limit]
        found += self._rows[bisect_left(self._ids, first) :]
        return found[:limit]

    def between(self, start_ms: int, end_ms: int, limit: int) -> list[bytes]:
        """At most `limit` rows with times in [start_ms, end_ms], the oldest first."""
        found: list[bytes] = []
        for block in self._blocks:
            if block.last_ms < start_ms or block.first_ms > end_ms:
                continue
            found += [row for row in _rows(block) if start_ms <= _time_of(row) <= end_ms]
            if len(found) >= limit:
                return found[:limit]
        low, high = bisect_left(self._times, start_ms), bisect_right(self._times, end_ms)
        return (found + self._rows[low:high])[:limit]

    def latest(self, limit: int, end_ms: int | None = None) -> list[bytes]:
        """The last `limit` rows up to `end_ms`, the oldest first."""
        high = len(self._times) if end_ms is None else bisect_right(self._times, end_ms)
        found = self._rows[:high]
        for block in reversed(self._blocks):
            if len(found) >= limit:
                break
            if end_ms is None or block.last_ms <= end_ms:
                found = _rows(block) + found
            elif block.first_ms <= end_ms:
                found = [row for row in _rows(block) if _time_of(row) <= end_ms] + found
        return found[-limit:]


def row_of(trade: AggTrade) -> bytes:
    """A trade as REST tells it. The id comes first and the time last but one: the searches read them in place."""
    maker = "true" if trade.m else "false"
    text = f'{{"a":{trade.a},"p":"{trade.p}","q":"{trade.q}","f":{trade.f},"l":{trade.l},"T":{trade.T},"m":{maker}}}'
    return text.encode()


def _rows(block: _Block) -> list[bytes]:
    return zlib.decompress(block.packed).split(b"\n")


def _id_of(row: bytes) -> int:
    return int(row[5 : row.index(b",")])


def _time_of(row: bytes) -> int:
    start = row.index(b'"T":') + 4
    return int(row[start : row.index(b",", start)])
