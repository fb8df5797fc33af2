"""The exchange knows the symbol, and it is one that we want to trade."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("signal", "symbols")
def symbol(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    name = candidate.analysis.symbol
    allowed = not limits.symbols or name in limits.symbols
    numbers = {"symbol": name, "known": str(candidate.rules is not None).lower(), "allowed": str(allowed).lower()}
    if not allowed:
        return Finding(f"{name} is not one of {', '.join(sorted(limits.symbols))}", numbers)
    return Finding(
        f"{name} is not known to the exchange, or the exchange does not answer" if candidate.rules is None else None,
        numbers,
    )
