"""Bounds of what is believed, and rounding of what is published: a float's last bits never reach a stream."""

from typing import Final

# Wider than any market, and narrow enough that no sum or square overflows.
PRICE_MIN: Final = 1e-12
PRICE_MAX: Final = 1e12
QUANTITY_MAX: Final = 10**22  # in 1e-8 units

_SIGNIFICANT: Final = ".10g"  # scale-free: prices run from 1e-8 to 1e5


def shown(value: float) -> float:
    """A price or an indicator, to ten significant digits."""
    return float(format(value, _SIGNIFICANT)) + 0.0  # + 0.0 turns -0.0 into 0.0


def shown_or_none(value: float | None) -> float | None:
    """`shown`, where None means not known yet."""
    return None if value is None else shown(value)


def ratio(value: float) -> float:
    """A probability, fraction or weight, to six decimals."""
    return round(value, 6) + 0.0


def clamp(value: float, low: float, high: float) -> float:
    """`value`, or the bound that it passes."""
    return low if value < low else high if value > high else value
