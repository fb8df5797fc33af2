"""Whether the move still gains speed: the MACD histogram, in average ranges."""

from collections.abc import Mapping
from typing import Final

from phoenix95.engine.core.factors.base import Rule

FULL: Final = 0.15  # a histogram of this share of an average range counts as full


def _value(read: Mapping[str, float]) -> float:
    full = FULL * read["atr"]
    return read["macd_histogram"] / full if full > 0 else 0.0


FACTOR = Rule(name="acceleration", weight=0.2, reads=("macd_histogram", "atr"), value=_value)
