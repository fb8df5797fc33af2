"""The feed against a real Redis and an exchange that misbehaves."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from phoenix95.common import keys
from phoenix95.common.bus.prices import read_price
from phoenix95.common.bus.reader import tail
from phoenix95.common.events import Gap, Seed, Trade
from phoenix95.common.wire import dead_letter_decoder
from phoenix95.feed.sources.binance import route

START_MS = 1_721_347_200_000
MINUTE_MS = 60_000
BOOK = {"e": "bookTicker", "s": "BTCUSDT", "u": 1, "b": "100.4", "B": "1", "a": "100.6", "A": "2"}
MARK = {"e": "markPriceUpdate", "s": "BTCUSDT", "p": "100.5", "i": "100.5", "r": "0.0001"}
TRADE = {"e": "aggTrade", "E": START_MS + 10_000, "T": START_MS + 10_000, "s": "BTCUSDT", "a": 1006, "p": "1"}
TRADE |= {"q": "1", "m": True}

StartFeed = Callable[..., Awaitable[Any]]
Until = Callable[..., Awaitable[None]]


def framed(stream: str, data: dict[str, Any]) -> str:
    return json.dumps({"stream": stream, "data": data})


def up_to(last: int) -> list[int]:
    return list(range(1001, last + 1))


async def test_trades_are_stored_once_in_order_under_the_exchanges_ids(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed()
    trades = exchange.happen("BTCUSDT", 300)
    await exchange.tell(trades)
    await eventually(lambda: _is(stream.ids(), up_to(1300)))
    entry_id, first = (await stream.entries())[0]
    assert entry_id == f"{trades[0]['T']}-1001"
    assert isinstance(first, Trade)
    assert (first.price, first.quantity, first.buyer_is_maker) == ("100.5", "0.5", False)


async def test_the_first_trade_of_a_second_carries_the_market_and_the_price_hash_shows_it(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed()
    await eventually(lambda: any("btcusdt@bookTicker" in one for one in exchange.subscriptions.values()))
    now = exchange.now_ms
    await exchange.send("btcusdt@bookTicker", BOOK | {"E": now, "T": now})
    await exchange.send("btcusdt@markPrice@1s", MARK | {"E": now, "T": now + 5})
    await eventually(lambda: read_price(stream.redis, "BTCUSDT", 16))
    await asyncio.sleep(0.05)
    await exchange.trade("BTCUSDT", 2)
    await eventually(lambda: _is(stream.ids(), up_to(1002)))
    first, second = [tick for _, tick in await stream.entries()]
    assert (first.bid, first.ask, first.mark, first.funding) == ("100.4", "100.6", "100.5", "0.0001")
    assert (second.bid, second.mark) == (None, None)
    await eventually(lambda: _has(stream, "BTCUSDT", {"price": "100.5", "bid": "100.4", "mark": "100.5"}))


async def test_seeds_come_before_the_first_trade_and_the_open_minute_is_filled(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    exchange.bars = 5
    exchange.happen("BTCUSDT", 3)  # in the minute that is open, before anybody subscribed
    await start_feed(seed_bars=3)
    await exchange.trade("BTCUSDT", 2)
    await eventually(lambda: _is(stream.ids(), [0, 0, 0, *up_to(1005)]))
    assert await stream.kinds() == "sssttttt"
    seeds = [tick for _, tick in await stream.entries() if isinstance(tick, Seed)]
    assert [seed.open_time for seed in seeds] == [START_MS - n * MINUTE_MS for n in (3, 2, 1)]
    assert (seeds[0].length_ms, seeds[0].close, seeds[0].volume) == (MINUTE_MS, "11", "5")
    assert (await stream.entries())[2][0] == f"{START_MS - 1}-0"


async def test_a_cut_connection_loses_nothing(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed()
    for round_number in range(1, 4):
        await exchange.trade("BTCUSDT", 10)
        exchange.cut()
        exchange.happen("BTCUSDT", 1500)  # nobody hears of these, and they are more than one page
        await eventually(lambda: exchange.subscribed("BTCUSDT"))
        last = 1000 + 1510 * round_number
        await eventually(lambda last=last: _is(stream.ids(), up_to(last)))  # without a further trade
    assert set(await stream.kinds()) == {"t"}


async def test_lost_frames_are_fetched_again(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed()
    await exchange.trade("BTCUSDT", 5)
    await eventually(lambda: _is(stream.ids(), up_to(1005)))
    exchange.happen("BTCUSDT", 20)
    await exchange.trade("BTCUSDT", 5)
    await eventually(lambda: _is(stream.ids(), up_to(1030)))


async def test_what_the_exchange_cannot_supply_becomes_a_gap_entry(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed()
    await exchange.trade("BTCUSDT", 5)
    exchange.happen("BTCUSDT", 10)
    exchange.forgotten["BTCUSDT"] = {1006, 1007, 1010}
    behind = exchange.happen("BTCUSDT", 1)
    await exchange.tell(behind)
    expected = [1001, 1002, 1003, 1004, 1005, 1007, 1008, 1009, 1010, *range(1011, 1017)]
    await eventually(lambda: _is(stream.ids(), expected))
    gaps = [(tick.first, tick.last) for _, tick in await stream.entries() if isinstance(tick, Gap)]
    assert gaps == [(1006, 1007), (1010, 1010)]
    assert await stream.kinds() == "tttttgttgtttttt"


async def test_history_that_stays_silent_becomes_a_gap_in_bounded_time(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed(backfill_wait_ms=300)
    await exchange.trade("BTCUSDT", 5)
    await eventually(lambda: _is(stream.ids(), up_to(1005)))
    exchange.rest_down = True
    lost = exchange.happen("BTCUSDT", 3)
    behind = exchange.happen("BTCUSDT", 2)
    await exchange.tell(behind)
    await eventually(lambda: _is(stream.ids(), [*up_to(1005), lost[-1]["a"], 1009, 1010]))
    entry_id, gap = (await stream.entries())[5]
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last, entry_id) == (1006, 1008, f"{behind[0]['T']}-1008")


async def test_a_hole_larger_than_the_bound_is_filled_from_its_young_end(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed(backfill_max=10)
    await exchange.trade("BTCUSDT", 5)
    exchange.happen("BTCUSDT", 100)
    await exchange.trade("BTCUSDT", 1)
    await eventually(lambda: _is(stream.ids(), [*up_to(1005), 1095, *range(1096, 1107)]))


@pytest.mark.parametrize(
    "frame",
    [
        b"garbage",
        b"\xff\xfe",
        b"{}",
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT","a":"x"}}',
        framed("btcusdt@aggTrade", TRADE | {"p": "-1"}),
        framed("btcusdt@aggTrade", TRADE | {"p": "NaN"}),
        framed("btcusdt@aggTrade", TRADE | {"st": 2}),  # COIN-M
        framed("btcusdt@aggTrade", TRADE | {"M": True}),  # spot
        framed("dogeusdt@aggTrade", TRADE | {"s": "DOGEUSDT"}),
        framed("btcusdt@aggTrade", TRADE | {"s": "ETHUSDT"}),
        b"x" * (route.FRAME_MAX_BYTES + 1),
    ],
)
async def test_a_bad_frame_is_kept_as_a_dead_letter_and_its_trade_is_fetched(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until, frame: bytes | str
) -> None:
    feed = await start_feed()
    await exchange.trade("BTCUSDT", 5)
    exchange.happen("BTCUSDT", 1)  # this trade's frame arrives broken, and no other follows
    await exchange.send_raw(frame)
    await eventually(lambda: _is(stream.ids(), up_to(1006)))
    await eventually(lambda: tail(stream.redis, keys.dead_letter("feed"), 9))
    [(_, fields)] = await tail(stream.redis, keys.dead_letter("feed"), 9)
    letter = dead_letter_decoder.decode(fields[b"d"])
    assert (letter.source, bool(letter.error), len(letter.fields["d"]) <= 2000) == ("market", True, True)
    assert not feed.task.done()


async def test_a_flood_of_garbage_stays_bounded_and_trades_go_on(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed()
    for _ in range(2000):
        await exchange.send_raw(b"garbage")
    await exchange.trade("BTCUSDT", 5)
    await eventually(lambda: _is(stream.ids(), up_to(1005)))
    await asyncio.sleep(1.2)
    assert len(await tail(stream.redis, keys.dead_letter("feed"), 5000)) <= 120


async def test_duplicate_and_reordered_frames_are_stored_once_in_order(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await start_feed()
    trades = exchange.happen("BTCUSDT", 200)
    for start in range(0, 200, 4):
        a, b, c, d = trades[start : start + 4]
        await exchange.tell([b, a, a, d, c, b])
    await eventually(lambda: _is(stream.ids(), up_to(1200)))
    assert set(await stream.kinds()) == {"t"}


async def test_two_feeds_at_once_write_each_trade_once(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    exchange.bars = 5
    await asyncio.gather(start_feed(seed_bars=4), start_feed(seed_bars=4))
    for _ in range(20):
        await exchange.trade("BTCUSDT", 25)
        exchange.happen("BTCUSDT", 1)
    await exchange.trade("BTCUSDT", 1)
    await eventually(lambda: _is(stream.ids(), [0, 0, 0, 0, *up_to(1521)]))


async def test_a_restart_goes_on_where_the_stream_ends(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    exchange.bars = 5
    feed = await start_feed(seed_bars=2)
    await exchange.trade("BTCUSDT", 5)
    await eventually(lambda: _is(stream.ids(), [0, 0, *up_to(1005)]))
    await feed.stop()
    exchange.happen("BTCUSDT", 50)
    await start_feed(seed_bars=2)
    await eventually(lambda: _is(stream.ids(), [0, 0, *up_to(1055)]))


async def test_a_feed_that_died_before_its_first_trade_begins_where_it_would_have_begun(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    feed = await start_feed()
    feed.kill()
    await asyncio.wait({feed.task})
    exchange.happen("BTCUSDT", 50)
    await start_feed()
    await exchange.trade("BTCUSDT", 1)
    await eventually(lambda: _is(stream.ids(), up_to(1051)))


async def test_a_stop_publishes_what_waits(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    feed = await start_feed(linger_ms=400)
    await exchange.trade("BTCUSDT", 1)
    await eventually(lambda: _is(stream.ids(), up_to(1001)))
    await exchange.trade("BTCUSDT", 40)
    await asyncio.sleep(0.05)
    await feed.stop()
    assert await stream.ids() == up_to(1041)


async def test_ids_of_another_market_are_named_and_not_mixed_in(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    feed = await start_feed()
    await exchange.trade("BTCUSDT", 50)
    await eventually(lambda: _is(stream.ids(), up_to(1050)))
    exchange.trades["BTCUSDT"] = []
    await exchange.trade("BTCUSDT", 1)
    await eventually(lambda: "another market" in (feed.context.health.reasons()["symbols"] or ""))
    assert await stream.ids() == up_to(1050)


async def _is(found: Awaitable[Any], expected: Any) -> Any:
    got = await found
    return got == expected or _false(got)


def _false(got: Any) -> Any:
    """A falsy answer that shows what was found when the wait gives up."""

    class Found(list[Any]):
        def __bool__(self) -> bool:
            return False

    return Found(got)


async def _has(stream: Any, symbol: str, expected: dict[str, str]) -> bool:
    fields = await read_price(stream.redis, symbol, 16) or {}
    return expected.items() <= fields.items()
