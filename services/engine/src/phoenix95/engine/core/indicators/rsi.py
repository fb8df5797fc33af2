"""Relative strength index, Wilder's smoothing over 14 bars, seeded as TA-Lib does (mean of the first 14 changes)."""

from typing import ClassVar, Final

from phoenix95.common.events import Bar
from phoenix95.engine.core.indicators.base import Indicator

PERIOD: Final = 14
NEUTRAL: Final = 50.0  # no movement at all; TA-Lib answers 0 here, which would read as an extreme


class Rsi(Indicator):
    """In [0, 100]. `gain` and `loss` are sums until the seed is complete and Wilder means from then on."""

    name: ClassVar[str] = "rsi"
    outputs: ClassVar[tuple[str, ...]] = ("rsi",)
    warm_after: ClassVar[int] = PERIOD + 1

    bars: int = 0
    close: float = 0.0
    gain: float = 0.0
    loss: float = 0.0

    def update(self, bar: Bar) -> None:
        change = bar.close - self.close if self.bars else 0.0
        self.close = bar.close
        self.bars += 1
        rise, fall = (change, 0.0) if change > 0 else (0.0, -change)
        if self.bars <= PERIOD + 1:
            self.gain += rise
            self.loss += fall
            if self.bars == PERIOD + 1:
                self.gain /= PERIOD
                self.loss /= PERIOD
        else:
            self.gain = (self.gain * (PERIOD - 1) + rise) / PERIOD
            self.loss = (self.loss * (PERIOD - 1) + fall) / PERIOD

    def values(self) -> tuple[float | None, ...]:
        if self.bars <= PERIOD:
            return (None,)
        moved = self.gain + self.loss
        return (100.0 * self.gain / moved if moved > 0 else NEUTRAL,)
