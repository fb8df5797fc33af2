"""The margin and the fees must be there."""

from decimal import Decimal

from phoenix95.executor.core.candidate import TAKER_FEE, Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("portfolio")
def balance(candidate: Candidate, book: Book, _limits: Limits) -> Finding:
    if book.available is None or book.equity is None:
        return Finding("the balance is not known")
    needed = candidate.sized.notional * (Decimal(1) / max(1, candidate.analysis.leverage) + 2 * TAKER_FEE)
    numbers = {"available": str(book.available), "needed": f"{needed:.8f}"}
    if book.available <= 0 or book.equity <= 0:
        return Finding("the account is empty", numbers)
    return Finding(f"needs {needed:.2f}, available {book.available}" if needed > book.available else None, numbers)
