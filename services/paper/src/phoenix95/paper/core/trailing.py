"""A stop that follows the market: it wakes at its activation price and goes off when the market comes back."""

from decimal import Decimal

import msgspec

from phoenix95.common.money import ZERO
from phoenix95.paper.core.orders import Algo


class Trail(msgspec.Struct, frozen=True, kw_only=True):
    """`extreme` is the best price since it woke (the highest for a seller), zero before."""

    extreme: Decimal = ZERO

    @property
    def awake(self) -> bool:
        return self.extreme > 0


def begun(algo: Algo, price: Decimal) -> Trail:
    """At acceptance: awake at once when no activation price was given."""
    return Trail() if Decimal(algo.activate_price) else Trail(extreme=price)


def followed(algo: Algo, trail: Trail, price: Decimal) -> tuple[Trail, bool]:
    """(the trail after a price was seen, whether the order goes off now)."""
    selling = algo.side == "SELL"
    if not trail.awake:
        activation = Decimal(algo.activate_price)
        if price >= activation if selling else price <= activation:
            return Trail(extreme=price), False
        return trail, False
    if price > trail.extreme if selling else price < trail.extreme:
        return Trail(extreme=price), False
    back = Decimal(algo.callback_rate) / 100
    limit = trail.extreme * (1 - back if selling else 1 + back)
    return trail, price <= limit if selling else price >= limit
