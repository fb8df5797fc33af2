"""Since UTC midnight of exchange time not more was lost, realised and unrealised, than a share of equity.

What was unrealised at midnight belongs to the day before: it is taken off, so that closing an old loss is no new one.
"""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("portfolio", "max_daily_loss_percent")
def daily_loss(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    if book.equity is None or book.unrealized is None:
        return Finding("equity is not known")
    unrealized = book.unrealized - book.day_unrealized_before
    result = book.day_realized + unrealized
    began_with = book.equity - result
    if began_with <= 0:
        return Finding(f"the day began with {began_with}")
    share = -result / began_with
    numbers = {
        "realized": str(book.day_realized),
        "unrealized": str(unrealized),
        "began_with": str(began_with),
        "loss": f"{share:.6f}",
        "at_most": str(limits.daily_loss_max),
    }
    if share > limits.daily_loss_max:
        return Finding(f"the day's loss of {share:.4f} exceeds {limits.daily_loss_max}", numbers)
    return Finding(None, numbers)
