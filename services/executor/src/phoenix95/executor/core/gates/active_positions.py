"""Fewer active positions than the limit, and never two in one symbol."""

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("portfolio")
def active_positions(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    count = len(book.exposures)
    numbers = {"active": str(count), "under": str(limits.positions_max)}
    name = candidate.analysis.symbol
    if any(held.symbol == name for held in book.exposures):
        return Finding(f"{name} is already held or being entered", numbers)
    if count >= limits.positions_max:
        return Finding(f"{count} positions are active, the limit is {limits.positions_max}", numbers)
    return Finding(None, numbers)
