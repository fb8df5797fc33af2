"""Where the exchange would liquidate a position, exactly, from its margin tiers.

Source: "How to Calculate Liquidation Price of USDS-M Futures Contracts",
https://www.binance.com/en/support/faq/b3c689c1f50a44cabb3a84e663b81d93. For one side of a symbol in hedge mode, or one
position in one-way mode, its formula becomes

    LP = (WB - TMM + UPNL + cum - s * Q * EP) / (Q * (MMR - s))        s = 1 for a long, -1 for a short

`WB` is the wallet that covers the position: its own margin Q * EP / leverage when isolated, the whole cross wallet when
crossed. `TMM` and `UPNL` are maintenance margin and unrealised result of all other positions, 0 when isolated. `MMR`
and `cum` are of the tier that holds the notional at the liquidation price itself, Q * LP.
"""

from collections.abc import Iterable
from decimal import Decimal

from phoenix95.common.money import ZERO
from phoenix95.executor.core.intents import PositionSide
from phoenix95.executor.core.sizing import Bracket


def bracket_at(brackets: Iterable[Bracket], notional: Decimal) -> Bracket | None:
    """The tier of a notional; None beyond the last one, or where no tiers are known."""
    return next((tier for tier in brackets if tier.floor <= notional < tier.cap), None)


def liquidation_price(
    side: PositionSide, quantity: Decimal, entry: Decimal, cover: Decimal, brackets: Iterable[Bracket]
) -> Decimal | None:
    """The mark price at which `cover` (WB - TMM + UPNL) no longer holds the position; 0: never.

    None when no tier fits, so that it cannot be told. `quantity` and `entry` must be above 0.
    """
    sign = 1 if side == "LONG" else -1
    for tier in brackets:
        price = (cover + tier.cum - sign * quantity * entry) / (quantity * (tier.rate - sign))
        if price <= 0:
            return ZERO  # the margin covers all that can be lost
        if tier.floor <= quantity * price < tier.cap:
            return price
    return None
