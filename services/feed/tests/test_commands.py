"""Symbols added and removed at run time, by commands and by the hash itself."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from phoenix95.common import keys
from phoenix95.common.bus.append import append
from phoenix95.common.bus.offsets import read_offset
from phoenix95.common.bus.reader import tail
from phoenix95.common.bus.symbols import add_symbol, read_symbols, remove_symbol
from phoenix95.common.errors import ConfigError
from phoenix95.common.events import Ack, ClosePosition, Event, Resume, Subscribe, Unsubscribe
from phoenix95.common.wire import ack_decoder

StartFeed = Callable[..., Awaitable[Any]]
Until = Callable[..., Awaitable[None]]


async def acked(stream: Any, command: Event, eventually: Until) -> Ack:
    """Send a command and wait for its acknowledgement."""
    command_id = await append(stream.redis, keys.COMMAND, command)
    found: list[Ack] = []

    async def answered() -> bool:
        acks = [ack_decoder.decode(fields[b"d"]) for _, fields in await tail(stream.redis, keys.ACK, 99)]
        found[:] = [ack for ack in acks if ack.command_id == command_id]
        return bool(found)

    await eventually(answered)
    return found[0]


async def ids_are(stream: Any, symbol: str, expected: list[int]) -> bool:
    return bool(await stream.ids(symbol) == expected)


async def test_a_symbol_is_added_and_its_trades_come(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    exchange.bars = 3
    await start_feed(seed_bars=2)
    ack = await acked(stream, Subscribe(symbol=" ethusdt "), eventually)
    assert (ack.ok, ack.service, ack.message) == (True, "feed", "ETHUSDT is followed")
    await eventually(lambda: exchange.subscribed("BTCUSDT", "ETHUSDT"))
    await exchange.trade("ETHUSDT", 3)
    await eventually(lambda: ids_are(stream, "ETHUSDT", [0, 0, 1001, 1002, 1003]))
    assert set(await read_symbols(stream.redis)) == {"BTCUSDT", "ETHUSDT"}
    again = await acked(stream, Subscribe(symbol="ETHUSDT"), eventually)
    assert (again.ok, again.message) == (True, "ETHUSDT is followed already")


async def test_an_unknown_symbol_is_refused_by_name(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed()
    for symbol in ("DOGEUSDT", "OLDUSDT"):  # the second is listed and does not trade
        ack = await acked(stream, Subscribe(symbol=symbol), eventually)
        assert (ack.ok, ack.message) == (False, f"unknown symbol {symbol}")
    for symbol in ("", "X" * 500):
        assert not (await acked(stream, Subscribe(symbol=symbol), eventually)).ok
    assert set(await read_symbols(stream.redis)) == {"BTCUSDT"}


async def test_a_removed_symbol_falls_silent_and_resumes_behind_an_entry_that_says_so(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed(symbols=("BTCUSDT", "ETHUSDT"))
    await exchange.trade("ETHUSDT", 3)
    await eventually(lambda: ids_are(stream, "ETHUSDT", [1001, 1002, 1003]))
    assert (await acked(stream, Unsubscribe(symbol="ETHUSDT"), eventually)).ok
    await eventually(lambda: not exchange.subscribed("ETHUSDT"))
    exchange.happen("ETHUSDT", 500)
    exchange.now_ms += 120_000
    assert (await acked(stream, Subscribe(symbol="ETHUSDT"), eventually)).ok
    await eventually(lambda: exchange.subscribed("ETHUSDT"))
    await exchange.trade("ETHUSDT", 2)
    await eventually(lambda: ids_are(stream, "ETHUSDT", [1001, 1002, 1003, 0, 1504, 1505]))
    entries = await stream.entries("ETHUSDT")
    assert entries[3][1] == Resume(after=entries[2][0])
    assert entries[3][0].split("-")[0] == entries[4][0].split("-")[0]
    await exchange.trade("ETHUSDT", 1)
    await eventually(lambda: ids_are(stream, "ETHUSDT", [1001, 1002, 1003, 0, 1504, 1505, 1506]))


async def test_removed_and_added_while_no_feed_looked_resumes_too(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    feed = await start_feed(symbols=("BTCUSDT", "ETHUSDT"))
    await exchange.trade("ETHUSDT", 1)
    await eventually(lambda: ids_are(stream, "ETHUSDT", [1001]))
    await feed.stop()
    await append(stream.redis, keys.COMMAND, Unsubscribe(symbol="ETHUSDT"))
    await append(stream.redis, keys.COMMAND, Subscribe(symbol="ETHUSDT"))
    exchange.happen("ETHUSDT", 10)
    await start_feed(subscribed=False)
    await eventually(lambda: exchange.subscribed("ETHUSDT"))
    await eventually(lambda: _read(stream))
    exchange.now_ms += 120_000
    await exchange.trade("ETHUSDT", 1)
    await eventually(lambda: _contiguous_to(stream, 1012))


async def _read(stream: Any) -> bool:
    return bool(len(await tail(stream.redis, keys.ACK, 9)) == 2)


async def _contiguous_to(stream: Any, last: int) -> bool:
    """Whether the stream ends with `last`, and any jump in it stands behind a resume."""
    ids = await stream.ids("ETHUSDT")
    jumps = [b for a, b in itertools.pairwise(ids) if b not in (0, a + 1) and a != 0]
    return bool(ids and ids[-1] == last and not jumps)


async def test_the_last_symbol_stays(exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until) -> None:
    await start_feed()
    ack = await acked(stream, Unsubscribe(symbol="BTCUSDT"), eventually)
    assert (ack.ok, "last symbol" in ack.message) == (False, True)
    ack = await acked(stream, Unsubscribe(symbol="ETHUSDT"), eventually)
    assert (ack.ok, ack.message) == (True, "ETHUSDT was not followed")


async def test_the_hash_is_followed_when_another_hand_changes_it(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed()
    await add_symbol(stream.redis, "ETHUSDT")  # as a person would: without a note of the feed's
    await eventually(lambda: exchange.subscribed("ETHUSDT"))
    await exchange.trade("ETHUSDT", 2)
    await eventually(lambda: ids_are(stream, "ETHUSDT", [1001, 1002]))
    await remove_symbol(stream.redis, "ETHUSDT")
    await eventually(lambda: not exchange.subscribed("ETHUSDT"))


async def test_the_exchange_away_is_an_answer_too(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed()
    exchange.rest_down = True
    ack = await acked(stream, Subscribe(symbol="ETHUSDT"), eventually)
    assert (ack.ok, "did not answer" in ack.message) == (False, True)


async def test_commands_of_others_and_unreadable_ones_are_passed_over(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed()
    await append(stream.redis, keys.COMMAND, ClosePosition(symbol="BTCUSDT", reason="a person"))
    for fields in ({"d": "garbage"}, {"x": "1"}, {"d": '{"t":"of the future"}'}, {"d": '{"t":"subscribe","symbol":5}'}):
        await stream.redis.xadd(keys.COMMAND, fields)
    last = await append(stream.redis, keys.COMMAND, Subscribe(symbol="ETHUSDT"))
    await eventually(lambda: exchange.subscribed("ETHUSDT"))
    await eventually(lambda: _offset_is(stream, last))
    assert len(await tail(stream.redis, keys.ACK, 9)) == 1
    await eventually(lambda: _letters(stream, 3))


async def _offset_is(stream: Any, expected: str) -> bool:
    return await read_offset(stream.redis, keys.FEED_OFFSET) == expected


async def _letters(stream: Any, count: int) -> bool:
    return len(await tail(stream.redis, keys.dead_letter("feed"), 9)) == count


async def test_start_symbols_that_the_exchange_lacks_are_left_out_and_none_at_all_is_a_config_error(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    feed = await start_feed(symbols=("BTCUSDT", "NOSUCH"), subscribed=False)
    await eventually(lambda: feed.context.health.ready)
    assert set(await read_symbols(stream.redis)) == {"BTCUSDT"}
    await feed.stop()
    await remove_symbol(stream.redis, "BTCUSDT")
    feed = await start_feed(symbols=("NOSUCH",), subscribed=False)
    await asyncio.wait({feed.task}, timeout=5)
    error = feed.task.exception()
    assert isinstance(error, BaseExceptionGroup)
    assert error.subgroup(ConfigError)
    assert "NOSUCH" in str(error.exceptions[0])
