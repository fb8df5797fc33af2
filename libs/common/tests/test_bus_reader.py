"""Reading by own offsets, and noticing that a stream went back."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from phoenix95.common.bus import Connection, connect, connect_reader
from phoenix95.common.bus.reader import LogReader, entries_between, last_id, last_ids, tail
from phoenix95.common.errors import InvariantBroken, TransientError
from phoenix95.common.ids import StreamId


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Connection]:
    connection = connect(redis_url, name="test")
    yield connection
    await connection.aclose()


@pytest.fixture
async def reader(redis_url: str) -> AsyncIterator[LogReader]:
    connection = connect_reader(redis_url, name="reader", block_ms=100)
    yield LogReader(connection, 100)
    await connection.aclose()


async def fill(redis: Connection, key: str, first: int, last: int) -> None:
    for n in range(first, last + 1):
        await redis.xadd(key, {"d": str(n)}, id=f"{n}-{n}")


async def test_reads_what_lies_behind_each_offset_in_order(redis: Connection, reader: LogReader) -> None:
    await fill(redis, "a", 1, 3)
    await redis.xadd("b", {"d": "x", "s": "y"}, id="9-1")
    assert await reader.read({"a": "1-1", "b": "0-0", "none": "0-0"}) == [
        ("a", [("2-2", {b"d": b"2"}), ("3-3", {b"d": b"3"})]),
        ("b", [("9-1", {b"d": b"x", b"s": b"y"})]),
    ]


async def test_nothing_is_acknowledged_by_reading(redis: Connection, reader: LogReader) -> None:
    await fill(redis, "a", 1, 3)
    assert await reader.read({"a": "0-0"}) == await reader.read({"a": "0-0"})


async def test_the_limit_is_shared_out_among_the_streams(redis: Connection, reader: LogReader) -> None:
    for key in ("a", "b", "c"):
        await fill(redis, key, 1, 5)
    assert [len(entries) for _, entries in await reader.read(dict.fromkeys("abc", "0-0"), at_most=10)] == [3, 3, 3]
    assert [len(entries) for _, entries in await reader.read(dict.fromkeys("abc", "0-0"), at_most=1)] == [1, 1, 1]


async def test_waits_for_something_new_and_no_longer(redis: Connection, reader: LogReader) -> None:
    started = time.monotonic()
    assert await reader.read({"a": "0-0"}) == []
    assert time.monotonic() - started >= 0.09
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(reader.read({"a": "0-0"}))
        await asyncio.sleep(0.02)
        await fill(redis, "a", 1, 1)
    assert reading.result() == [("a", [("1-1", {b"d": b"1"})])]


async def test_without_streams_it_waits_and_asks_nothing(reader: LogReader) -> None:
    started = time.monotonic()
    assert await reader.read({}) == []
    assert time.monotonic() - started >= 0.09


async def test_without_a_block_time_it_does_not_wait(redis_url: str, redis: Connection) -> None:
    connection = connect_reader(redis_url, name="drain", block_ms=0)
    assert await LogReader(connection, 0).read({"a": "0-0"}) == []
    await fill(redis, "a", 1, 1)
    assert len(await LogReader(connection, 0).read({"a": "0-0"})) == 1
    await connection.aclose()


async def test_a_cancelled_read_leaves_the_connection_sound(redis: Connection, reader: LogReader) -> None:
    await fill(redis, "a", 1, 2)
    for delay in (0, 0.0005, 0.002, 0.01):
        reading = asyncio.create_task(reader.read({"b": "0-0"}))
        await asyncio.sleep(delay)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert [key for key, _ in await reader.read({"a": "0-0"})] == ["a"]


async def test_a_stream_that_went_back_is_noticed(redis: Connection, reader: LogReader) -> None:
    await fill(redis, "a", 1, 3)
    await fill(redis, "b", 1, 3)
    offsets = {"a": "3-3", "b": "2-2", "never": "0-0"}
    assert await reader.regressed(offsets) == []
    await redis.delete("a", "b")
    await fill(redis, "a", 1, 2)
    await fill(redis, "b", 1, 2)
    assert await reader.regressed(offsets) == ["a"]
    await redis.flushall()
    assert await reader.regressed(offsets) == ["a", "b"]
    assert await reader.regressed({}) == []


async def test_trimming_is_no_regression(redis: Connection, reader: LogReader) -> None:
    await fill(redis, "a", 1, 3)
    await redis.xtrim("a", maxlen=0, approximate=False)
    assert await reader.regressed({"a": "3-3"}) == []
    assert await reader.last_ids(["a", "none"]) == {"a": StreamId(3, 3), "none": StreamId(0, 0)}


async def test_tail_is_the_newest_in_order(redis: Connection, reader: LogReader) -> None:
    await fill(redis, "a", 1, 5)
    assert [entry_id for entry_id, _ in await reader.tail("a", 2)] == ["4-4", "5-5"]
    assert await tail(redis, "none", 2) == []


async def test_range_includes_its_ends(redis: Connection, reader: LogReader) -> None:
    await fill(redis, "a", 1, 5)
    assert [entry_id for entry_id, _ in await reader.range("a", "2-2", "4-4", 10)] == ["2-2", "3-3", "4-4"]
    assert [entry_id for entry_id, _ in await entries_between(redis, "a", "(2-2", "+", 2)] == ["3-3", "4-4"]


async def test_a_key_of_another_kind_is_named(redis: Connection, reader: LogReader) -> None:
    await redis.set("a", "x")
    with pytest.raises(InvariantBroken, match="a"):
        await last_ids(redis, ["a"])
    with pytest.raises(InvariantBroken, match="read streams"):
        await reader.read({"a": "0-0"})


async def test_a_server_that_is_away_is_transient(tmp_path_factory: pytest.TempPathFactory) -> None:
    reader = LogReader(connect_reader("unix:///nowhere/redis.sock", name="reader", block_ms=10), 10)
    with pytest.raises(TransientError, match="read streams"):
        await reader.read({"a": "0-0"})
    with pytest.raises(TransientError, match="last ids"):
        await last_id(connect("unix:///nowhere/redis.sock", name="x"), "a")
