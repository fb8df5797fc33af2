"""The ACL users on a real Redis: each service can do its work, and nothing else."""

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from phoenix95.common import keys
from phoenix95.common.bus import Connection, connect, ping, translated
from phoenix95.common.bus.acl import USERS, acl_file, user_rules
from phoenix95.common.bus.append import append, append_once
from phoenix95.common.bus.beat import list_heartbeats, read_value, write_expiring, write_heartbeat
from phoenix95.common.bus.commit import FencedLog, Output
from phoenix95.common.bus.members import Members
from phoenix95.common.bus.meta import agree_on_partitions
from phoenix95.common.bus.offsets import read_offset, read_offsets, write_offset, write_offsets
from phoenix95.common.bus.prices import read_price, write_price
from phoenix95.common.bus.publish import PublishGuard, TickEntry
from phoenix95.common.bus.reader import LogReader, tail
from phoenix95.common.bus.symbols import add_symbol, read_symbols, remove_symbol
from phoenix95.common.errors import ConfigError
from phoenix95.common.events import Ack, Alert, Heartbeat, Subscribe
from phoenix95.common.ids import StreamId, partition_of
from phoenix95.common.streams import SERVICES

P = 16
SYMBOL = "BTCUSDT"
PP = partition_of(SYMBOL, P)
EVENT = Subscribe(symbol=SYMBOL)
ACK = Ack(command_id="1-1", service="x", ok=True, message="")
TICK, PRICE = keys.tick(SYMBOL, P), keys.price(SYMBOL, P)
ANALYSIS, REPLY, REQUEST = keys.analysis(SYMBOL, P), keys.reply(SYMBOL, P), keys.request(SYMBOL, P)
DEAD = keys.dead_letter_engine(PP)


def password(user: str) -> str:
    return f"password of {user}"


@pytest.fixture
async def as_user(make_redis: Callable[..., object]) -> AsyncIterator[Callable[[str], Connection]]:
    server = make_redis(acl=acl_file({user: password(user) for user in USERS}))
    made: list[Connection] = []

    def connected(user: str) -> Connection:
        made.append(connect(server.url, name=user, username=user, password=password(user)))  # type: ignore[attr-defined]
        return made[-1]

    yield connected
    for connection in made:
        await connection.aclose()


async def everybody(redis: Connection, service: str) -> None:
    await ping(redis)
    await agree_on_partitions(redis, P)
    await read_symbols(redis)
    alert = Alert(ts_wall_ms=1, service=service, severity="info", kind="x", message="x")
    await append(redis, keys.ALERT, alert, maxlen=1000)
    await write_heartbeat(
        redis, Heartbeat(service=service, instance="1", version="1", started_wall_ms=1, progress_wall_ms=1)
    )


async def feed(redis: Connection) -> None:
    guard = PublishGuard(redis, P)
    answer = await guard.publish([TickEntry(SYMBOL, "trade", 5, 7, b"{}"), TickEntry("ETHUSDT", "trade", 5, 7, b"{}")])
    assert answer[SYMBOL].appended == 1
    assert await guard.top(SYMBOL) == StreamId(5, 7)
    await write_price(redis, SYMBOL, P, {"price": "1"})
    await add_symbol(redis, SYMBOL)
    await remove_symbol(redis, "NONE")
    await LogReader(redis, 1).read({keys.COMMAND: await read_offset(redis, keys.FEED_OFFSET)})
    await write_offset(redis, keys.FEED_OFFSET, "1-1")
    await append(redis, keys.ACK, ACK)
    await append(redis, keys.dead_letter("feed"), EVENT, maxlen=10)


async def engine(redis: Connection) -> None:
    members = Members(redis, "me")
    assert await members.beat() == ["me"]
    log = FencedLog(redis, P)
    assert await log.claim(PP, "a", ttl_ms=5000)
    reader = LogReader(redis, 1)
    assert await reader.read({TICK: "0-0", REQUEST: "0-0"})
    assert await reader.regressed({TICK: "5-7"}) == []
    outputs = [Output(ANALYSIS, StreamId(5, 1), b"1"), Output(REPLY, StreamId(5, 1), b"1"), Output(DEAD, None, b"1")]
    for n in range(2):
        assert await log.commit(
            PP, "a", n, outputs=outputs, offsets={SYMBOL: "5-7"}, states={SYMBOL: b"{}"}, ttl_ms=5000, version="1"
        )
    assert await log.renew(PP, "a", 5000)
    await log.release(PP, "a")
    await members.leave()


async def executor(redis: Connection) -> None:
    reader = LogReader(redis, 1)
    assert await reader.read({ANALYSIS: "0-0"})
    await reader.read({REPLY: "0-0", keys.COMMAND: "0-0"})
    assert await read_price(redis, SYMBOL, P)
    for _ in range(2):
        await append_once(redis, keys.ORDER, EVENT, StreamId(5, 1))
    await append(redis, keys.ACK, ACK)
    await append(redis, keys.dead_letter("executor"), EVENT)


async def monitor(redis: Connection) -> None:
    await append(redis, keys.HOST, EVENT, maxlen=10)
    await write_expiring(redis, keys.HOST_NOW, EVENT, 1000)
    await write_expiring(redis, keys.MONITOR_STATUS, EVENT, 1000)
    await append(redis, keys.ALERT, EVENT, maxlen=10)
    await append(redis, keys.ACK, ACK)
    await write_offsets(redis, keys.MONITOR_OFFSETS, {"alert": "1-1"})
    assert await read_offsets(redis, keys.MONITOR_OFFSETS) == {"alert": "1-1"}
    assert {beat.service for beat in await list_heartbeats(redis)} >= {"feed", "monitor"}
    await redis.info()
    await redis.slowlog_get(1)
    for key in (TICK, ANALYSIS, REPLY, keys.ORDER, keys.ACK, DEAD, keys.dead_letter("feed")):
        assert await tail(redis, key, 1), key
    assert await redis.xlen(TICK) == 1
    assert await redis.hgetall(keys.checkpoint(PP))


async def gateway(redis: Connection) -> None:
    await append(redis, REQUEST, EVENT)
    await append(redis, keys.COMMAND, EVENT)
    await LogReader(redis, 1).read({REPLY: "0-0", keys.ORDER: "0-0", keys.ACK: "0-0"})
    assert await read_price(redis, SYMBOL, P)
    assert await tail(redis, TICK, 10)
    assert await read_value(redis, keys.HOST_NOW)
    assert await read_value(redis, keys.MONITOR_STATUS)
    assert len(await list_heartbeats(redis)) == len(SERVICES)


async def test_each_service_can_do_its_work(as_user: Callable[[str], Connection]) -> None:
    work = {"feed": feed, "engine": engine, "executor": executor, "monitor": monitor, "gateway": gateway}
    assert work.keys() == set(SERVICES)
    for user in SERVICES:
        await everybody(as_user(user), user)
    for user, do in work.items():
        await do(as_user(user))


FORBIDDEN = [
    ("feed", ["XADD", ANALYSIS, "*", "d", "1"]),
    ("feed", ["XADD", keys.ORDER, "*", "d", "1"]),
    ("feed", ["XADD", keys.COMMAND, "*", "d", "1"]),
    ("feed", ["XADD", keys.dead_letter("executor"), "*", "d", "1"]),
    ("feed", ["SET", keys.lease(PP), "me"]),
    ("feed", ["HSET", keys.META, "partitions", "8"]),
    ("feed", ["XTRIM", TICK, "MAXLEN", "0"]),
    ("feed", ["EVALSHA", "0" * 40, "2", TICK, ANALYSIS]),
    ("engine", ["XADD", TICK, "9-9", "d", "1"]),
    ("engine", ["XADD", REQUEST, "*", "d", "1"]),
    ("engine", ["XADD", keys.ORDER, "*", "d", "1"]),
    ("engine", ["HSET", PRICE, "price", "1"]),
    ("engine", ["HGETALL", PRICE]),
    ("engine", ["EVALSHA", "0" * 40, "1", TICK]),
    ("engine", ["SET", keys.heartbeat("feed", "1"), "x"]),
    ("executor", ["XADD", ANALYSIS, "*", "d", "1"]),
    ("executor", ["XADD", REPLY, "*", "d", "1"]),
    ("executor", ["XADD", REQUEST, "*", "d", "1"]),
    ("executor", ["HSET", PRICE, "price", "1"]),
    ("executor", ["HSET", keys.SYMBOLS, "X", "1"]),
    ("executor", ["EVALSHA", "0" * 40, "1", ANALYSIS]),
    ("monitor", ["XADD", TICK, "*", "d", "1"]),
    ("monitor", ["XADD", keys.ORDER, "*", "d", "1"]),
    ("monitor", ["DEL", keys.checkpoint(PP)]),
    ("gateway", ["XADD", REPLY, "*", "d", "1"]),
    ("gateway", ["XADD", ANALYSIS, "*", "d", "1"]),
    ("gateway", ["XADD", keys.ORDER, "*", "d", "1"]),
    ("gateway", ["HSET", keys.SYMBOLS, "X", "1"]),
    ("gateway", ["EVAL", "return 1", "0"]),
    ("gateway", ["EVALSHA", "0" * 40, "1", REQUEST]),
    ("operator", ["XADD", keys.ALERT, "*", "d", "1"]),
    ("operator", ["KEYS", "*"]),
    *((user, command) for user in USERS for command in (
        ["FLUSHALL"], ["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "GET", "*"], ["SHUTDOWN", "NOSAVE"],
        ["ACL", "LIST"], ["GET", "elsewhere"], ["SET", "elsewhere", "1"],
        ["MONITOR"], ["REPLICAOF", "NO", "ONE"], ["DEL", TICK],
    )),
]  # fmt: skip


async def test_nobody_can_do_more(as_user: Callable[[str], Connection]) -> None:
    connections = {user: as_user(user) for user in USERS}
    for user, command in FORBIDDEN:
        with pytest.raises(ConfigError, match="no permissions"), translated(f"{user}: {command}"):
            await connections[user].execute_command(*command)


async def test_a_script_cannot_reach_what_its_caller_may_not(as_user: Callable[[str], Connection]) -> None:
    redis = as_user("feed")
    source = f"-- {uuid.uuid4()}\nreturn redis.call('XADD', '{ANALYSIS}', '*', 'd', '1')"
    sha = await redis.script_load(source)
    with pytest.raises(ConfigError, match="P95_REDIS_USERNAME"), translated("script"):
        await redis.evalsha(sha, 1, TICK)
    assert await redis.xlen(TICK) == 0


async def test_an_operator_reads_what_a_person_wants_to_see(as_user: Callable[[str], Connection]) -> None:
    await feed(as_user("feed"))
    redis = as_user("operator")
    assert len(await tail(redis, TICK, 10)) == 1
    assert (await redis.xinfo_stream(TICK))["length"] == 1
    assert [key async for key in redis.scan_iter(match="p95:tick:*")]
    assert await redis.info("server")
    assert await redis.client_list()
    assert await redis.xinfo_groups(TICK) == []


@pytest.mark.parametrize("user", ["default", "nobody", "feed"])
async def test_a_wrong_password_is_a_matter_of_settings(user: str, as_user: Callable[[str], Connection]) -> None:
    right = as_user("feed")
    wrong = connect(
        "unix://" + right.connection_pool.connection_kwargs["path"], name="x", username=user, password="wrong"
    )
    with pytest.raises(ConfigError, match="P95_REDIS_PASSWORD"):
        await ping(wrong)
    await wrong.aclose()


async def test_without_a_user_nothing_is_allowed(as_user: Callable[[str], Connection]) -> None:
    right = as_user("feed")
    anonymous = connect("unix://" + right.connection_pool.connection_kwargs["path"], name="x")
    with pytest.raises(ConfigError, match="P95_REDIS_USERNAME"):
        await ping(anonymous)
    await anonymous.aclose()


async def test_what_scripts_wrote_outlives_a_restart(make_redis: Callable[..., Any]) -> None:
    server = make_redis(acl=acl_file({user: password(user) for user in USERS}))
    feed = connect(server.url, name="feed", username="feed", password=password("feed"))
    entries = [TickEntry(SYMBOL, "trade", a, a, b"{}") for a in range(1, 6)]
    await PublishGuard(feed, P).publish(entries)
    await feed.aclose()

    server.kill()
    server.start()

    feed = connect(server.url, name="feed", username="feed", password=password("feed"))
    assert await PublishGuard(feed, P).top(SYMBOL) == StreamId(5, 5)
    await feed.aclose()


def test_passwords_are_not_in_the_file() -> None:
    text = acl_file({"feed": "secret-1", "engine": "secret-2"})
    assert "secret" not in text
    assert text.count("\n") == 3
    assert "setinfo" not in text  # Redis 7.0 would refuse the whole file


@pytest.mark.parametrize("passwords", [{"feeed": "x"}, {"feed": ""}])
def test_a_user_that_is_none_or_has_no_password_is_refused(passwords: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(passwords))):
        acl_file(passwords)


def test_no_service_but_the_owner_of_a_script_may_run_one() -> None:
    assert [user for user in SERVICES if "evalsha" in user_rules(user)] == ["feed", "engine"]
