"""The account: wallet, positions, open orders, settings of each symbol, and the figures that follow from marks."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from phoenix95.common.money import ZERO
from phoenix95.paper.core.margin import bound_by_orders, liquidation_price, maintenance, order_notionals
from phoenix95.paper.core.orders import Order, Wanted
from phoenix95.paper.core.position import Position, PositionSide, holds_against
from phoenix95.paper.core.specs import TAKER_FEE

LEVERAGE_DEFAULT: Final = 20
Marks = Callable[[str], Decimal]


class Setting(msgspec.Struct, frozen=True):
    """Leverage and margin type of one symbol; crossed at 20 until somebody changes it, as on the exchange."""

    leverage: int = LEVERAGE_DEFAULT
    isolated: bool = False


class Risk(NamedTuple):
    """Figures of one position at its mark; `initial` does not count its open orders, `ordered` is theirs."""

    notional: Decimal
    profit: Decimal
    initial: Decimal
    maintenance: Decimal
    break_even: Decimal
    ordered: Decimal
    bids: Decimal
    asks: Decimal


class Figures(NamedTuple):
    """Totals of the account in quote currency."""

    wallet: Decimal
    cross_wallet: Decimal
    profit: Decimal
    cross_profit: Decimal
    initial: Decimal
    ordered: Decimal
    maintenance: Decimal
    cross_maintenance: Decimal
    available: Decimal


class Account:
    """One account. `wallet` includes isolated margin; `positions` holds only what is or was once traded.

    `orders` are the open limit orders by id.
    """

    def __init__(self, wallet: Decimal, *, hedge: bool = False, updated_ms: int = 1) -> None:
        self.wallet = wallet
        self.hedge = hedge
        self.updated_ms = updated_ms
        self.positions: dict[tuple[str, PositionSide], Position] = {}
        self.orders: dict[int, Order] = {}
        self.settings: dict[str, Setting] = {}

    def setting(self, symbol: str) -> Setting:
        return self.settings.get(symbol) or Setting()

    def position(self, symbol: str, side: PositionSide) -> Position:
        """The position of a side, an empty one when nothing was ever held."""
        return self.positions.get((symbol, side)) or Position(symbol=symbol, side=side)

    def held(self, symbol: str | None = None) -> Iterator[Position]:
        """Positions with an amount."""
        for position in list(self.positions.values()):
            if position.amount and symbol in (None, position.symbol):
                yield position

    def resting(self, symbol: str | None = None) -> list[Order]:
        """Open limit orders, the oldest first."""
        return [order for order in self.orders.values() if symbol in (None, order.symbol)]

    def reducible(self, order: Wanted | Order) -> Decimal | None:
        """How much a reducing order may take away; None for one that may open."""
        held = self.position(order.symbol, order.position_side)
        return holds_against(held, order.side) if order.reduces else None

    def shown(self, symbol: str | None = None) -> list[Position]:
        """What has figures: positions with an amount, and sides with open orders."""
        keys = {(position.symbol, position.side) for position in self.held(symbol)}
        keys |= {(order.symbol, order.position_side) for order in self.resting(symbol)}
        return [self.position(*key) for key in sorted(keys)]

    def figures(self, marks: Marks) -> Figures:
        """All totals at the given mark prices."""
        profit = cross_profit = initial = ordered = kept = cross_kept = isolated = cross_bound = ZERO
        for position in self.shown():
            risk = self.risk(position, marks(position.symbol))
            profit += risk.profit
            initial += risk.initial
            ordered += risk.ordered
            kept += risk.maintenance
            if self.setting(position.symbol).isolated:
                isolated += position.isolated
                cross_bound += risk.ordered  # paid from the crossed wallet until it becomes a position
            else:
                cross_profit += risk.profit
                cross_kept += risk.maintenance
                cross_bound += risk.initial + risk.ordered
        cross_wallet = self.wallet - isolated
        available = max(ZERO, cross_wallet + cross_profit - cross_bound)
        return Figures(self.wallet, cross_wallet, profit, cross_profit, initial, ordered, kept, cross_kept, available)

    def risk(self, position: Position, mark: Decimal) -> Risk:
        """The figures of one position and its open orders."""
        notional = position.amount * mark
        leverage = self.setting(position.symbol).leverage
        bids = asks = ZERO
        if self.orders:
            bids, asks = order_notionals(
                order for order in self.resting(position.symbol) if order.position_side == position.side
            )
        sign = 1 if position.amount > 0 else -1
        return Risk(
            notional=notional,
            profit=position.profit_at(mark),
            initial=abs(notional) / leverage,
            maintenance=maintenance(position.symbol, abs(notional)) if notional else ZERO,
            break_even=position.entry * (1 + sign * TAKER_FEE),
            ordered=bound_by_orders(notional, bids, asks, leverage) if bids or asks else ZERO,
            bids=bids,
            asks=asks,
        )

    def liquidation(self, position: Position, marks: Marks) -> Decimal:
        """The mark price at which it is liquidated, the other symbols staying where they are; zero for none."""
        if not position.amount:
            return ZERO
        if self.setting(position.symbol).isolated:
            return liquidation_price([position], position.isolated)
        legs = list(self.held(position.symbol))
        collateral = self.wallet
        for other in self.held():
            if self.setting(other.symbol).isolated:
                collateral -= other.isolated
            elif other.symbol != position.symbol:
                risk = self.risk(other, marks(other.symbol))
                collateral += risk.profit - risk.maintenance
        return liquidation_price(legs, collateral)
