"""How far the fast mean has left the slow one, in average ranges."""

from collections.abc import Mapping
from typing import Final

from phoenix95.engine.core.factors.base import Rule

FULL: Final = 1.0  # a distance of one average range counts as a full trend


def _value(read: Mapping[str, float]) -> float:
    full = FULL * read["atr"]
    return (read["ema_fast"] - read["ema_slow"]) / full if full > 0 else 0.0


FACTOR = Rule(name="trend", weight=0.35, reads=("ema_fast", "ema_slow", "atr"), value=_value)
