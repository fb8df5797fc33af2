"""Equity is not farther under its peak, which restarts do not forget, than a share of that peak."""

from phoenix95.executor.core.book import drawdown as fall
from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("portfolio", "max_drawdown_percent")
def drawdown(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    if book.equity is None:
        return Finding("equity is not known")
    share = fall(book.peak_equity, book.equity)
    numbers = {
        "equity": str(book.equity),
        "peak": str(book.peak_equity),
        "drawdown": f"{share:.6f}",
        "at_most": str(limits.drawdown_max),
    }
    if share > limits.drawdown_max:
        return Finding(f"equity is {share:.4f} under its peak, more than {limits.drawdown_max}", numbers)
    return Finding(None, numbers)
