"""Exponential means of the close over 9 and 21 bars, each seeded with the simple mean of its first bars."""

from typing import ClassVar, Final

from phoenix95.common.events import Bar
from phoenix95.engine.core.indicators.base import Indicator

FAST: Final = 9
SLOW: Final = 21


class Ema(Indicator):
    """In units of price. Both fields are sums until their seed is complete and means from then on."""

    name: ClassVar[str] = "ema"
    outputs: ClassVar[tuple[str, ...]] = ("ema_fast", "ema_slow")
    warm_after: ClassVar[int] = SLOW

    bars: int = 0
    fast: float = 0.0
    slow: float = 0.0

    def update(self, bar: Bar) -> None:
        self.bars += 1
        self.fast = _next(self.fast, bar.close, self.bars, FAST)
        self.slow = _next(self.slow, bar.close, self.bars, SLOW)

    def values(self) -> tuple[float | None, ...]:
        return (self.fast if self.bars >= FAST else None, self.slow if self.bars >= SLOW else None)


def _next(before: float, close: float, bars: int, period: int) -> float:
    if bars < period:
        return before + close
    if bars == period:
        return (before + close) / period
    return before + (close - before) * (2.0 / (period + 1))
