"""Liquidation must lie beyond the stop, with a margin."""

from decimal import Decimal
from typing import Final

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate

MAINTENANCE: Final = Decimal("0.01")  # above the first tier of every symbol we know
MARGIN: Final = Decimal("1.25")  # the stop may slip by a quarter of its distance


@gate("position")
def liquidation(candidate: Candidate, _book: Book, _limits: Limits) -> Finding:
    if candidate.stop_price is None or candidate.price <= 0 or candidate.analysis.leverage < 1:
        return Finding("no stop or no leverage to compare")
    stop_distance = abs(candidate.price - candidate.stop_price) / candidate.price
    distance = Decimal(1) / candidate.analysis.leverage - MAINTENANCE
    numbers = {"liquidation_distance": f"{distance:.6f}", "stop_distance": f"{stop_distance:.6f}"}
    if distance < stop_distance * MARGIN:
        return Finding(f"liquidation at {distance:.4f} comes before the stop at {stop_distance:.4f}", numbers)
    return Finding(None, numbers)
