"""What has to be done to hold nothing and to have nothing open, from the exchange's own lists alone."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

import msgspec

from phoenix95.common.events import Side

AnySide = Literal["LONG", "SHORT", "BOTH"]  # BOTH: an account in one-way mode


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A position. `amount` is negative for a short;"""

    symbol: str
    position_side: AnySide
    amount: Decimal
    entry_price: Decimal
    mark_price: Decimal
    unrealized: Decimal

    @property
    def place(self) -> tuple[str, str]:
        return self.symbol, self.position_side

    @property
    def closing_side(self) -> Side:
        return "SELL" if self.amount > 0 else "BUY"


class Resting(msgspec.Struct, frozen=True, kw_only=True):
    """An open order of either kind. `price` is its limit or its trigger; `venue_id` is the exchange's own."""

    symbol: str
    venue_id: str
    client_id: str
    conditional: bool
    kind: str
    side: Side
    position_side: AnySide
    quantity: Decimal
    price: Decimal
    reduces: bool = False

    @property
    def can_open(self) -> bool:
        """Whether it may make a position larger. In hedge mode the sides tell, in one-way mode only its own word."""
        if self.reduces:
            return False
        if self.position_side == "BOTH":
            return True
        return (self.side == "BUY") == (self.position_side == "LONG")


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One round: what may open something goes first, what protects stays until nothing is held."""

    cancel: tuple[Resting, ...]
    close: tuple[Held, ...]


def work(held: Iterable[Held], resting: Iterable[Resting]) -> Work:
    """What to do now. Nothing to do means: flat."""
    open_positions = tuple(one for one in held if one.amount != 0)
    open_orders = tuple(resting)
    cancel = tuple(one for one in open_orders if one.can_open) if open_positions else open_orders
    return Work(cancel=cancel, close=open_positions)
