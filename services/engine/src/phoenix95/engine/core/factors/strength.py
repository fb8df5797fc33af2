"""Relative strength read as momentum: above 50 speaks for a rise."""

from collections.abc import Mapping
from typing import Final

from phoenix95.engine.core.factors.base import Rule

MIDDLE: Final = 50.0
FULL: Final = 20.0  # points from the middle that count as full


def _value(read: Mapping[str, float]) -> float:
    return (read["rsi"] - MIDDLE) / FULL


FACTOR = Rule(name="strength", weight=0.25, reads=("rsi",), value=_value)
