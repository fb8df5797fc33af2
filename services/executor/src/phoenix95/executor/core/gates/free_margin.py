"""Margin and fees are there, and some margin stays free.

What was decided on after the account was told, or moments before, is not in the exchange's figure yet and is taken off.
"""

from decimal import Decimal
from typing import Final

from phoenix95.common.money import ZERO
from phoenix95.executor.core.candidate import TAKER_FEE, Book, Candidate, Exposure
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits

SETTLING_MS: Final = 2_000  # from a decision until the account counts it


@gate("portfolio", "min_free_margin_percent")
def free_margin(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    if book.available is None or book.equity is None:
        return Finding("the balance is not known")
    needed = _margin(candidate.sized.notional, candidate.analysis.leverage)
    told_ms = book.told_ms if book.told_ms is not None else 0
    coming = sum((_of(one) for one in book.exposures if one.entered_ms + SETTLING_MS > told_ms), ZERO)
    least = limits.free_margin_min * book.equity
    left = book.available - coming - needed
    numbers = {
        "available": str(book.available),
        "not_in_it_yet": f"{coming:.8f}",
        "needed": f"{needed:.8f}",
        "left": f"{left:.8f}",
        "left_at_least": f"{least:.8f}",
    }
    if book.available <= 0 or book.equity <= 0:
        return Finding("the account is empty", numbers)
    return Finding(f"{left:.2f} of margin would be left, less than {least:.2f}" if left < least else None, numbers)


def _of(held: Exposure) -> Decimal:
    return _margin(held.notional, held.leverage)


def _margin(notional: Decimal, leverage: int) -> Decimal:
    return notional * (Decimal(1) / max(1, leverage) + 2 * TAKER_FEE)
