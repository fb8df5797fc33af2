"""Where the close lies between the Bollinger bands: at a band counts as full."""

from collections.abc import Mapping

from phoenix95.engine.core.factors.base import Rule


def _value(read: Mapping[str, float]) -> float:
    half = read["bollinger_upper"] - read["bollinger_middle"]
    return (read["close"] - read["bollinger_middle"]) / half if half > 0 else 0.0


FACTOR = Rule(name="breakout", weight=0.2, reads=("close", "bollinger_middle", "bollinger_upper"), value=_value)
