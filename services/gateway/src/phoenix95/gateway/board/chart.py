"""One symbol's candles: read back from its streams when somebody looks, and followed while they do."""

from typing import Final

import msgspec

from phoenix95.common import keys
from phoenix95.common.bus import Connection
from phoenix95.common.bus.reader import Entry, entries_between, last_id, tail
from phoenix95.common.events import TYPE_TAG, Seed, Tick, Trade
from phoenix95.common.ids import StreamId
from phoenix95.common.wire import tick_decoder
from phoenix95.gateway.core.candles import KEPT, MINUTE_MS, Candle, Candles, trade

BARS_MAX: Final = 1_500  # bars read back at the start; with bars of five seconds that is two hours
SEEDS_MAX: Final = 1_500  # the feed seeds a day of minutes
PAGE: Final = 1_000
PAGES_MAX: Final = 5  # a look reads no more trades than this; beyond, the bars must do


class _Bar(msgspec.Struct, frozen=True):
    """As much of a bar as a candle needs."""

    open_time: int
    length_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class _Closed(msgspec.Struct, frozen=True, tag_field=TYPE_TAG, tag="analysis"):
    """As much of an analysis as a candle needs: decoding the rest would cost ten times more."""

    bar: _Bar | None = None


class _Marker(msgspec.Struct, frozen=True, tag_field=TYPE_TAG, tag="marker"):
    """Stands in the same stream and draws nothing."""


_output_decoder: Final = msgspec.json.Decoder(_Closed | _Marker)


class Chart:
    """`version` grows with each change. All methods raise TransientError while Redis is away; nothing is lost."""

    def __init__(self, symbol: str, partitions: int) -> None:
        self.symbol = symbol
        self.version = 0
        self.candles = Candles()
        self._ticks = keys.tick(symbol, partitions)
        self._analyses = keys.analysis(symbol, partitions)
        self._tick_offset: str | None = None
        self._bar_offset = "0-0"

    async def follow(self, redis: Connection) -> None:
        """Take what is new; the first time, all that a screen can show."""
        if self._tick_offset is None:
            await self._load(redis)
            self.version += 1
            return
        before = self._tick_offset, self._bar_offset
        await self._take_trades(redis)
        for entry_id, bar in _bars(await entries_between(redis, self._analyses, f"({self._bar_offset}", "+", PAGE)):
            self._bar_offset = entry_id
            if bar is not None and bar.length_ms == MINUTE_MS:
                self.candles.correct(_candle(bar))
        if (self._tick_offset, self._bar_offset) != before:
            self.version += 1

    async def _load(self, redis: Connection) -> None:
        candles = Candles()
        found = _bars(await tail(redis, self._analyses, BARS_MAX))
        bars = [bar for _, bar in found if bar is not None and bar.length_ms <= MINUTE_MS]
        if len(bars) < KEPT:
            for seed in await self._seeds(redis, bars[0].open_time if bars else None):
                candles.take(seed)
        for bar in bars:
            candles.take(_candle(bar))
        closed_ms = bars[-1].open_time + bars[-1].length_ms if bars else 0
        self.candles = candles
        self._bar_offset = found[-1][0] if found else "0-0"
        # One before the first id of that millisecond, because reading is behind an offset.
        self._tick_offset = f"{closed_ms - 1}-{2**64 - 1}" if closed_ms else "0-0"
        await self._take_trades(redis)

    async def _seeds(self, redis: Connection, until_ms: int | None) -> list[Candle]:
        """The history that the feed wrote before the first trade, as far as no bar tells it."""
        seeds: list[Candle] = []
        for _, fields in await entries_between(redis, self._ticks, "-", "+", SEEDS_MAX):
            tick = _tick(fields)
            if not isinstance(tick, Seed):
                break
            if tick.length_ms == MINUTE_MS and (until_ms is None or tick.open_time < until_ms):
                seeds.append(_of_seed(tick))
        return seeds

    async def _take_trades(self, redis: Connection) -> None:
        for _ in range(PAGES_MAX):
            entries = await entries_between(redis, self._ticks, f"({self._tick_offset}", "+", PAGE)
            for entry_id, fields in entries:
                self._tick_offset = entry_id
                tick = _tick(fields)
                if isinstance(tick, Trade):
                    self.candles.take(trade(StreamId.parse(entry_id).ms, tick.price, tick.quantity))
            if len(entries) < PAGE:
                return
        # Faster than anyone can look: leave the rest out. The bar that closes the minute corrects the candle.
        self._tick_offset = str(await last_id(redis, self._ticks))


def _bars(entries: list[Entry]) -> list[tuple[str, _Bar | None]]:
    found: list[tuple[str, _Bar | None]] = []
    for entry_id, fields in entries:
        try:
            output = _output_decoder.decode(fields.get(b"d", b""))
        except msgspec.MsgspecError:  # whoever acts on the stream tells of it; here it only is no candle
            output = _Marker()
        found.append((entry_id, output.bar if isinstance(output, _Closed) else None))
    return found


def _tick(fields: dict[bytes, bytes]) -> Tick | None:
    try:
        return tick_decoder.decode(fields.get(b"d", b""))
    except msgspec.MsgspecError:
        return None


def _candle(bar: _Bar) -> Candle:
    return Candle(bar.open_time, bar.open, bar.high, bar.low, bar.close, bar.volume)


def _of_seed(seed: Seed) -> Candle:
    return Candle(
        open_ms=seed.open_time,
        open=float(seed.open),
        high=float(seed.high),
        low=float(seed.low),
        close=float(seed.close),
        volume=float(seed.volume),
    )
