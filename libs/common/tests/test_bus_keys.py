"""The small keys: plain streams, members, symbols, prices, heartbeats, partitions, offsets."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from phoenix95.common import keys
from phoenix95.common.bus import Connection, connect
from phoenix95.common.bus.append import append, append_once
from phoenix95.common.bus.beat import list_heartbeats, read_value, write_expiring, write_heartbeat
from phoenix95.common.bus.members import Members, owner_of
from phoenix95.common.bus.meta import agree_on_mode, agree_on_partitions
from phoenix95.common.bus.offsets import read_offset, read_offsets, write_offset, write_offsets
from phoenix95.common.bus.prices import read_price, write_price, write_prices
from phoenix95.common.bus.reader import entries_between
from phoenix95.common.bus.symbols import add_symbol, read_symbols, remove_symbol
from phoenix95.common.errors import ConfigError, Diverged, TransientError
from phoenix95.common.events import Ack, Heartbeat, Subscribe
from phoenix95.common.ids import StreamId
from phoenix95.common.wire import encode

EVENT = Subscribe(symbol="BTCUSDT")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Connection]:
    connection = connect(redis_url, name="test")
    yield connection
    await connection.aclose()


async def stored(redis: Connection, key: str) -> list[tuple[str, dict[bytes, bytes]]]:
    return await entries_between(redis, key, "-", "+", 1000)


async def test_append_gives_the_id_of_what_is_stored(redis: Connection) -> None:
    entry_id = await append(redis, keys.COMMAND, EVENT)
    assert await stored(redis, keys.COMMAND) == [(entry_id, {b"d": encode(EVENT)})]


async def test_append_keeps_a_stream_short(redis: Connection) -> None:
    for _ in range(500):
        await append(redis, keys.ALERT, EVENT, maxlen=100)
    assert 100 <= await redis.xlen(keys.ALERT) <= 200


async def test_append_once_may_be_repeated(redis: Connection) -> None:
    for ms in (5, 7):
        assert await append_once(redis, keys.ORDER, EVENT, StreamId(ms, 1), s=b"first") is True
    assert await append_once(redis, keys.ORDER, EVENT, StreamId(5, 1), s=b"second") is False
    assert [entry_id for entry_id, _ in await stored(redis, keys.ORDER)] == ["5-1", "7-1"]


async def test_append_once_refuses_another_event_under_the_same_id(redis: Connection) -> None:
    await append_once(redis, keys.ORDER, EVENT, StreamId(5, 1))
    await append_once(redis, keys.ORDER, EVENT, StreamId(7, 1))
    for ms, event in ((5, Subscribe(symbol="OTHER")), (7, Subscribe(symbol="OTHER")), (6, EVENT)):
        with pytest.raises(Diverged, match=f"{ms}-1"):
            await append_once(redis, keys.ORDER, event, StreamId(ms, 1))
    assert len(await stored(redis, keys.ORDER)) == 2


async def test_append_to_a_server_that_is_away_is_transient() -> None:
    with pytest.raises(TransientError, match="p95:order"):
        await append_once(connect("unix:///nowhere", name="x"), keys.ORDER, EVENT, StreamId(1, 1))


async def test_members_are_those_who_beat(redis: Connection) -> None:
    one, two = Members(redis, "one", ttl_ms=200), Members(redis, "two", ttl_ms=200)
    assert await one.beat() == ["one"]
    assert await two.beat() == ["one", "two"]
    await asyncio.sleep(0.25)
    assert await two.beat() == ["two"]
    assert await redis.zcard(keys.MEMBERS_ENGINE) == 2
    await one.beat()
    await two.leave()
    assert await one.beat() == ["one"]


async def test_the_long_dead_are_swept(redis: Connection) -> None:
    await Members(redis, "dead", ttl_ms=10).beat()
    await asyncio.sleep(0.15)
    await Members(redis, "living", ttl_ms=10).beat()
    assert await redis.zrange(keys.MEMBERS_ENGINE, 0, -1) == [b"living"]


def test_every_partition_has_one_owner_whatever_the_order() -> None:
    members = ["a", "b", "c"]
    assert owner_of(1, []) is None
    assert all(owner_of(pp, members) == owner_of(pp, members[::-1]) for pp in range(64))
    counts = Counter(owner_of(pp, members) for pp in range(3000))
    assert all(900 < counts[member] < 1100 for member in members)


def test_a_member_that_leaves_moves_only_its_own_partitions() -> None:
    before = {pp: owner_of(pp, ["a", "b", "c"]) for pp in range(256)}
    after = {pp: owner_of(pp, ["a", "b"]) for pp in range(256)}
    assert all(after[pp] == owner for pp, owner in before.items() if owner != "c")


async def test_symbols_come_and_go(redis: Connection) -> None:
    assert await read_symbols(redis) == {}
    assert await add_symbol(redis, "ETHUSDT") is True
    assert await add_symbol(redis, "BTCUSDT", b"note") is True
    assert await add_symbol(redis, "ETHUSDT", b"again") is False
    assert list((await read_symbols(redis)).items()) == [("BTCUSDT", b"note"), ("ETHUSDT", b"again")]
    assert await remove_symbol(redis, "ETHUSDT") is True
    assert await remove_symbol(redis, "ETHUSDT") is False
    assert list(await read_symbols(redis)) == ["BTCUSDT"]


async def test_a_price_is_merged_and_expires(redis: Connection) -> None:
    assert await read_price(redis, "BTCUSDT", 16) is None
    await write_price(redis, "BTCUSDT", 16, {"price": "1", "bid": "0.9"})
    await write_prices(redis, {"BTCUSDT": {"price": "2"}, "ETHUSDT": {"price": "3"}}, 16, ttl_ms=100)
    assert await read_price(redis, "BTCUSDT", 16) == {"price": "2", "bid": "0.9"}
    await asyncio.sleep(0.15)
    assert await read_price(redis, "ETHUSDT", 16) is None
    await write_prices(redis, {}, 16)


async def test_heartbeats_live_as_long_as_they_are_written(redis: Connection) -> None:
    def beat(service: str, instance: str) -> Heartbeat:
        return Heartbeat(service=service, instance=instance, version="1", started_wall_ms=1, progress_wall_ms=2)

    await write_heartbeat(redis, beat("feed", "b"))
    await write_heartbeat(redis, beat("feed", "a"))
    await write_heartbeat(redis, beat("engine", "a"), ttl_ms=100)
    await redis.set(keys.heartbeat("feed", "broken"), "{")
    assert [(b.service, b.instance) for b in await list_heartbeats(redis)] == [
        ("engine", "a"),
        ("feed", "a"),
        ("feed", "b"),
    ]
    await asyncio.sleep(0.15)
    assert [b.service for b in await list_heartbeats(redis)] == ["feed", "feed"]


async def test_an_expiring_value_is_forgotten(redis: Connection) -> None:
    ack = Ack(command_id="1-1", service="feed", ok=True, message="")
    await write_expiring(redis, keys.HOST_NOW, ack, 100)
    assert await read_value(redis, keys.HOST_NOW) == encode(ack)
    await asyncio.sleep(0.15)
    assert await read_value(redis, keys.HOST_NOW) is None


async def test_the_number_of_partitions_is_fixed_by_the_first_start(redis: Connection) -> None:
    await agree_on_partitions(redis, 16)
    await agree_on_partitions(redis, 16)
    with pytest.raises(ConfigError, match="P95_PARTITIONS: 8, but this Redis was started with 16"):
        await agree_on_partitions(redis, 8)


async def test_an_offset_starts_at_nothing_and_is_kept(redis: Connection) -> None:
    assert await read_offset(redis, keys.FEED_OFFSET) == "0-0"
    await write_offset(redis, keys.FEED_OFFSET, "5-1")
    assert await read_offset(redis, keys.FEED_OFFSET) == "5-1"


async def test_offsets_by_name_start_at_nothing_and_leave_each_other_alone(redis: Connection) -> None:
    assert await read_offsets(redis, keys.MONITOR_OFFSETS) == {}
    await write_offsets(redis, keys.MONITOR_OFFSETS, {})
    await write_offsets(redis, keys.MONITOR_OFFSETS, {"alert": "5-1", "order": "7-0"})
    await write_offsets(redis, keys.MONITOR_OFFSETS, {"alert": "6-0"})
    assert await read_offsets(redis, keys.MONITOR_OFFSETS) == {"alert": "6-0", "order": "7-0"}


async def test_the_data_of_one_exchange_is_not_continued_at_another(redis: Connection) -> None:
    await agree_on_mode(redis, "demo")
    await agree_on_mode(redis, "demo")
    with pytest.raises(ConfigError, match="P95_MODE is live, but this Redis holds the data of demo"):
        await agree_on_mode(redis, "live")
