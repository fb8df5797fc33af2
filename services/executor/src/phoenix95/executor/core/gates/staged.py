"""With real money the first trades are small."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("portfolio", "staged_trades", "staged_notional")
def staged(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    numbers = {
        "mode": limits.mode,
        "live_trades": str(book.live_trades),
        "staged_trades": str(limits.staged_trades),
        "notional": str(candidate.sized.notional),
        "at_most": str(limits.staged_notional_max),
    }
    staged = limits.mode == "live" and book.live_trades < limits.staged_trades
    if staged and candidate.sized.notional > limits.staged_notional_max:
        text = f"notional {candidate.sized.notional} exceeds {limits.staged_notional_max}"
        return Finding(f"{text} in one of the first {limits.staged_trades} trades with real money", numbers)
    return Finding(None, numbers)
