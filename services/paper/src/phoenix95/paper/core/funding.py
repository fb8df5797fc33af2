"""Funding: every eight hours longs pay shorts the rate of what they hold, or get it when the rate is negative."""

from decimal import Decimal
from typing import Final

FUNDING_MS: Final = 8 * 3600 * 1000


def next_funding_ms(ms: int) -> int:
    """The next full eight hours after a moment."""
    return (ms // FUNDING_MS + 1) * FUNDING_MS


def last_funding_ms(ms: int) -> int:
    """The last full eight hours at or before a moment."""
    return ms // FUNDING_MS * FUNDING_MS


def payment(amount: Decimal, mark: Decimal, rate: Decimal) -> Decimal:
    """What the holder of a position (negative when short) receives; negative when he pays."""
    return -amount * mark * rate
