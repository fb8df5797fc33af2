"""The feed as a process: killed, stopped, misconfigured, and under its own Redis user."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from phoenix95.common.bus import connect
from phoenix95.common.bus.acl import USERS, acl_file

Spawn = Callable[..., Awaitable[asyncio.subprocess.Process]]
Until = Callable[..., Awaitable[None]]


def up_to(last: int) -> list[int]:
    return list(range(1001, last + 1))


@pytest.fixture
async def spawn(exchange: Any, redis_url: str) -> AsyncIterator[Spawn]:
    """`spawn(**variables)` starts `python -m phoenix95.feed`, with `P95_` before each name."""
    started: list[asyncio.subprocess.Process] = []

    async def start(**variables: str) -> asyncio.subprocess.Process:
        given = {
            "REDIS_URL": redis_url,
            "EXCHANGE_REST_URL": f"http://127.0.0.1:{exchange.port}",
            "EXCHANGE_WS_URL": f"ws://127.0.0.1:{exchange.port}",
            "FEED_SYMBOLS": "BTCUSDT",
            "FEED_SEED_BARS": "2",
            "FEED_HTTP_PORT": "0",
        }
        env = {f"P95_{name}": value for name, value in (given | variables).items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "phoenix95.feed",
            env={"PATH": os.environ["PATH"], **env},
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ids_are(stream: Any, expected: list[int]) -> bool:
    return bool(await stream.ids() == expected)


async def test_kill_9_again_and_again_loses_nothing(
    exchange: Any, spawn: Spawn, stream: Any, eventually: Until
) -> None:
    chance = random.Random(95)
    for _ in range(6):
        feed = await spawn()
        await eventually(lambda: exchange.subscribed("BTCUSDT"))
        for _ in range(chance.randrange(1, 20)):
            await exchange.trade("BTCUSDT", chance.randrange(1, 60))
            await asyncio.sleep(chance.random() * 0.01)
        feed.kill()
        await feed.wait()
        exchange.happen("BTCUSDT", chance.randrange(0, 1500))
    await spawn()
    last = exchange.trades["BTCUSDT"][-1]["a"]
    await eventually(lambda: ids_are(stream, up_to(last)), within_s=20)  # without a further trade


async def test_sigterm_ends_it_in_order(exchange: Any, spawn: Spawn, stream: Any, eventually: Until) -> None:
    feed = await spawn()
    await eventually(lambda: exchange.subscribed("BTCUSDT"))
    await exchange.trade("BTCUSDT", 50)
    await eventually(lambda: ids_are(stream, up_to(1050)))
    feed.send_signal(signal.SIGTERM)
    _, said = await asyncio.wait_for(feed.communicate(), 3)
    assert feed.returncode == 0
    assert b"Traceback" not in said


async def test_its_own_redis_user_may_do_all_that_it_needs(
    exchange: Any, spawn: Spawn, stream: Any, make_redis: Any, eventually: Until
) -> None:
    server = make_redis(acl=acl_file(dict.fromkeys(USERS, "secret of this test")))
    feed = await spawn(REDIS_URL=server.url, REDIS_USERNAME="feed", REDIS_PASSWORD="secret of this test")
    await stream.redis.aclose()
    stream.redis = connect(server.url, name="test", username="operator", password="secret of this test")
    await eventually(lambda: exchange.subscribed("BTCUSDT"))
    await exchange.send_raw(b"garbage")
    await exchange.trade("BTCUSDT", 3)
    await eventually(lambda: ids_are(stream, up_to(1003)))
    for pattern in ("p95:price:*", "p95:hb:feed:*", "p95:dlq:feed", "p95:symbols"):
        await eventually(lambda pattern=pattern: _exists(stream, pattern))
    feed.terminate()
    _, said = await feed.communicate()
    assert (feed.returncode, b"NOPERM" in said, b"secret of this test" in said) == (0, False, False)


async def _exists(stream: Any, pattern: str) -> bool:
    return bool([key async for key in stream.redis.scan_iter(match=pattern)])


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"FEED_SYMBOL": "X"}, "P95_FEED_SYMBOL"),
        ({"FEED_SEED_BARS": "-1"}, "P95_FEED_SEED_BARS"),
        ({"FEED_BATCH_MAX": "1001"}, "P95_FEED_BATCH_MAX"),
        ({"FEED_SOURCE": "nowhere"}, "P95_FEED_SOURCE"),
        ({"FEED_SYMBOLS": "NOSUCH"}, "P95_FEED_SYMBOLS"),
        ({"REDIS_URL": "http://nowhere"}, "P95_REDIS_URL"),
        ({"EXCHANGE_WS_URL": "nowhere"}, "P95_EXCHANGE_WS_URL"),
        ({"EXCHANGE_REST_URL": "nowhere"}, "P95_EXCHANGE_REST_URL"),
    ],
)
async def test_a_wrong_setting_is_named_without_a_traceback(
    spawn: Spawn, variables: dict[str, str], named: str
) -> None:
    feed = await spawn(**variables)
    _, said = await asyncio.wait_for(feed.communicate(), 10)
    assert feed.returncode == 2
    assert named.encode() in said
    assert b"Traceback" not in said
