"""Nothing is entered without a price to size and judge it by."""

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("signal")
def price(candidate: Candidate, _book: Book, _limits: Limits) -> Finding:
    reason = None if candidate.price > 0 else f"no current price of {candidate.analysis.symbol} is known"
    return Finding(reason, {"price": str(candidate.price)})
