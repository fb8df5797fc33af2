"""What the exchange's history mends: holes in a tick stream, and the bars before its first trade."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from phoenix95.common.events import Gap, Seed
from phoenix95.common.wire import encode
from phoenix95.feed.core.frames import AggTrade
from phoenix95.feed.core.line import Entry, encode_trade


class Candle(NamedTuple):
    """A closed bar of the exchange; `close_ms` is its last millisecond."""

    open_ms: int
    close_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str


class Hole(NamedTuple):
    """Trades to be asked for: from id `first` up to, not including, `goal`."""

    first: int
    goal: int


def hole_of(top_a: int, goal: int, fetch_max: int) -> Hole | None:
    """What lies between a stream's last id and `goal`; only the newest `fetch_max` are worth fetching."""
    if goal <= top_a + 1:
        return None
    return Hole(max(top_a + 1, goal - fetch_max), goal)


def mended(top_a: int, trades: Iterable[AggTrade], received_ms: int) -> list[Entry]:
    """Entries that follow `top_a` (0: they open a stretch): the trades, and a gap wherever ids are missing.

    Call it only with what the exchange answered for a range that it has passed: what is not among the trades
    is then missing for good. Trades may come in any order; known ones are left out.
    """
    entries: list[Entry] = []
    last = top_a
    for trade in sorted(trades, key=lambda one: one.id):
        if trade.id <= last:
            continue
        if last and trade.id > last + 1:
            entries.append(gap_entry(last + 1, trade.id - 1, trade.time_ms))
        entries.append(Entry(trade.id, trade.time_ms, encode_trade(trade, received_ms)))
        last = trade.id
    return entries


def gap_entry(first: int, last: int, next_ms: int) -> Entry:
    """The trades from `first` to `last` are missing for good; `next_ms` is the time of the trade behind them."""
    return Entry(last, next_ms, encode(Gap(first=first, last=last)), "gap")


def seeds(candles: Sequence[Candle], until_ms: int, count: int) -> list[tuple[int, bytes]]:
    """(close time, entry) of the last `count` bars that closed before `until_ms`, oldest first."""
    closed = sorted({candle.open_ms: candle for candle in candles if candle.close_ms < until_ms}.items())
    return [
        (
            candle.close_ms,
            encode(
                Seed(
                    open_time=candle.open_ms,
                    length_ms=candle.close_ms - candle.open_ms + 1,
                    open=candle.open,
                    high=candle.high,
                    low=candle.low,
                    close=candle.close,
                    volume=candle.volume,
                )
            ),
        )
        for _, candle in closed[max(0, len(closed) - count) :]
    ]
