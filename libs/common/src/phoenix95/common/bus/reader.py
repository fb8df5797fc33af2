"""Reading streams from offsets that we own. No consumer group is on any path that correctness depends on."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from redis.exceptions import ResponseError

from phoenix95.common.bus.client import Connection, execute, translated
from phoenix95.common.ids import STREAM_START, StreamId

READ_MAX: Final = 500  # entries a read: a batch must be committed well inside the lease

Entry = tuple[str, dict[bytes, bytes]]  # (id, fields); the event is under b"d", stamps under b"s"


class LogReader:
    """Reads many streams in one call. `connection` must be its own (see `connect_reader`): it blocks.

    `block_ms` is the longest wait for something new; 0 does not wait.
    """

    def __init__(self, connection: Connection, block_ms: int) -> None:
        self._redis = connection
        self._block_ms = block_ms
        # The driver's own parser costs more than decoding the events does.
        connection.set_response_callback("XREAD", _parse_streams)  # type: ignore[arg-type]

    async def read(self, offsets: Mapping[str, str], at_most: int = READ_MAX) -> list[tuple[str, list[Entry]]]:
        """Entries behind `offsets` (id by key), in the order of each stream; empty when nothing came in time.

        The limit is shared out: each stream gives at most `at_most` // streams, and at least one. An empty
        mapping waits and returns nothing. Raises TransientError; nothing is lost by a failed read.
        """
        if not offsets:
            await asyncio.sleep(self._block_ms / 1000)
            return []
        block = ("BLOCK", self._block_ms) if self._block_ms > 0 else ()
        with translated("read streams"):
            streams: list[tuple[str, list[Entry]]] = await execute(
                self._redis,
                "XREAD",
                "COUNT",
                max(1, at_most // len(offsets)),
                *block,
                "STREAMS",
                *offsets,
                *offsets.values(),
            )
        return streams

    async def last_ids(self, keys: Iterable[str]) -> dict[str, StreamId]:
        """The last id that each stream has given out; 0-0 for one that does not exist."""
        return await last_ids(self._redis, keys)

    async def regressed(self, offsets: Mapping[str, str]) -> list[str]:
        """Keys of streams that end before our offset: history was rolled back (restore, failover, flush).

        A reader with the old offset would wait for ever without an error, so ask on every reconnect and
        every few seconds. The answer to a regressed stream is to drop the partition, claim and load it again.
        """
        tops = await self.last_ids(offsets)
        return [key for key, offset in offsets.items() if tops[key] < StreamId.parse(offset)]

    async def tail(self, key: str, count: int) -> list[Entry]:
        """The newest `count` entries, oldest first."""
        return await tail(self._redis, key, count)

    async def range(self, key: str, start: str, end: str, count: int) -> list[Entry]:
        """Up to `count` entries from `start` to `end`, both included unless written as `(id`; `-` and `+` are open."""
        return await entries_between(self._redis, key, start, end, count)


async def last_id(redis: Connection, key: str) -> StreamId:
    """The last id that a stream has given out, trimmed or not; 0-0 when it does not exist."""
    return (await last_ids(redis, (key,)))[key]


async def last_ids(redis: Connection, keys: Iterable[str]) -> dict[str, StreamId]:
    """`last_id` of many streams in one round trip."""
    wanted = list(keys)
    with translated("last ids of streams"):
        async with redis.pipeline(transaction=False) as pipe:
            for key in wanted:
                pipe.execute_command("XINFO STREAM", key)
            replies = await pipe.execute(raise_on_error=False)
        for key, reply in zip(wanted, replies, strict=True):
            if isinstance(reply, Exception) and not _no_such_key(reply):
                with translated(key):
                    raise reply
    return {
        key: STREAM_START if isinstance(reply, Exception) else _last_generated(reply)
        for key, reply in zip(wanted, replies, strict=True)
    }


async def tail(redis: Connection, key: str, count: int) -> list[Entry]:
    """The newest `count` entries of a stream, oldest first."""
    with translated(key):
        entries = await execute(redis, "XREVRANGE", key, "+", "-", "COUNT", count)
    return [_entry(entry) for entry in reversed(entries)]


async def entries_between(redis: Connection, key: str, start: str, end: str, count: int) -> list[Entry]:
    """Up to `count` entries of a stream from `start` to `end`; see `LogReader.range`."""
    with translated(key):
        entries = await execute(redis, "XRANGE", key, start, end, "COUNT", count)
    return [_entry(entry) for entry in entries]


def _entry(entry: Any) -> Entry:
    entry_id, fields = entry
    return entry_id.decode(), fields


def _no_such_key(error: Exception) -> bool:
    return isinstance(error, ResponseError) and "no such key" in str(error)


def _last_generated(info: Any) -> StreamId:
    return StreamId.parse(info["last-generated-id"])


def _parse_streams(reply: Any, **_options: Any) -> list[tuple[str, list[Entry]]]:
    """Turn the raw reply into (key, entries). Nearly every entry has one field, so that comes first."""
    if not reply:
        return []
    return [
        (
            key.decode(),
            [
                (
                    entry_id.decode(),
                    {flat[0]: flat[1]} if len(flat) == 2 else dict(zip(flat[::2], flat[1::2], strict=True)),
                )
                for entry_id, flat in entries
            ],
        )
        for key, entries in reply
    ]
