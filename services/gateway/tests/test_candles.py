"""Candles for the eye: parts of a minute add up, closed bars correct them."""

import pytest

from phoenix95.common import keys
from phoenix95.common.bus.append import append, append_once
from phoenix95.common.events import Seed, Trade
from phoenix95.gateway.board import chart as charts
from phoenix95.gateway.board.chart import Chart
from phoenix95.gateway.core.candles import Candle, Candles, trade

MINUTE_MS = 60_000
START_MS = 1_767_600_000_000  # a whole minute
PARTITIONS = 16


def candle(open_ms, price=100.0, volume=1.0):
    return Candle(open_ms=open_ms, open=price, high=price, low=price, close=price, volume=volume)


def test_trades_of_a_minute_become_one_candle_and_the_next_minute_begins_another():
    candles = Candles()
    for at_ms, price in ((0, "10"), (1, "12"), (30_000, "9"), (59_999, "11"), (60_000, "13")):
        candles.take(trade(START_MS + at_ms, price, "0.5"))
    assert candles.since(0) == [
        Candle(START_MS, 10.0, 12.0, 9.0, 11.0, 2.0),
        Candle(START_MS + MINUTE_MS, 13.0, 13.0, 13.0, 13.0, 0.5),
    ]


def test_short_bars_add_up_to_their_minute():
    candles = Candles()
    for at in range(12):
        candles.take(candle(START_MS + at * 5_000, price=100.0 + at))
    assert candles.since(0) == [Candle(START_MS, 100.0, 111.0, 100.0, 111.0, 12.0)]


def test_a_closed_bar_replaces_what_trades_made_of_its_minute_also_after_the_next_began():
    candles = Candles()
    candles.take(candle(START_MS, price=1.0))
    candles.take(candle(START_MS + MINUTE_MS, price=2.0))
    candles.correct(candle(START_MS, price=5.0, volume=9.0))
    assert [one.close for one in candles.since(0)] == [5.0, 2.0]


def test_what_is_late_and_what_is_too_old_is_left_out():
    candles = Candles(kept=2)
    for at in range(3):
        candles.take(candle(START_MS + at * MINUTE_MS, price=float(at)))
    candles.take(candle(START_MS, price=99.0))
    assert [one.close for one in candles.since(0)] == [1.0, 2.0]
    assert [one.close for one in candles.since(START_MS + 2 * MINUTE_MS)] == [2.0]


def a_trade(price="100"):
    return Trade(price=price, quantity="1", buyer_is_maker=False, received_ms=0)


async def add_trades(redis, first, count, start_ms=START_MS, price="100"):
    key = keys.tick("BTCUSDT", PARTITIONS)
    for number in range(first, first + count):
        await append(redis, key, a_trade(price), id=f"{start_ms + number}-{number}")


async def test_a_chart_reads_seeds_then_trades_and_follows(redis):
    key = keys.tick("BTCUSDT", PARTITIONS)
    for at in (2, 1):
        opened = START_MS - at * MINUTE_MS
        seed = Seed(open_time=opened, length_ms=MINUTE_MS, open="1", high="4", low="1", close="2", volume="7")
        assert await append_once(redis, key, seed, id=f"{opened + MINUTE_MS - 1}-0")
    await add_trades(redis, 1, 3)
    chart = Chart("BTCUSDT", PARTITIONS)
    await chart.follow(redis)
    assert [one.volume for one in chart.candles.since(0)] == [7.0, 7.0, 3.0]
    version = chart.version
    await chart.follow(redis)
    assert chart.version == version
    await add_trades(redis, 4, 1, price="50")
    await chart.follow(redis)
    assert chart.version == version + 1
    assert chart.candles.since(START_MS) == [Candle(START_MS, 100.0, 100.0, 50.0, 50.0, 4.0)]


async def test_an_entry_that_nobody_can_read_is_no_candle_and_stops_nothing(redis):
    await redis.xadd(keys.tick("BTCUSDT", PARTITIONS), {"d": b"{"}, id=f"{START_MS}-1")
    await redis.xadd(keys.analysis("BTCUSDT", PARTITIONS), {"x": b"1"})
    await add_trades(redis, 2, 1)
    chart = Chart("BTCUSDT", PARTITIONS)
    await chart.follow(redis)
    assert len(chart.candles.since(0)) == 1


async def test_a_market_faster_than_the_eye_is_skipped_and_not_piled_up(redis, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(charts, "PAGE", 10)
    monkeypatch.setattr(charts, "PAGES_MAX", 2)
    chart = Chart("BTCUSDT", PARTITIONS)
    await chart.follow(redis)
    await add_trades(redis, 1, 50)
    await chart.follow(redis)
    assert sum(one.volume for one in chart.candles.since(0)) == 20
    await add_trades(redis, 51, 1)
    await chart.follow(redis)
    assert sum(one.volume for one in chart.candles.since(0)) == 21
