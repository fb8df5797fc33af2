"""Fewer positions are active than the limit."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("portfolio", "max_active_positions")
def active_positions(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    count = len(book.exposures)
    numbers = {"active": str(count), "under": str(limits.positions_max)}
    if count >= limits.positions_max:
        return Finding(f"{count} positions are active, the limit is {limits.positions_max}", numbers)
    return Finding(None, numbers)
