"""Counts come from the streams and are exact, over restarts and roll-backs; the operator may look at all of it."""

from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from phoenix95.common import events, keys, wire
from phoenix95.common.bus import Connection, connect
from phoenix95.common.bus.acl import acl_file
from phoenix95.common.ids import PARTITIONS_DEFAULT, partition_of
from phoenix95.stack.census import Census
from phoenix95.stack.figures import Ledger, latencies, ledger_of
from phoenix95.stack.observer import Observer, PaperStatus
from phoenix95.stack.ports import DEFAULTS
from phoenix95.stack.redis_server import RedisServer

TRADE = wire.encode(events.Trade(price="1", quantity="1", buyer_is_maker=False, received_ms=0))
GAP = wire.encode(events.Gap(first=3, last=4))
SEED = b'{"t":"seed"}'
ANALYSIS = b'{"t":"analysis"}'
MARKER = b'{"t":"marker"}'
P = PARTITIONS_DEFAULT


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Connection]:
    connection = connect(redis_url, name="test")
    yield connection
    await connection.aclose()


async def add(redis: Connection, key: str, *entries: tuple[str, bytes]) -> None:
    for entry_id, d in entries:
        await redis.xadd(key, {"d": d}, id=entry_id)


async def all_of(census: Census, at_most: int = 1000) -> int:
    rounds = 1
    while not await census.count(at_most):
        rounds += 1
    return rounds


async def test_each_entry_is_counted_once_by_its_tag(redis: Connection) -> None:
    tick = keys.tick("BTCUSDT", P)
    await add(redis, tick, ("1-0", SEED), ("2-1", TRADE), ("3-2", TRADE), ("4-4", GAP), ("4-5", TRADE))
    await add(redis, keys.analysis("BTCUSDT", P), ("2-256", ANALYSIS), ("2-257", MARKER))
    await add(redis, keys.reply("BTCUSDT", P), ("9-1", ANALYSIS))
    census = Census(redis)
    await all_of(census)
    await all_of(census)
    count = census.by_symbol()["BTCUSDT"]
    assert (count.trades, count.gaps, count.analyses, count.replies, count.last_trade) == (3, 1, 1, 1, 5)
    assert (count.settled, count.lag_ms) == (False, None)
    await redis.hset(keys.checkpoint(partition_of("BTCUSDT", P)), "off:BTCUSDT", "4-5")
    await add(redis, keys.tick("ETHUSDT", P), ("1-1", TRADE))
    await all_of(census)
    assert (census.by_symbol()["BTCUSDT"].settled, census.by_symbol()["BTCUSDT"].lag_ms) == (True, 0)
    assert {symbol: each.trades for symbol, each in census.by_symbol().items()} == {"BTCUSDT": 3, "ETHUSDT": 1}


async def test_a_long_log_is_counted_in_steps(redis: Connection) -> None:
    pipe = redis.pipeline(transaction=False)
    for number in range(1, 4501):
        pipe.xadd(keys.tick("A", P), {"d": TRADE}, id=f"1-{number}")
    await pipe.execute()
    census = Census(redis)
    assert not await census.count(2000)
    assert census.by_symbol()["A"].trades == 2000
    await all_of(census, 2000)
    assert census.by_symbol()["A"].trades == 4500


async def test_a_stream_that_went_back_is_counted_again(redis: Connection) -> None:
    key = keys.tick("A", P)
    await add(redis, key, ("1-1", TRADE), ("2-2", TRADE))
    census = Census(redis)
    await all_of(census)
    await redis.delete(key)
    await add(redis, key, ("1-1", TRADE))
    await all_of(census)
    assert census.by_symbol()["A"].trades == 1


async def test_the_operator_may_count(make_redis: Callable[..., RedisServer]) -> None:
    server = make_redis(acl=acl_file({"operator": "secret"}) + "user admin on >x ~* +@all\n")
    admin = connect(server.url, name="a", username="admin", password="x")
    await add(admin, keys.tick("A", P), ("1-1", TRADE))
    operator = connect(server.url, name="o", username="operator", password="secret")
    census = Census(operator)
    await all_of(census)
    assert census.by_symbol()["A"].trades == 1
    await admin.aclose()
    await operator.aclose()


async def test_a_run_is_settled_when_everything_behind_its_end_is_done(redis: Connection) -> None:
    observer = Observer(redis, DEFAULTS, "key")
    paper = msgspec.json.decode(b'{"done":true,"symbols":{"A":{"lastAggId":2},"B":{"lastAggId":0}}}', type=PaperStatus)
    await add(redis, keys.tick("A", P), ("1-1", TRADE))
    await all_of(observer.census)
    assert observer.unsettled(PaperStatus()) == "the recording has not ended"
    assert observer.unsettled(paper) == "A: the feed has not stored trade 2"
    await add(redis, keys.tick("A", P), ("2-2", TRADE))
    await add(redis, keys.analysis("A", P), ("2-256", ANALYSIS))
    await all_of(observer.census)
    assert observer.unsettled(paper) == "A: the engine has not read all ticks"
    await redis.hset(keys.checkpoint(partition_of("A", P)), "off:A", "2-2")
    await all_of(observer.census)
    assert observer.unsettled(paper) == "1 analyses are not decided"
    observer.ledger = Ledger(decisions=1, open_positions=1)
    assert observer.unsettled(paper) == "1 positions are open"
    observer.ledger = Ledger(decisions=1)
    assert observer.unsettled(paper) is None


def test_figures_are_read_from_what_the_services_publish() -> None:
    text = (
        "# TYPE p95_hop_latency_ms_quantile gauge\n"
        'p95_hop_latency_ms_quantile{hop="feed",quantile="0.5"} 1.25\n'
        'p95_hop_latency_ms_quantile{hop="feed",quantile="0.95"} 2.0\n'
        'p95_hop_latency_ms_quantile{hop="feed",quantile="0.99"} 3.0\n'
    )
    assert latencies(text) == {"feed": {"p50": 1.25, "p99": 3.0}}
    info = b'{"counts":{"decisions":3,"orders":2,"fills":1,"positions":1,"other":9},"equity":"10000.5","x":1}'
    assert ledger_of(info, b'{"count":1}') == Ledger(
        decisions=3, orders=2, fills=1, positions=1, open_positions=1, equity="10000.5"
    )
