"""A person's HALT, a halted symbol, or a recovery that has not finished: no entries."""

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("signal")
def control(candidate: Candidate, book: Book, _limits: Limits) -> Finding:
    blocked = book.modes.blocking(candidate.analysis.symbol)
    return Finding(blocked or book.not_ready, {"mode": book.modes.account})
