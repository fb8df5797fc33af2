"""The exchange must know the symbol and trade it."""

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("signal")
def symbol(candidate: Candidate, _book: Book, _limits: Limits) -> Finding:
    name = candidate.analysis.symbol
    if candidate.rules is None:
        return Finding(f"the exchange does not know {name}")
    return Finding(None if candidate.rules.trading else f"{name} is not trading")
