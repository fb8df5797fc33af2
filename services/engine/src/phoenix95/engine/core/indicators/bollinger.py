"""Bollinger bands: the mean of 20 closes, and two population standard deviations around it."""

import math
from typing import ClassVar, Final

import msgspec

from phoenix95.common.events import Bar
from phoenix95.engine.core.indicators.base import Indicator

PERIOD: Final = 20
WIDTH: Final = 2.0


class Bollinger(Indicator):
    """In units of price. The window is summed anew at each bar: a running sum would drift from its restart."""

    name: ClassVar[str] = "bollinger"
    outputs: ClassVar[tuple[str, ...]] = ("bollinger_lower", "bollinger_middle", "bollinger_upper")
    warm_after: ClassVar[int] = PERIOD

    closes: list[float] = msgspec.field(default_factory=list)

    def update(self, bar: Bar) -> None:
        self.closes.append(bar.close)
        if len(self.closes) > PERIOD:
            del self.closes[0]

    def values(self) -> tuple[float | None, ...]:
        if len(self.closes) < PERIOD:
            return (None, None, None)
        middle = math.fsum(self.closes) / PERIOD
        spread = WIDTH * math.sqrt(math.fsum((close - middle) ** 2 for close in self.closes) / PERIOD)
        return (middle - spread, middle, middle + spread)
