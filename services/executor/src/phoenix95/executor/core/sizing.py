"""From a fraction of equity to a quantity that the exchange takes."""

from decimal import ROUND_UP, Decimal
from typing import Final

import msgspec

from phoenix95.common.money import floor_to

# A market order is checked against the mark price, which may lie under ours: stay clear of the minimum.
MIN_NOTIONAL_MARGIN: Final = Decimal("1.01")


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of quantities: multiples of `step` between `least` and `most`, in base units."""

    step: Decimal
    least: Decimal
    most: Decimal


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange demands of a symbol's orders. `quantity_*` hold for market orders: the narrower of both lots.

    `quote` is the asset of its results.
    `status` is the exchange's own word, `trading` whether it is TRADING. `delivery_ms` is when the contract ends, far
    in the future for a perpetual; None: not told. `lot` is LOT_SIZE (limit orders), `market_lot` MARKET_LOT_SIZE. An
    order's price must be a multiple of `price_tick` within `price_min` and `price_max`, and within `percent_down` and
    `percent_up` times the mark price (PERCENT_PRICE). None: the exchange has no such filter.
    """

    symbol: str
    trading: bool
    price_tick: Decimal
    quantity_step: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    notional_min: Decimal
    quote: str = "USDT"
    status: str = "TRADING"
    contract_type: str = "PERPETUAL"
    delivery_ms: int | None = None
    lot: Lot | None = None
    market_lot: Lot | None = None
    price_min: Decimal | None = None
    price_max: Decimal | None = None
    percent_down: Decimal | None = None
    percent_up: Decimal | None = None


class Bracket(msgspec.Struct, frozen=True, kw_only=True):
    """A tier of the maintenance margin: a notional in [`floor`, `cap`) needs `rate` of it less `cum`, and allows
    `leverage` at most."""

    leverage: int
    floor: Decimal
    cap: Decimal
    rate: Decimal
    cum: Decimal


class Sized(msgspec.Struct, frozen=True, kw_only=True):
    """`quantity` in base units, 0 when nothing fits, and `problem` says why. `raised`: up to the minimum."""

    quantity: Decimal
    notional: Decimal
    raised: bool
    problem: str | None = None


def size(
    *, fraction: Decimal, equity: Decimal, price: Decimal, rules: Rules, fraction_max: Decimal,
    valued_at: Decimal | None = None,
) -> Sized:  # fmt: skip
    """The quantity whose notional is `fraction` of `equity`, rounded down to the step.

    `valued_at` is the lowest price that the exchange may value the order at; None: `price`.

    A quantity under the exchange's minimum is raised to it when that stays within `fraction_max` of equity;
    otherwise nothing fits.
    """
    if price <= 0 or equity <= 0 or fraction <= 0:
        return _nothing(f"cannot size {fraction} of equity {equity} at price {price}")
    quantity = floor_to(fraction * equity / price, rules.quantity_step)
    if quantity > rules.quantity_max:
        quantity = floor_to(rules.quantity_max, rules.quantity_step)
    raised = False
    least = least_quantity(price if valued_at is None else valued_at, rules)
    if quantity < least:
        quantity = least
        raised = True
        if quantity * price > fraction_max * equity:
            needed = quantity * price
            return _nothing(f"the exchange's minimum of {needed} exceeds {fraction_max} of equity {equity}")
        if quantity > rules.quantity_max:
            return _nothing(f"the minimum notional needs {quantity}, more than the largest order {rules.quantity_max}")
    return Sized(quantity=quantity, notional=quantity * price, raised=raised)


def sized_by_hand(quantity: Decimal, *, price: Decimal, rules: Rules, valued_at: Decimal | None = None) -> Sized:
    """A person's own quantity, rounded down to the step. What the exchange does not take is not changed but refused."""
    if price <= 0:
        return _nothing(f"cannot size {quantity} at price {price}")
    rounded = floor_to(quantity, rules.quantity_step)
    if rounded > rules.quantity_max:
        return _nothing(f"{quantity} is more than the largest order {rules.quantity_max}")
    least = least_quantity(price if valued_at is None else valued_at, rules)
    if rounded < least:
        return _nothing(f"{quantity} is less than the smallest order {least}")
    return Sized(quantity=rounded, notional=rounded * price, raised=False)


def least_quantity(price: Decimal, rules: Rules) -> Decimal:
    """The smallest order that the exchange takes although it may value it a little under `price`."""
    by_notional = rules.notional_min * MIN_NOTIONAL_MARGIN / price
    steps = (max(by_notional, rules.quantity_min) / rules.quantity_step).to_integral_value(rounding=ROUND_UP)
    return steps * rules.quantity_step


def _nothing(problem: str) -> Sized:
    return Sized(quantity=Decimal(0), notional=Decimal(0), raised=False, problem=problem)
