"""What the gates look at: one analysis in exact numbers, its market, and the account's book."""

from decimal import Decimal
from typing import Final, Literal

import msgspec

from phoenix95.common.events import Analysis, Side
from phoenix95.common.money import ZERO, round_to
from phoenix95.executor.core.intents import PositionSide
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.market import Market
from phoenix95.executor.core.sizing import Bracket, Rules, Sized, size, sized_by_hand

Mode = Literal["RUN", "REDUCE_ONLY", "HALT", "FLATTEN"]

SLIPPAGE: Final = Decimal("0.001")  # what a stop at market may lose beyond its price, as a share of notional
TAKER_FEE: Final = Decimal("0.0005")


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
    """A position or an entry under way. `size` is positive on both sides; `entered_ms` is when it was decided on."""

    symbol: str
    position_side: PositionSide
    size: Decimal
    entry_price: Decimal
    stop_price: Decimal
    leverage: int = 1
    entered_ms: int = 0

    @property
    def notional(self) -> Decimal:
        return self.size * self.entry_price

    @property
    def risk(self) -> Decimal:
        return risk_at_stop(self.position_side, self.size, self.entry_price, self.stop_price)


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier analysis that was let through. `cause` is the tick that it came of, `request` what asked for it."""

    analysis_id: str
    symbol: str
    side: Side
    at_ms: int
    cause: str | None = None
    request: str | None = None


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The account as the gates see it.

    From the exchange, as it was at `told_ms` of exchange time: `equity` (wallet and unrealised result), `wallet`,
    `available`, `unrealized`, `maintenance` (what all positions need); None while the exchange has not told them.
    From the ledger: `entries` are those of the last minute or more, `stopped_out_ms` is the symbol's last stop-out,
    None when it is longer ago. `day_realized` is since UTC midnight, after fees, `day_unrealized_before` what was
    unrealised then; `peak_equity` the most that was ever seen; `live_trades` counts those with real money, and is
    only counted in mode live. `not_ready` says why no entry is allowed yet (the recovery has not finished), or None.
    """

    equity: Decimal | None
    available: Decimal | None
    wallet: Decimal | None = None
    unrealized: Decimal | None = None
    maintenance: Decimal | None = None
    told_ms: int | None = None
    exposures: tuple[Exposure, ...] = ()
    modes: Modes = Modes()
    entries: tuple[Entered, ...] = ()
    stopped_out_ms: int | None = None
    day_realized: Decimal = ZERO
    day_unrealized_before: Decimal = ZERO
    peak_equity: Decimal = ZERO
    live_trades: int = 0
    not_ready: str | None = None


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An analysis at its moment of decision. `rules` is None for a symbol that the exchange does not know, `brackets`
    are its margin tiers, empty when they are not known.

    `by_hand`: a person decided, and the analysis is only how it is written down.
    """

    analysis: Analysis
    now_ms: int
    uncertainty_ms: float | None
    price: Decimal
    stop_price: Decimal | None
    target_price: Decimal | None
    rules: Rules | None
    brackets: tuple[Bracket, ...]
    market: Market
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
    brackets: tuple[Bracket, ...],
    market: Market,
    book: Book,
    limits: Limits,
    by_hand: bool = False,
    quantity: Decimal | None = None,
) -> Candidate:
    """Turn the engine's floats into exact numbers at one seam: this one. `quantity` is what a person said exactly."""
    price = exact_float(analysis.price)
    lowest = price if market.lowest is None else min(price, market.lowest)
    if rules is None or book.equity is None:
        sized = Sized(quantity=ZERO, notional=ZERO, raised=False, problem="no rules or no equity to size with")
    elif quantity is not None:
        sized = sized_by_hand(quantity, price=price, valued_at=lowest, rules=rules)
    else:
        sized = size(
            fraction=exact_float(analysis.position_fraction),
            equity=book.equity,
            price=price,
            valued_at=lowest,
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
        brackets=brackets,
        market=market,
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
