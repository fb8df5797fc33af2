"""One bar length of one symbol: the bar being built, the indicators, and what its signals came to."""

from typing import Any

import msgspec

from phoenix95.common.events import Bar, Quality, Seed
from phoenix95.common.money import SCALE, scaled
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.factors.base import Readings
from phoenix95.engine.core.indicators import base as indicators
from phoenix95.engine.core.numbers import PRICE_MAX, PRICE_MIN, QUANTITY_MAX, shown
from phoenix95.engine.core.outcomes import Tally, resolve


class Lane(msgspec.Struct):
    """`end` is 0 while no bar is open, `closed_until` the end of the last closed bar (0 before the first).

    `volume` is in 1e-8 units, so that a sum does not depend on how it was cut into batches. `torn` says that
    trades are missing before the next one. `bars` counts closed bars since the indicators were last new;
    `degraded` counts bars since a gap, and is 0 when there was none or it has healed.
    """

    length_ms: int
    end: int = 0
    open: float = 0.0
    high: float = 0.0
    low: float = 0.0
    close: float = 0.0
    volume: int = 0
    trades: int = 0
    whole: bool = False
    torn: bool = True
    closed_until: int = 0
    bars: int = 0
    degraded: int = 0
    last: Bar | None = None
    # By name; each value is an Indicator. `state.decode_state` gives them back their classes.
    indicators: dict[str, Any] = msgspec.field(default_factory=lambda: {k.name: k() for k in indicators.registered()})
    long: Tally = msgspec.field(default_factory=Tally)
    short: Tally = msgspec.field(default_factory=Tally)

    @property
    def warm(self) -> bool:
        """Whether every indicator is known."""
        return self.bars >= indicators.warm_after()


def begin(lane: Lane, ms: int, price: float, quantity: int) -> None:
    """Open the bar that a trade falls into."""
    lane.end = ms - ms % lane.length_ms + lane.length_ms
    lane.open = lane.high = lane.low = lane.close = price
    lane.volume = quantity
    lane.trades = 1
    lane.whole = not lane.torn
    lane.torn = False


def finish(lane: Lane, config: Config) -> Bar | None:
    """Close the open bar and take it in; None when none is open."""
    if not lane.end:
        return None
    bar = Bar(
        open_time=lane.end - lane.length_ms,
        length_ms=lane.length_ms,
        open=shown(lane.open),
        high=shown(lane.high),
        low=shown(lane.low),
        close=shown(lane.close),
        volume=lane.volume / SCALE,
        trades=lane.trades,
        whole=lane.whole,
    )
    lane.end = 0
    _take(lane, bar, config)
    return bar


def fill(lane: Lane, ms: int, config: Config) -> int:
    """Take in the empty bars up to the one that `ms` falls into; return how many there were.

    Without trades a bar is flat at the last close, as the exchange's own bars are. After a gap such bars are
    only assumed, so the lane is degraded; after too many of them the indicators start anew.
    """
    empty = (ms - ms % lane.length_ms - lane.closed_until) // lane.length_ms if lane.closed_until else 0
    if empty <= 0 or lane.last is None:
        return 0
    if lane.torn:
        degrade(lane)
    if empty > config.max_empty_bars:
        lane.indicators = {kind.name: kind() for kind in indicators.registered()}
        lane.bars = lane.degraded = 0
        lane.long.open = lane.short.open = None
        lane.closed_until += empty * lane.length_ms
        return empty
    close = lane.last.close
    for _ in range(empty):
        flat = Bar(
            open_time=lane.closed_until,
            length_ms=lane.length_ms,
            open=close,
            high=close,
            low=close,
            close=close,
            volume=0.0,
            trades=0,
            whole=not lane.torn,
        )
        _take(lane, flat, config)
    return empty


def tear(lane: Lane) -> None:
    """Note that trades are missing from here to the next one: no open virtual trade can be judged any more."""
    lane.torn = True
    lane.whole = False
    lane.long.open = lane.short.open = None


def degrade(lane: Lane) -> None:
    """Note a gap in the bars themselves."""
    lane.degraded = 1


def add_seed(lane: Lane, seed: Seed, config: Config) -> Bar | None:
    """Take in a historical bar, and return the lane's bar when that completes one.

    Seeds that are longer than the lane's bars, do not divide them, or come before what it has, say nothing.
    Raises ValueError when a number is none.
    """
    low, high, volume = float(seed.low), float(seed.high), scaled(seed.volume)
    opened, close = float(seed.open), float(seed.close)
    if (
        not PRICE_MIN < low <= min(opened, close) <= max(opened, close) <= high < PRICE_MAX
        or not 0 <= volume < QUANTITY_MAX
    ):
        raise ValueError("a seed bar's prices do not fit together")
    if seed.length_ms <= 0 or seed.open_time % seed.length_ms:
        raise ValueError("a seed bar is not aligned to its length")
    if lane.length_ms % seed.length_ms or seed.open_time < lane.closed_until:
        return None
    if lane.end and seed.open_time >= lane.end:
        finish(lane, config)
    if not lane.end:
        lane.torn = seed.open_time % lane.length_ms != 0 or 0 < lane.closed_until < seed.open_time
        fill(lane, seed.open_time, config)
        lane.torn = seed.open_time % lane.length_ms != 0
        begin(lane, seed.open_time, opened, 0)
        lane.trades = 0
    lane.high = max(lane.high, high)
    lane.low = min(lane.low, low)
    lane.close = close
    lane.volume += volume
    return finish(lane, config) if seed.open_time + seed.length_ms == lane.end else None


def readings(lane: Lane) -> Readings:
    """Every indicator's values by name, and the last close; all None before the first bar."""
    found: dict[str, float | None] = {"close": None if lane.last is None else lane.last.close}
    for kind in indicators.registered():
        found.update(zip(kind.outputs, lane.indicators[kind.name].values(), strict=True))
    return found


def quality(lane: Lane, spread_bps: float | None) -> Quality:
    """How far the lane's inputs can be trusted."""
    return Quality(warm=lane.warm, bars=lane.bars, degraded_bars=lane.degraded, spread_bps=spread_bps)


def _take(lane: Lane, bar: Bar, config: Config) -> None:
    resolve(lane.long, "BUY", bar)
    resolve(lane.short, "SELL", bar)
    for indicator in lane.indicators.values():
        indicator.update(bar)
    lane.last = bar
    lane.closed_until = bar.open_time + bar.length_ms
    lane.bars += 1
    if lane.degraded:
        lane.degraded = lane.degraded + 1 if lane.degraded < config.gap_bars else 0
