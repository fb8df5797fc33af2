"""Moving average convergence and divergence (12, 26, 9), seeded as TA-Lib does.

Both means start at the 26th bar: the slow one from the mean of all 26 closes, the fast one from the mean of
the last 12 of them. The signal starts from the mean of the first nine differences.
"""

from typing import ClassVar, Final

import msgspec

from phoenix95.common.events import Bar
from phoenix95.engine.core.indicators.base import Indicator

FAST: Final = 12
SLOW: Final = 26
SIGNAL: Final = 9


class Macd(Indicator):
    """In units of price. `seed` holds the closes until both means start, and is empty from then on."""

    name: ClassVar[str] = "macd"
    outputs: ClassVar[tuple[str, ...]] = ("macd", "macd_signal", "macd_histogram")
    warm_after: ClassVar[int] = SLOW + SIGNAL - 1

    bars: int = 0
    fast: float = 0.0
    slow: float = 0.0
    signal: float = 0.0
    seed: list[float] = msgspec.field(default_factory=list)

    def update(self, bar: Bar) -> None:
        self.bars += 1
        if self.bars < SLOW:
            self.seed.append(bar.close)
            return
        if self.bars == SLOW:
            closes = [*self.seed, bar.close]
            self.slow = sum(closes) / SLOW
            self.fast = sum(closes[-FAST:]) / FAST
            self.seed = []
        else:
            self.fast += (bar.close - self.fast) * (2.0 / (FAST + 1))
            self.slow += (bar.close - self.slow) * (2.0 / (SLOW + 1))
        difference = self.fast - self.slow
        if self.bars < self.warm_after:
            self.signal += difference
        elif self.bars == self.warm_after:
            self.signal = (self.signal + difference) / SIGNAL
        else:
            self.signal += (difference - self.signal) * (2.0 / (SIGNAL + 1))

    def values(self) -> tuple[float | None, ...]:
        if self.bars < self.warm_after:
            return (None, None, None)
        difference = self.fast - self.slow
        return (difference, self.signal, difference - self.signal)
