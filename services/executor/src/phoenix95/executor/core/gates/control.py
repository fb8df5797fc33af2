"""No person or trigger has stopped entries, in the account or in the symbol, and the recovery is over."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("portfolio")
def control(candidate: Candidate, book: Book, _limits: Limits) -> Finding:
    modes, name = book.modes, candidate.analysis.symbol
    numbers = {"account": modes.account, "symbol": modes.symbols.get(name, "RUN"), "recovery": book.not_ready or "over"}
    return Finding(modes.blocking(name) or book.not_ready, numbers)
