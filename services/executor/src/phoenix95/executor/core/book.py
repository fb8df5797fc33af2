"""The account as gates and reports see it, from the trades that are active."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from phoenix95.common.money import ZERO
from phoenix95.executor.core.candidate import Exposure
from phoenix95.executor.core.group import Group
from phoenix95.executor.core.protection import resting_stop_price


def exposures(groups: Iterable[Group]) -> tuple[Exposure, ...]:
    """One for each active trade. An entry whose outcome is not known yet counts in full."""
    return tuple(_exposure(group) for group in groups if group.trade.stage not in ("CLOSED", "FAILED"))


def _exposure(group: Group) -> Exposure:
    entry, trade = group.entry, group.trade
    pending = entry.filled == 0
    coming = entry.quantity - entry.filled if entry.live else ZERO
    return Exposure(
        symbol=trade.symbol,
        position_side=trade.position_side,
        leverage=trade.leverage,
        size=entry.quantity if pending else max(ZERO, group.held) + coming,
        entry_price=trade.price if pending or entry.average_price is None else entry.average_price,
        stop_price=resting_stop_price(group),
    )


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What a day's closed trades brought, after fees, and how the equity moved against its peak."""

    pnl: Decimal
    trades: int
    wins: int
    losses: int


def day_of(results: Iterable[Decimal]) -> Day:
    """Sum up the realised results of a day's closed trades. A result of 0 is neither a win nor a loss."""
    known = list(results)
    return Day(
        pnl=sum(known, ZERO),
        trades=len(known),
        wins=sum(result > 0 for result in known),
        losses=sum(result < 0 for result in known),
    )


def drawdown(peak: Decimal, equity: Decimal) -> Decimal:
    """How far equity is under its peak, as a share of the peak; 0 at a new peak."""
    return (peak - equity) / peak if peak > equity and peak > 0 else ZERO
