"""What a trade brought: a fold over its fills. Fees are positive costs; amounts are in the quote currency."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from phoenix95.common.money import ZERO
from phoenix95.executor.core.group import Fill
from phoenix95.executor.core.intents import PositionSide

QUOTE: Final = "USDT"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """`entry_price` and `exit_price` are averages, None when nothing was traded; `realized` is after fees.

    `fees_other` are fees that were paid in another asset than the quote currency (such as BNB), by asset; they
    are not in `fees` and not in `realized`.
    """

    entered: Decimal
    exited: Decimal
    entry_price: Decimal | None
    exit_price: Decimal | None
    fees: Decimal
    fees_other: dict[str, Decimal]
    gross: Decimal
    realized: Decimal

    @property
    def size(self) -> Decimal:
        """What is still open, in base units."""
        return self.entered - self.exited


def result(fills: Iterable[Fill], position_side: PositionSide, quote: str = QUOTE) -> Result:
    """Fold the fills of one trade. The gross result is of the closed part, at the average entry."""
    opening = "BUY" if position_side == "LONG" else "SELL"
    sign = 1 if position_side == "LONG" else -1
    entered = exited = paid = taken = fees = ZERO
    other: dict[str, Decimal] = {}
    for fill in fills:
        if fill.fee_asset == quote:
            fees += fill.fee
        else:
            other[fill.fee_asset] = other.get(fill.fee_asset, ZERO) + fill.fee
        if fill.side == opening:
            entered += fill.quantity
            paid += fill.quantity * fill.price
        else:
            exited += fill.quantity
            taken += fill.quantity * fill.price
    entry_price = paid / entered if entered else None
    exit_price = taken / exited if exited else None
    # multiplied first: a trade that is closed leaves no remainder of the division
    gross = sign * (taken - exited * paid / entered) if entered else ZERO
    return Result(
        entered=entered, exited=exited, entry_price=entry_price, exit_price=exit_price,
        fees=fees, fees_other=other, gross=gross, realized=gross - fees,
    )  # fmt: skip


def until_flat(fills: Iterable[Fill], position_side: PositionSide) -> tuple[Fill, ...]:
    """The fills of one trade, by trade id, up to the one that turned its position over, which one-way mode allows: the
    part of it that closed, with its whole fee. What it opened, and all that came after, is another trade's."""
    opening = "BUY" if position_side == "LONG" else "SELL"
    mine, size = list[Fill](), ZERO
    for fill in sorted(fills, key=lambda one: one.trade_id):
        left = size + (fill.quantity if fill.side == opening else -fill.quantity)
        if left < 0:
            return (*mine, msgspec.structs.replace(fill, quantity=size)) if size > 0 else tuple(mine)
        mine.append(fill)
        size = left
    return tuple(mine)


def unrealized(size: Decimal, entry_price: Decimal, mark: Decimal, position_side: PositionSide) -> Decimal:
    """The result of an open position at `mark`, before fees. `size` is positive on both sides."""
    return size * (mark - entry_price if position_side == "LONG" else entry_price - mark)


def percent_of(part: Decimal, whole: Decimal) -> Decimal:
    """`part` as a percentage of `whole`; 0 when `whole` is 0."""
    return part / whole * 100 if whole else ZERO
