"""The account's figures are there, recent, and above nothing."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.market import age_problem


@gate("portfolio", "max_account_age_ms")
def equity(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    numbers = {"equity": str(book.equity), "at_most_ms": str(limits.account_age_max_ms)}
    if book.equity is None:
        return Finding("equity is not known", numbers)
    stale = age_problem(
        "account",
        book.told_ms,
        now_ms=candidate.now_ms,
        age_max_ms=limits.account_age_max_ms,
        lead_max_ms=limits.lead_max_ms,
    )
    numbers |= {"age_ms": "unknown" if book.told_ms is None else str(candidate.now_ms - book.told_ms)}
    return Finding(stale or (f"equity is {book.equity}" if book.equity <= 0 else None), numbers)
