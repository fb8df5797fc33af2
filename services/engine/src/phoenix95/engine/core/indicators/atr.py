"""Average true range, Wilder's smoothing over 14 bars, seeded as TA-Lib does (mean of the first 14 ranges)."""

from typing import ClassVar, Final

from phoenix95.common.events import Bar
from phoenix95.engine.core.indicators.base import Indicator

PERIOD: Final = 14


class Atr(Indicator):
    """In units of price. The first bar has no true range, because it has no close before it."""

    name: ClassVar[str] = "atr"
    outputs: ClassVar[tuple[str, ...]] = ("atr",)
    warm_after: ClassVar[int] = PERIOD + 1

    bars: int = 0
    close: float = 0.0
    mean: float = 0.0

    def update(self, bar: Bar) -> None:
        self.bars += 1
        if self.bars > 1:
            reach = max(bar.high - bar.low, abs(bar.high - self.close), abs(bar.low - self.close))
            if self.bars <= PERIOD + 1:
                self.mean += reach
                if self.bars == PERIOD + 1:
                    self.mean /= PERIOD
            else:
                self.mean = (self.mean * (PERIOD - 1) + reach) / PERIOD
        self.close = bar.close

    def values(self) -> tuple[float | None, ...]:
        return (self.mean if self.bars > PERIOD else None,)
