"""Exact numbers: `Decimal` for prices, quantities and money; scaled integers for sums."""

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

SCALE_DIGITS: Final = 8
SCALE: Final = 10**SCALE_DIGITS
ZERO: Final = Decimal(0)


def exact(text: str | int | Decimal) -> Decimal:
    """Parse a finite number. Raises ValueError for NaN, infinities and anything that is no number."""
    try:
        number = Decimal(text)
    except (InvalidOperation, TypeError) as error:
        raise ValueError(f"{text!r} is not a number") from error
    if not number.is_finite():
        raise ValueError(f"{text!r} is not finite")
    return number


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Round towards zero to a multiple of `step` (quantities: never more than was asked for)."""
    return (value / step).to_integral_value(rounding=ROUND_DOWN) * step


def round_to(value: Decimal, step: Decimal) -> Decimal:
    """Round half up to a multiple of `step` (prices)."""
    return (value / step).to_integral_value(rounding=ROUND_HALF_UP) * step


def plain(value: Decimal) -> str:
    """Write a number without an exponent and without trailing zeros, as the exchange wants it."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def scaled(text: str) -> int:
    """Read a non-negative decimal string as an integer of 1e-8 units, exactly.

    Digits beyond the eighth are cut. Raises ValueError when `text` is no plain decimal number.
    """
    whole, _, fraction = text.partition(".")
    # int() alone would take signs, spaces, underscores and the digits of other scripts
    if not (text.isascii() and whole.isdigit() and (fraction.isdigit() or not fraction)):
        raise ValueError(f"{text!r} is no plain decimal number")
    return int(whole + fraction[:SCALE_DIGITS].ljust(SCALE_DIGITS, "0"))
