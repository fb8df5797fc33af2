"""Redis away, killed, flushed, or holding something else under our key."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from phoenix95.common import keys
from phoenix95.common.bus import connect
from phoenix95.common.errors import InvariantBroken

StartFeed = Callable[..., Awaitable[Any]]
Until = Callable[..., Awaitable[None]]


def up_to(last: int) -> list[int]:
    return list(range(1001, last + 1))


@pytest.fixture
async def own_redis(make_redis: Any, stream: Any) -> Any:
    """A Redis of this test's own, and the stream reader turned to it."""
    server = make_redis()
    await stream.redis.aclose()
    stream.redis = connect(server.url, name="test")
    return server


async def ids_are(stream: Any, expected: list[int]) -> bool:
    try:
        return bool(await stream.ids() == expected)
    except Exception as error:  # the server may be starting
        return bool(str(error) == "never")


async def test_redis_away_at_start_is_waited_for_and_named(
    exchange: Any, start_feed: StartFeed, stream: Any, own_redis: Any, eventually: Until
) -> None:
    own_redis.stop()
    feed = await start_feed(redis_url=own_redis.url, subscribed=False)
    await eventually(lambda: any("Redis" in (reason or "") for reason in feed.context.health.reasons().values()))
    own_redis.start()
    await eventually(lambda: feed.context.health.ready and exchange.subscribed("BTCUSDT"))
    await exchange.trade("BTCUSDT", 3)
    await eventually(lambda: ids_are(stream, up_to(1003)))


async def test_redis_killed_in_the_middle_loses_nothing(
    exchange: Any, start_feed: StartFeed, stream: Any, own_redis: Any, eventually: Until
) -> None:
    feed = await start_feed(redis_url=own_redis.url)
    for last in (1300, 1600):
        await exchange.trade("BTCUSDT", 100)
        own_redis.kill()
        await exchange.trade("BTCUSDT", 100)
        await eventually(lambda: "Redis is away" in (feed.context.health.reasons()["redis"] or ""))
        own_redis.start()
        await exchange.trade("BTCUSDT", 100)
        await eventually(lambda last=last: ids_are(stream, up_to(last)))
    assert set(await stream.kinds()) == {"t"}
    assert feed.context.health.ready


async def test_trades_beyond_the_bound_are_fetched_again(
    exchange: Any, start_feed: StartFeed, stream: Any, own_redis: Any, eventually: Until
) -> None:
    await start_feed(redis_url=own_redis.url, line_max=50)
    await exchange.trade("BTCUSDT", 10)
    await eventually(lambda: ids_are(stream, up_to(1010)))
    own_redis.kill()
    await exchange.trade("BTCUSDT", 2000)
    own_redis.start()
    await asyncio.sleep(0.5)
    await exchange.trade("BTCUSDT", 1)
    await eventually(lambda: ids_are(stream, up_to(3011)))


async def test_connections_killed_by_the_server_lose_nothing(
    exchange: Any, start_feed: StartFeed, stream: Any, redis_server: Any, eventually: Until
) -> None:
    await start_feed()
    for _ in range(20):
        await exchange.trade("BTCUSDT", 50)
        redis_server.command("CLIENT KILL TYPE normal")
    await exchange.trade("BTCUSDT", 1)
    await eventually(lambda: ids_are(stream, up_to(2001)))


async def test_a_flushed_redis_is_filled_anew(
    exchange: Any, start_feed: StartFeed, stream: Any, redis_server: Any, eventually: Until
) -> None:
    await start_feed()
    await exchange.trade("BTCUSDT", 5)
    await eventually(lambda: ids_are(stream, up_to(1005)))
    redis_server.command("FLUSHALL")
    await eventually(lambda: stream.redis.hlen(keys.SYMBOLS))
    assert await stream.redis.hget(keys.META, "partitions") == b"16"
    await exchange.trade("BTCUSDT", 5)
    await eventually(lambda: ids_are(stream, list(range(1006, 1011))))


async def test_a_stream_that_went_back_is_filled_again(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    """As after a fail-over: the newest entries are gone, and the stream's last id with them."""
    await start_feed()
    await exchange.trade("BTCUSDT", 20)
    await eventually(lambda: ids_are(stream, up_to(1020)))
    kept = (await stream.redis.xrange(keys.tick("BTCUSDT", 16), count=12))[:12]
    async with stream.redis.pipeline(transaction=True) as pipe:
        pipe.delete(keys.tick("BTCUSDT", 16))
        for entry_id, fields in kept:
            pipe.xadd(keys.tick("BTCUSDT", 16), fields, id=entry_id)
        await pipe.execute()
    await exchange.trade("BTCUSDT", 1)
    await eventually(lambda: ids_are(stream, up_to(1021)))


async def test_a_key_of_another_kind_ends_the_process(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await stream.redis.set(keys.tick("BTCUSDT", 16), "not a stream")
    feed = await start_feed(subscribed=False)
    await asyncio.wait({feed.task}, timeout=5)
    error = feed.task.exception()
    assert isinstance(error, BaseExceptionGroup)
    assert error.subgroup(InvariantBroken)


async def test_a_slow_redis_gets_nothing_twice(
    exchange: Any, start_feed: StartFeed, stream: Any, redis_server: Any, eventually: Until
) -> None:
    await start_feed()
    await exchange.trade("BTCUSDT", 10)
    redis_server.command("CLIENT PAUSE 3000 ALL")  # longer than a command may take: the outcome is unknown
    await exchange.trade("BTCUSDT", 10)
    await asyncio.sleep(2.5)
    await exchange.trade("BTCUSDT", 10)
    await eventually(lambda: ids_are(stream, up_to(1030)), within_s=15)
