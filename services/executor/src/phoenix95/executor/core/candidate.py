"""What the gates look at: one analysis in exact numbers, the account's book, and the limits."""

from decimal import Decimal
from typing import Final, Literal

import msgspec

from phoenix95.common.events import Analysis
from phoenix95.common.money import ZERO, round_to
from phoenix95.executor.core.intents import PositionSide
from phoenix95.executor.core.options import Wishes
from phoenix95.executor.core.sizing import Rules, Sized, size, sized_by_hand

Mode = Literal["RUN", "REDUCE_ONLY", "HALT", "FLATTEN"]

SLIPPAGE: Final = Decimal("0.001")  # what a stop at market may lose beyond its price, as a share of notional
TAKER_FEE: Final = Decimal("0.0005")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Shares are of equity, in [0, 1]; `exposure_max` is notional over equity.

    `wishes` is what a trade gets beside its stop and target. `exit_on_opposite`: an analysis that would enter the
    other side ends what is held.
    """

    confidence_min: Decimal = Decimal("0.75")
    score_min: Decimal = Decimal("0.70")
    position_risk_max: Decimal = Decimal("0.02")
    leverage_max: int = 20
    portfolio_risk_max: Decimal = Decimal("0.10")
    exposure_max: Decimal = Decimal(1)
    positions_max: int = 10
    uncertainty_max_ms: float = 250.0
    wishes: Wishes = Wishes()
    exit_on_opposite: bool = True


class Modes(msgspec.Struct, frozen=True, kw_only=True):
    """The control mode of the account, and of symbols that have one of their own."""

    account: Mode = "RUN"
    symbols: dict[str, Mode] = {}

    def blocking(self, symbol: str) -> str | None:
        """Why entries in a symbol are not allowed, or None."""
        if self.account != "RUN":
            return f"the account is in {self.account}"
        mode = self.symbols.get(symbol, "RUN")
        return None if mode == "RUN" else f"{symbol} is in {mode}"

    def flattening(self, symbol: str) -> bool:
        return "FLATTEN" in (self.account, self.symbols.get(symbol))


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """A position or an entry under way. `size` is positive on both sides."""

    symbol: str
    position_side: PositionSide
    size: Decimal
    entry_price: Decimal
    stop_price: Decimal

    @property
    def notional(self) -> Decimal:
        return self.size * self.entry_price

    @property
    def risk(self) -> Decimal:
        return risk_at_stop(self.position_side, self.size, self.entry_price, self.stop_price)


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The account as the gates see it. `equity` and `available` are None until the exchange told them;
    `not_ready` says why no entry is allowed yet (the recovery has not finished), or None."""

    equity: Decimal | None
    available: Decimal | None
    exposures: tuple[Exposure, ...] = ()
    modes: Modes = Modes()
    not_ready: str | None = None


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An analysis at its moment of decision. `rules` is None for a symbol that the exchange does not trade.

    `by_hand`: a person decided, and the analysis is only how it is written down.
    """

    analysis: Analysis
    now_ms: int
    uncertainty_ms: float | None
    price: Decimal
    stop_price: Decimal | None
    target_price: Decimal | None
    rules: Rules | None
    sized: Sized
    by_hand: bool = False

    @property
    def position_side(self) -> PositionSide:
        return "LONG" if self.analysis.side == "BUY" else "SHORT"

    @property
    def risk(self) -> Decimal:
        """What is lost, in quote currency, when the stop is hit; 0 without a stop, which a gate refuses."""
        if self.stop_price is None:
            return ZERO
        return risk_at_stop(self.position_side, self.sized.quantity, self.price, self.stop_price)


def risk_at_stop(position_side: PositionSide, quantity: Decimal, entry: Decimal, stop: Decimal) -> Decimal:
    """The loss at the stop with slippage and both fees; never negative: a stop in profit risks nothing."""
    distance = entry - stop if position_side == "LONG" else stop - entry
    return max(ZERO, quantity * (distance + entry * (SLIPPAGE + 2 * TAKER_FEE)))


def candidate(
    analysis: Analysis,
    *,
    now_ms: int,
    uncertainty_ms: float | None,
    rules: Rules | None,
    book: Book,
    limits: Limits,
    by_hand: bool = False,
    quantity: Decimal | None = None,
) -> Candidate:
    """Turn the engine's floats into exact numbers at one seam: this one. `quantity` is what a person said exactly."""
    price = exact_float(analysis.price)
    if rules is None or book.equity is None:
        sized = Sized(quantity=ZERO, notional=ZERO, raised=False, problem="no rules or no equity to size with")
    elif quantity is not None:
        sized = sized_by_hand(quantity, price=price, rules=rules)
    else:
        sized = size(
            fraction=exact_float(analysis.position_fraction),
            equity=book.equity,
            price=price,
            rules=rules,
            fraction_max=limits.position_risk_max,
        )
    return Candidate(
        analysis=analysis,
        now_ms=now_ms,
        uncertainty_ms=uncertainty_ms,
        price=price,
        stop_price=_trigger(analysis.stop_loss, rules),
        target_price=_trigger(analysis.take_profit, rules),
        rules=rules,
        sized=sized,
        by_hand=by_hand,
    )


def exact_float(number: float) -> Decimal:
    """The shortest decimal that a float prints as; 0 for what is no finite number, which the gates refuse."""
    value = Decimal(repr(number))
    return value if value.is_finite() else ZERO


def _trigger(price: float | None, rules: Rules | None) -> Decimal | None:
    if price is None:
        return None
    value = exact_float(price)
    return round_to(value, rules.price_tick) if rules is not None else value
