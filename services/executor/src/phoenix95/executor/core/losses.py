"""When losses stop the account until a person resumes. The gates of the same names refuse single entries."""

from decimal import Decimal

from phoenix95.executor.core.book import drawdown
from phoenix95.executor.core.candidate import Book
from phoenix95.executor.core.limits import Limits


def day_loss(book: Book) -> Decimal | None:
    """What was lost since UTC midnight, realised and unrealised, as a share of the equity that the day began with.

    Negative in a day of gains; None while the exchange has not told the account, or the day began with nothing.
    """
    if book.equity is None or book.unrealized is None:
        return None
    result = book.day_realized + book.unrealized - book.day_unrealized_before
    began_with = book.equity - result
    return -result / began_with if began_with > 0 else None


def breaches(book: Book, limits: Limits) -> tuple[tuple[str, str], ...]:
    """Each limit that is passed: its name as a trigger's cause, and the words for people."""
    found: list[tuple[str, str]] = []
    lost = day_loss(book)
    if lost is not None and lost > limits.daily_loss_max:
        found.append(("daily_loss", f"{lost:.2%} lost since midnight UTC, more than {limits.daily_loss_max:.2%}"))
    fell = None if book.equity is None else drawdown(book.peak_equity, book.equity)
    if fell is not None and fell > limits.drawdown_max:
        found.append(("drawdown", f"equity is {fell:.2%} under its peak, more than {limits.drawdown_max:.2%}"))
    return tuple(found)
