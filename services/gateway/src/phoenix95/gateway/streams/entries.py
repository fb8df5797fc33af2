"""Streams entry by entry, without knowing what stands in them."""

from typing import Any

import msgspec

from phoenix95.common import keys
from phoenix95.common.bus import Connection
from phoenix95.common.bus.reader import entries_between, last_id, tail
from phoenix95.common.ids import StreamId, partition_of
from phoenix95.common.streams import Key
from phoenix95.gateway.away import needs_redis


class PastEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a stream. `event` is None, and `raw` what stands there, when it is not an event at all."""

    id: str
    event: dict[str, Any] | None
    raw: str | None = None


class Entries:
    """Reads only. Raises Away when Redis does not answer."""

    def __init__(self, redis: Connection, partitions: int) -> None:
        self._redis = redis
        self._partitions = partitions

    def key(self, row: Key, symbol: str | None) -> str:
        """The name of a row's stream; `symbol` for one that is kept by symbol."""
        if symbol is None:
            return row.name
        tag = keys.tag(partition_of(symbol, self._partitions))
        return row.name.replace("{pp}", tag).replace("SYM", symbol)

    async def newest(self, key: str, count: int) -> list[PastEntry]:
        """The last entries of a stream, oldest first."""
        with needs_redis():
            entries = await tail(self._redis, key, count)
        return [_past_entry(*entry) for entry in entries]

    async def behind(self, key: str, after: str, count: int) -> list[PastEntry]:
        """The first entries behind an id, oldest first."""
        with needs_redis():
            entries = await entries_between(self._redis, key, f"({after}", "+", count)
        return [_past_entry(*entry) for entry in entries]

    async def last_id(self, key: str) -> StreamId:
        """The last id that a stream has given out; 0-0 when it does not exist."""
        with needs_redis():
            return await last_id(self._redis, key)


def _past_entry(entry_id: str, fields: dict[bytes, bytes]) -> PastEntry:
    d = fields.get(b"d", b"")
    try:
        return PastEntry(id=entry_id, event=msgspec.json.decode(d, type=dict[str, Any]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return PastEntry(id=entry_id, event=None, raw=d.decode(errors="replace"))
