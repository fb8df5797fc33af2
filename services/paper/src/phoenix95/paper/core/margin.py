"""Margin: what a position and open orders bind, what must be kept, and where it is not enough any more."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from phoenix95.common.money import ZERO
from phoenix95.paper.core.orders import Order
from phoenix95.paper.core.position import Position
from phoenix95.paper.core.specs import Bracket, bracket_at

ROUNDS_MAX: Final = 24  # more than there are tiers to walk through


def maintenance(symbol: str, notional: Decimal) -> Decimal:
    """The margin that a position of a notional (positive) must keep."""
    tier = bracket_at(symbol, notional)
    return notional * tier.rate - tier.cum


def liquidation_price(legs: Sequence[Position], collateral: Decimal) -> Decimal:
    """Where `collateral` plus the legs' profit equals their maintenance margin; zero when no price does.

    `legs` are what is held of one symbol (two in hedge mode and crossed margin, else one). The tiers are those at
    the liquidation price itself: it is looked for until they fit.
    """
    tiers = [bracket_at(leg.symbol, abs(leg.amount) * leg.entry) for leg in legs]
    price = ZERO
    for _ in range(ROUNDS_MAX):
        price = _solved(legs, tiers, collateral)
        fitting = [bracket_at(leg.symbol, abs(leg.amount) * price) for leg in legs]
        if fitting == tiers:
            break
        tiers = fitting
    return price


def _solved(legs: Sequence[Position], tiers: Sequence[Bracket], collateral: Decimal) -> Decimal:
    slope = sum((abs(leg.amount) * tier.rate - leg.amount for leg, tier in zip(legs, tiers, strict=True)), ZERO)
    cost = sum((leg.amount * leg.entry for leg in legs), ZERO)
    deductions = sum((tier.cum for tier in tiers), ZERO)
    return max(ZERO, (collateral + deductions - cost) / slope) if slope else ZERO


def bound_by_orders(position: Decimal, bids: Decimal, asks: Decimal, leverage: int) -> Decimal:
    """Margin that open orders bind beyond the position's own: the larger of what all bids or all asks would make of it.

    `position` is the signed notional at the mark; `bids` and `asks` are the open orders' notionals.
    """
    return max(ZERO, max(abs(position + bids), abs(position - asks)) - abs(position)) / leverage


def order_notionals(orders: Iterable[Order]) -> tuple[Decimal, Decimal]:
    """(bids, asks) of the orders that may open something."""
    bids = asks = ZERO
    for order in orders:
        if order.reduces:
            continue
        if order.side == "BUY":
            bids += order.rest * Decimal(order.price)
        else:
            asks += order.rest * Decimal(order.price)
    return bids, asks
