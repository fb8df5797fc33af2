"""Exact counts from the streams themselves: every entry is looked at once, by its tag."""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from phoenix95.common.bus import Connection, translated
from phoenix95.common.bus.client import execute
from phoenix95.common.bus.reader import entries_between, last_ids
from phoenix95.common.ids import StreamId

CHUNK: Final = 2000  # entries a call: some 200 kB
_STREAMS: Final = ("tick", "analysis", "reply")


class _Tag(msgspec.Struct, gc=False):
    t: str


_tags: Final = msgspec.json.Decoder(_Tag)


class SymbolCount(NamedTuple):
    """What the streams of a symbol hold. `lag_ms` is how far the engine is behind in exchange time, None unknown."""

    trades: int
    gaps: int
    analyses: int
    replies: int
    last_trade: int
    settled: bool
    lag_ms: int | None


class Census:
    """Counts incrementally: call `count` now and then, at the end until it answers True."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis
        self._offsets: dict[str, str] = {}
        self._tags: dict[str, Counter[str]] = {}
        self._last_trade: dict[str, int] = {}
        self._tops: dict[str, StreamId] = {}
        self._engine: dict[str, StreamId] = {}

    async def count(self, at_most: int) -> bool:
        """Look at up to `at_most` new entries, a little more at most; True when none are left.

        Raises TransientError while Redis is away; nothing is counted twice after it.
        """
        streams = await self._find_streams()
        tops = await last_ids(self._redis, streams)
        for key, top in tops.items():
            if top < StreamId.parse(self._offsets.get(key, "0-0")):  # rolled back: count that one again
                for book in (self._offsets, self._tags, self._last_trade):
                    book.pop(key, None)
        self._tops = tops
        await self._find_engine_offsets([key for key in streams if key.startswith("p95:tick:")])
        left = at_most
        for key in streams:
            while left > 0 and StreamId.parse(self._offsets.get(key, "0-0")) < tops[key]:
                seen = await self._look(key)
                left -= seen
                if seen == 0:
                    break
        return left > 0

    def by_symbol(self) -> dict[str, SymbolCount]:
        """The counts so far."""
        return {
            key.rpartition(":")[2]: self._symbol(key)
            for key in sorted(self._tops, key=lambda key: key.rpartition(":")[2])
            if key.startswith("p95:tick:")
        }

    def _symbol(self, tick_key: str) -> SymbolCount:
        _, _, partition, symbol = tick_key.split(":", 3)
        ticks = self._tags.get(tick_key, Counter())
        top, offset = self._tops[tick_key], self._engine.get(tick_key)
        return SymbolCount(
            trades=ticks["trade"],
            gaps=ticks["gap"],
            analyses=self._tags.get(f"p95:analysis:{partition}:{symbol}", Counter())["analysis"],
            replies=self._tags.get(f"p95:reply:{partition}:{symbol}", Counter())["analysis"],
            last_trade=self._last_trade.get(tick_key, 0),
            settled=offset is not None and offset >= top,
            lag_ms=None if offset is None else max(0, top.ms - offset.ms),
        )

    async def _find_streams(self) -> list[str]:
        found: set[str] = set()
        for kind in _STREAMS:
            cursor: bytes | int = 0
            while True:
                with translated("scan of the streams"):
                    cursor, names = await execute(self._redis, "SCAN", cursor, "MATCH", f"p95:{kind}:*", "COUNT", 1000)
                found.update(name.decode() for name in names)
                if int(cursor) == 0:
                    break
        return sorted(found)

    async def _find_engine_offsets(self, tick_keys: list[str]) -> None:
        by_partition: dict[str, list[str]] = {}
        for key in tick_keys:
            by_partition.setdefault(key.split(":", 3)[2], []).append(key)
        for partition, members in by_partition.items():
            fields = [f"off:{key.rpartition(':')[2]}" for key in members]
            with translated("offsets of the engine"):
                values = await execute(self._redis, "HMGET", f"p95:ckpt:{partition}", *fields)
            for key, value in zip(members, values, strict=True):
                if value is not None:
                    self._engine[key] = StreamId.parse(value)

    async def _look(self, key: str) -> int:
        entries = await entries_between(self._redis, key, f"({self._offsets.get(key, '0-0')}", "+", CHUNK)
        if not entries:
            return 0
        counter = self._tags.setdefault(key, Counter())
        last_trade: str | None = None
        for entry_id, fields in entries:
            tag = _tag_of(fields)
            counter[tag] += 1
            if tag == "trade":
                last_trade = entry_id
        if last_trade is not None:
            self._last_trade[key] = StreamId.parse(last_trade).seq
        self._offsets[key] = entries[-1][0]
        return len(entries)


def _tag_of(fields: Mapping[bytes, bytes]) -> str:
    try:
        return _tags.decode(fields[b"d"]).t
    except (KeyError, msgspec.DecodeError):
        return "unreadable"
