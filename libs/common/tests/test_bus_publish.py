"""The publish guard on a real Redis: every rule, and for every rule a script without it that the rules catch."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from phoenix95.common import keys
from phoenix95.common.bus import Connection, connect, publish
from phoenix95.common.bus.publish import Published, PublishGuard, TickEntry
from phoenix95.common.bus.reader import entries_between
from phoenix95.common.bus.script import Script
from phoenix95.common.errors import InvariantBroken, TransientError
from phoenix95.common.events import Gap, Trade
from phoenix95.common.ids import StreamId, partition_of
from phoenix95.common.wire import encode
from phoenix95.stack.redis_server import RedisServer

PARTITIONS = 16
SYMBOL = "BTCUSDT"
KEY = keys.tick(SYMBOL, PARTITIONS)
BESIDE = next(f"S{n}" for n in range(1000) if partition_of(f"S{n}", PARTITIONS) == partition_of(SYMBOL, PARTITIONS))

Rule = Callable[[PublishGuard, Connection], Awaitable[None]]
RULES: dict[str, Rule] = {}


def rule(check: Rule) -> Rule:
    RULES[check.__name__] = check
    return check


def trade(a: int, ms: int = 1000, symbol: str = SYMBOL) -> TickEntry:
    d = encode(Trade(price=str(a), quantity="1", buyer_is_maker=False, received_ms=0))
    return TickEntry(symbol, "trade", ms, a, d)


def gap(first: int, last: int, ms: int = 1000) -> TickEntry:
    return TickEntry(SYMBOL, "gap", ms, last, encode(Gap(first=first, last=last)))


def seed(ms: int) -> TickEntry:
    return TickEntry(SYMBOL, "seed", ms, 0, b'{"t":"seed"}')


def resume(after: str, ms: int = 1000) -> TickEntry:
    return TickEntry(SYMBOL, "resume", ms, 0, b'{"t":"resume"}', after)


async def ids(redis: Connection, key: str = KEY) -> list[str]:
    return [entry_id for entry_id, _ in await entries_between(redis, key, "-", "+", 10_000)]


async def one(guard: PublishGuard, *entries: TickEntry) -> Published:
    return (await guard.publish(entries))[SYMBOL]


@rule
async def the_first_trade_opens_a_stretch_at_any_id(guard: PublishGuard, redis: Connection) -> None:
    assert await one(guard, trade(70, 5)) == Published(1, 0, None, StreamId(5, 70))
    assert await ids(redis) == ["5-70"]


@rule
async def the_next_trade_is_appended_with_its_data(guard: PublishGuard, redis: Connection) -> None:
    await one(guard, trade(7), trade(8))
    assert await one(guard, trade(9, 1001)) == Published(1, 0, None, StreamId(1001, 9))
    entries = await entries_between(redis, KEY, "-", "+", 10)
    assert entries == [(f"{t.ms}-{t.a}", {b"d": t.d}) for t in (trade(7), trade(8), trade(9, 1001))]


@rule
async def a_trade_that_is_not_newer_is_skipped(guard: PublishGuard, redis: Connection) -> None:
    await one(guard, trade(7), trade(8))
    assert await one(guard, trade(7), trade(8), trade(9), trade(9, 2000)) == Published(1, 3, None, StreamId(1000, 9))
    assert await ids(redis) == ["1000-7", "1000-8", "1000-9"]


@rule
async def a_missing_trade_stops_its_symbol_and_says_after_which(guard: PublishGuard, redis: Connection) -> None:
    assert await one(guard, trade(7), trade(9), trade(8)) == Published(1, 0, 7, StreamId(1000, 7))
    assert await one(guard, trade(9), trade(10)) == Published(0, 0, 7, StreamId(1000, 7))
    assert await ids(redis) == ["1000-7"]


@rule
async def a_gap_in_one_symbol_does_not_stop_another(guard: PublishGuard, redis: Connection) -> None:
    batch = [trade(1), trade(1, symbol=BESIDE), trade(3), trade(2, symbol=BESIDE), trade(5, symbol="ETHUSDT")]
    answers = await guard.publish([*batch, trade(3, symbol=BESIDE), trade(6, symbol="ETHUSDT")])
    assert answers == {
        SYMBOL: Published(1, 0, 1, StreamId(1000, 1)),
        BESIDE: Published(3, 0, None, StreamId(1000, 3)),
        "ETHUSDT": Published(2, 0, None, StreamId(1000, 6)),
    }


@rule
async def time_never_steps_back_in_a_stream(guard: PublishGuard, redis: Connection) -> None:
    assert (await one(guard, trade(1, 1000), trade(2, 990), trade(3, 1001))).appended == 3
    assert (await one(guard, trade(4, 5))).top == StreamId(1001, 4)
    assert await ids(redis) == ["1000-1", "1000-2", "1001-3", "1001-4"]


@rule
async def a_gap_entry_starts_right_behind_the_last_trade(guard: PublishGuard, redis: Connection) -> None:
    await one(guard, trade(7))
    assert await one(guard, gap(9, 12)) == Published(0, 0, 7, StreamId(1000, 7))
    assert await one(guard, gap(7, 12)) == Published(0, 0, 7, StreamId(1000, 7))
    assert await one(guard, gap(8, 12, 1500), trade(13, 1500)) == Published(2, 0, None, StreamId(1500, 13))
    assert await ids(redis) == ["1000-7", "1500-12", "1500-13"]


@rule
async def a_gap_entry_that_says_nothing_new_is_skipped(guard: PublishGuard, redis: Connection) -> None:
    assert await one(guard, gap(1, 6)) == Published(0, 1, None, None)  # nothing is missing before a stretch
    await one(guard, trade(7), gap(8, 12))
    assert await one(guard, gap(8, 12), gap(8, 11)) == Published(0, 2, None, StreamId(1000, 12))
    assert await ids(redis) == ["1000-7", "1000-12"]


@rule
async def seeds_come_before_the_first_trade_only(guard: PublishGuard, redis: Connection) -> None:
    assert (await one(guard, seed(100), seed(200), trade(7, 250))).appended == 3
    assert await one(guard, seed(300)) == Published(0, 1, None, StreamId(250, 7))
    assert await ids(redis) == ["100-0", "200-0", "250-7"]


@rule
async def seeds_must_be_newer_than_what_is_there(guard: PublishGuard, redis: Connection) -> None:
    await one(guard, seed(100), seed(200))
    assert await one(guard, seed(100), seed(200), seed(300)) == Published(1, 2, None, StreamId(300, 0))
    assert await ids(redis) == ["100-0", "200-0", "300-0"]


@rule
async def a_resume_needs_the_end_that_its_writer_saw(guard: PublishGuard, redis: Connection) -> None:
    await one(guard, trade(7))
    assert await one(guard, resume("1000-6", 2000)) == Published(0, 1, None, StreamId(1000, 7))
    assert await one(guard, resume("", 2000)) == Published(0, 1, None, StreamId(1000, 7))
    assert await one(guard, resume("1000-7", 2000)) == Published(1, 0, None, StreamId(2000, 0))
    assert await one(guard, resume("1000-7", 2000)) == Published(0, 1, None, StreamId(2000, 0))
    assert await one(guard, trade(50, 2001)) == Published(1, 0, None, StreamId(2001, 50))
    assert await ids(redis) == ["1000-7", "2000-0", "2001-50"]


@rule
async def a_resume_lies_behind_the_last_trade_in_time(guard: PublishGuard, redis: Connection) -> None:
    await one(guard, trade(7))
    assert (await one(guard, resume("1000-7", 900))).top == StreamId(1001, 0)
    assert (await one(guard, resume("1001-0", 1001))).top == StreamId(1002, 0)
    assert (await one(guard, seed(1002), seed(1003), trade(3, 900))).top == StreamId(1003, 3)


@rule
async def a_trimmed_stream_still_knows_where_it_ended(guard: PublishGuard, redis: Connection) -> None:
    await one(guard, trade(7), trade(8))
    await redis.xtrim(KEY, maxlen=0, approximate=False)
    assert await guard.top(SYMBOL) == StreamId(1000, 8)
    assert await one(guard, trade(8), trade(10)) == Published(0, 1, 8, StreamId(1000, 8))


@rule
async def an_id_that_was_deleted_is_not_written_again(guard: PublishGuard, redis: Connection) -> None:
    await one(guard, trade(7), trade(8))
    await redis.xdel(KEY, "1000-8")
    assert await one(guard, trade(8), trade(9)) == Published(1, 1, None, StreamId(1000, 9))


@rule
async def a_key_of_another_kind_stops_before_any_write(guard: PublishGuard, redis: Connection) -> None:
    beside = keys.tick(BESIDE, PARTITIONS)
    await redis.set(beside, "not a stream")
    with pytest.raises(InvariantBroken, match=re.escape(beside)):
        await guard.publish([trade(1), trade(1, symbol=BESIDE)])
    assert await ids(redis) == []


@rule
async def a_whole_batch_may_be_repeated(guard: PublishGuard, redis: Connection) -> None:
    batch = [seed(100), trade(7, 1000), trade(8, 990), gap(9, 11, 1200), trade(12, 1200), resume("1200-12", 1300)]
    first = await one(guard, *batch)
    assert first == Published(6, 0, None, StreamId(1300, 0))
    before = await ids(redis)
    assert await one(guard, *batch[:1], *batch[-1:]) == Published(0, 2, None, StreamId(1300, 0))
    assert await ids(redis) == before


@rule
async def ids_of_any_size_stay_exact(guard: PublishGuard, redis: Connection) -> None:
    big, ms = 2**52 + 1, 9_999_999_999_999
    await one(guard, trade(big, ms), trade(big + 1, ms), trade(big + 2, 1))
    assert await one(guard, trade(big + 1, ms), trade(big + 4)) == Published(0, 1, big + 2, StreamId(ms, big + 2))
    assert (await one(guard, resume(f"{ms}-{big + 2}", 5))).top == StreamId(ms + 1, 0)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Connection]:
    connection = connect(redis_url, name="test")
    yield connection
    await connection.aclose()


@pytest.mark.parametrize("name", RULES)
async def test_rule(name: str, redis: Connection) -> None:
    await RULES[name](PublishGuard(redis, PARTITIONS), redis)


# Each takes one guard out of the script, or shifts its edge by one.
MUTANTS = {
    "duplicates are appended": ("if a > last then\n        if a == last + 1", "if true then\n        if a == last + 1"),
    "the last trade counts as new": ("      if a > last then", "      if a >= last then"),
    "gaps are not seen": ("if a == last + 1 or last == 0 then", "if a > last then"),
    "a stretch must start at 1": ("if a == last + 1 or last == 0 then", "if a == last + 1 then"),
    "a gap does not stop the symbol": ("          gap = last\n          break\n        end\n      end\n    else",
                                       "          gap = last\n        end\n      end\n    else"),
    "a gap is not told": ("          gap = last\n          break", "          break"),
    "time may step back": ("if ms < last_ms then", "if false then"),
    "a gap entry may start anywhere": ("if number(sub(what, 2, colon - 1)) == last + 1 then", "if true then"),
    "an old gap entry is told as a gap": ("if a > last and last > 0 then", "if last > 0 then"),
    "a gap entry may open a stretch": ("if a > last and last > 0 then", "if a > last then"),
    "seeds may follow trades": ("if last == 0 and number(ARGV[e]) > last_ms", "if number(ARGV[e]) > last_ms"),
    "old seeds are raised": ("if last == 0 and number(ARGV[e]) > last_ms", "if last == 0"),
    "a seed may repeat": ("number(ARGV[e]) > last_ms", "number(ARGV[e]) >= last_ms"),
    "a resume needs no witness": ("if sub(what, 2) == top then", "if true then"),
    "a resume keeps the time": ("if ms == last_ms then", "if false then"),
    "the top is what is left, not what was given out": ("'last-generated-id'", "'recorded-first-entry-id'"),
    "kinds are not looked at": ("return {'WRONGKEY', KEYS[k], info.err}", "tops[k] = '0-0'"),
    "any error is a wrong kind": ("if not string.find(info.err, 'no such key', 1, true) then", "if true then"),
    "the top is not kept up": ("last_ms, last_ms_text, last, top = ms, ms_text, a, id", "last = a"),
    "skips are not counted": ("skipped = skipped + 1", ""),
    "appends are not counted": ("appended = appended + 1", ""),
}  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_every_guard_of_the_script_is_needed(
    mutant: str, redis: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, instead = MUTANTS[mutant]
    assert publish.SCRIPT.source.count(here) == 1
    monkeypatch.setattr(publish, "SCRIPT", Script(publish.SCRIPT.source.replace(here, instead)))
    for check in RULES.values():
        await redis.flushall()
        try:
            await check(PublishGuard(redis, PARTITIONS), redis)
        except (Exception, pytest.fail.Exception):  # an error of Redis in the middle of a write is a catch too
            return
    pytest.fail("no rule noticed")


async def test_top_of_a_stream_that_never_was_is_none(redis: Connection) -> None:
    assert await PublishGuard(redis, PARTITIONS).top(SYMBOL) is None


async def test_nothing_to_publish_asks_nothing(redis: Connection) -> None:
    assert await PublishGuard(redis, PARTITIONS).publish([]) == {}


async def test_a_gap_that_contradicts_its_data_is_refused(redis: Connection) -> None:
    with pytest.raises(ValueError, match="gap entry of 12"):
        await PublishGuard(redis, PARTITIONS).publish([gap(8, 11)._replace(a=12)])


async def test_a_long_batch_goes_in_pieces(redis: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "BATCH_MAX", 4)
    batch = [trade(1), *(trade(n) for n in range(1, 10)), trade(5, symbol="ETHUSDT")]
    answers = await PublishGuard(redis, PARTITIONS).publish(batch)
    assert answers == {
        SYMBOL: Published(9, 1, None, StreamId(1000, 9)),
        "ETHUSDT": Published(1, 0, None, StreamId(1000, 5)),
    }


async def test_a_gap_ends_a_symbol_in_all_pieces(redis: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "BATCH_MAX", 2)
    batch = [trade(1), trade(3), trade(2), trade(1, symbol="ETHUSDT"), trade(3), trade(2, symbol="ETHUSDT")]
    answers = await PublishGuard(redis, PARTITIONS).publish(batch)
    assert answers == {
        SYMBOL: Published(1, 0, 1, StreamId(1000, 1)),
        "ETHUSDT": Published(2, 0, None, StreamId(1000, 2)),
    }


async def test_a_script_that_redis_forgot_is_loaded_again(redis: Connection) -> None:
    guard = PublishGuard(redis, PARTITIONS)
    await redis.script_flush()
    assert (await guard.publish([trade(1), trade(1, symbol="ETHUSDT")])).keys() == {SYMBOL, "ETHUSDT"}
    await redis.script_flush()
    assert (await one(guard, trade(2))).appended == 1


async def test_two_feeds_at_once_make_one_contiguous_stream(redis_url: str, redis: Connection) -> None:
    other = connect(redis_url, name="other")
    last = 2000

    async def feed(connection: Connection, step: int) -> None:
        guard, a = PublishGuard(connection, PARTITIONS), 1
        while a <= last:
            answer = await one(guard, *(trade(n, 1000 + n // 3) for n in range(a, min(a + step, last + 1))))
            assert answer.gap_after is None
            a += step

    await asyncio.gather(feed(redis, 7), feed(other, 11), feed(redis, 1))
    await other.aclose()
    assert [StreamId.parse(entry_id).seq for entry_id in await ids(redis)] == list(range(1, last + 1))


async def test_whatever_is_published_the_stream_is_contiguous_or_says_so(redis: Connection) -> None:
    """Random batches with repeats, holes, steps back in time, gap entries, seeds and resumes."""
    dice = random.Random(95)
    guard = PublishGuard(redis, PARTITIONS)
    for _ in range(300):
        top = await guard.top(SYMBOL) or StreamId(0, 0)
        ms, a = top.ms + dice.randint(-20, 20), max(1, top.seq + dice.randint(-6, 4))
        after = dice.choice([str(top), "5-5"])
        kinds = [
            [trade(n, max(1, ms + dice.randint(-3, 9))) for n in range(a, a + dice.randint(1, 9))],
            [gap(a, a + dice.randint(0, 5), max(1, ms))],
            [seed(max(1, ms)), trade(a, max(1, ms))],
            [resume(after, max(1, ms)), seed(max(1, ms + 5)), trade(dice.randint(1, 99), max(1, ms + 9))],
        ]
        await guard.publish(dice.choices(kinds, weights=[8, 2, 1, 1])[0])
    entries = await entries_between(redis, KEY, "-", "+", 10_000)
    last = StreamId(0, 0)
    kinds_seen = set()
    for entry_id, fields in entries:
        here, tick = StreamId.parse(entry_id), json.loads(fields[b"d"])
        kinds_seen.add(tick["t"])
        assert here > last
        match tick["t"]:
            case "trade":
                assert last.seq == 0 or here.seq == last.seq + 1
                assert tick["p"] == str(here.seq)
            case "gap":
                assert (tick["first"], tick["last"]) == (last.seq + 1, here.seq)
            case "seed":
                assert here.seq == last.seq == 0
            case "resume":
                assert here.seq == 0
        last = here
    assert kinds_seen == {"trade", "gap", "seed", "resume"}


async def test_a_guard_goes_on_after_redis_was_killed(make_redis: Callable[[], RedisServer]) -> None:
    server = make_redis()
    connection = connect(server.url, name="test")
    guard = PublishGuard(connection, PARTITIONS)
    await one(guard, trade(1))
    server.kill()
    with pytest.raises(TransientError, match="publish ticks"):
        await guard.publish([trade(2), trade(1, symbol="ETHUSDT")])
    server.start()
    assert await one(guard, trade(1), trade(2)) == Published(1, 1, None, StreamId(1000, 2))
    await connection.aclose()
