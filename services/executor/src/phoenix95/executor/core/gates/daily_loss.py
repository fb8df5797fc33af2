"""Since UTC midnight of exchange time not more was lost, realised and unrealised, than a share of equity.

What was unrealised at midnight belongs to the day before: it is taken off, so that closing an old loss is no new one.
"""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.losses import day_loss


@gate("portfolio", "max_daily_loss_percent")
def daily_loss(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    share = day_loss(book)
    numbers = {
        "equity": str(book.equity),
        "realized": str(book.day_realized),
        "unrealized": str(book.unrealized),
        "unrealized_at_midnight": str(book.day_unrealized_before),
        "at_most": str(limits.daily_loss_max),
    }
    if share is None:
        return Finding("the day's result is not known", numbers)
    numbers |= {"loss": f"{share:.6f}"}
    if share > limits.daily_loss_max:
        return Finding(f"the day's loss of {share:.4f} exceeds {limits.daily_loss_max}", numbers)
    return Finding(None, numbers)
