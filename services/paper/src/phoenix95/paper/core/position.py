"""What one fill does to one position, exactly."""

from decimal import Decimal
from typing import Final, Literal, NamedTuple

import msgspec

from phoenix95.common.money import ZERO

Side = Literal["BUY", "SELL"]
PositionSide = Literal["BOTH", "LONG", "SHORT"]
PRICE_PLACES: Final = Decimal("0.00000001")


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What is held: `amount` is negative when short. `isolated` is the margin set aside when margin is isolated.

    `realized` sums the results of reductions since the position was opened, before fees.
    """

    symbol: str
    side: PositionSide
    amount: Decimal = ZERO
    entry: Decimal = ZERO
    isolated: Decimal = ZERO
    realized: Decimal = ZERO
    updated_ms: int = 0

    def profit_at(self, price: Decimal) -> Decimal:
        """Unrealised result at a price, before fees."""
        return self.amount * (price - self.entry)


class Filled(NamedTuple):
    """`released` is isolated margin that went back to the wallet (negative: taken from it)."""

    position: Position
    realized: Decimal
    released: Decimal


def filled(
    position: Position, side: Side, quantity: Decimal, price: Decimal, *, leverage: int, isolated: bool, ms: int
) -> Filled:
    """The position after a fill. A fill beyond what is held closes it and opens the other way."""
    change = quantity if side == "BUY" else -quantity
    held = position.amount
    if held * change >= 0:
        return _increased(position, change, price, leverage=leverage, isolated=isolated, ms=ms)
    closing = min(abs(held), quantity)
    share = closing / abs(held)
    realized = closing * (price - position.entry) * (1 if held > 0 else -1)
    released = position.isolated * share
    rest = held + (closing if change > 0 else -closing)
    after = msgspec.structs.replace(
        position,
        amount=rest,
        entry=position.entry if rest else ZERO,
        isolated=position.isolated - released if rest else ZERO,
        realized=position.realized + realized,
        updated_ms=ms,
    )
    if quantity == closing:
        return Filled(after, realized, released)
    opened = _increased(
        msgspec.structs.replace(after, realized=ZERO),
        change + held,
        price,
        leverage=leverage,
        isolated=isolated,
        ms=ms,
    )
    return Filled(opened.position, realized, released + opened.released)


def _increased(
    position: Position, change: Decimal, price: Decimal, *, leverage: int, isolated: bool, ms: int
) -> Filled:
    amount = position.amount + change
    cost = abs(position.amount) * position.entry + abs(change) * price
    margin = (abs(change) * price / leverage).quantize(PRICE_PLACES) if isolated else ZERO
    entry = (cost / abs(amount)).quantize(PRICE_PLACES) if amount else ZERO
    after = msgspec.structs.replace(
        position,
        amount=amount,
        entry=entry,
        isolated=position.isolated + margin,
        realized=position.realized if position.amount else ZERO,
        updated_ms=ms,
    )
    return Filled(after, ZERO, -margin)


def holds_against(position: Position, side: Side) -> Decimal:
    """How much of the position an order of this side could reduce."""
    reduces = (position.amount > 0 and side == "SELL") or (position.amount < 0 and side == "BUY")
    return abs(position.amount) if reduces else ZERO
