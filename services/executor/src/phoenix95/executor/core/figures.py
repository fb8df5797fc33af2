"""What the ledger says of an account and a symbol when a decision is due, and the book that it makes."""

from decimal import Decimal

import msgspec

from phoenix95.common.money import ZERO
from phoenix95.executor.core.candidate import Book, Entered, Exposure, Modes


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the ledger. The fields are those of `Book`."""

    exposures: tuple[Exposure, ...] = ()
    modes: Modes = Modes()
    entries: tuple[Entered, ...] = ()
    stopped_out_ms: int | None = None
    day_realized: Decimal = ZERO
    day_unrealized_before: Decimal = ZERO
    peak_equity: Decimal = ZERO
    live_trades: int = 0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange told of the account, and when, in exchange ms. See `Book` for the fields."""

    at_ms: int
    equity: Decimal
    wallet: Decimal
    available: Decimal
    unrealized: Decimal
    maintenance: Decimal | None = None


def book_of(told: Told | None, figures: Figures, not_ready: str | None) -> Book:
    """The account as the gates see it; `told` None: the exchange has not said anything yet."""
    return Book(
        equity=None if told is None else told.equity,
        available=None if told is None else told.available,
        wallet=None if told is None else told.wallet,
        unrealized=None if told is None else told.unrealized,
        maintenance=None if told is None else told.maintenance,
        told_ms=None if told is None else told.at_ms,
        exposures=figures.exposures,
        modes=figures.modes,
        entries=figures.entries,
        stopped_out_ms=figures.stopped_out_ms,
        day_realized=figures.day_realized,
        day_unrealized_before=figures.day_unrealized_before,
        peak_equity=figures.peak_equity,
        live_trades=figures.live_trades,
        not_ready=not_ready,
    )
