"""Orders, conditional orders, fills and income as the exchange stores and answers them."""

from decimal import Decimal
from typing import Final

import msgspec

from phoenix95.paper.core.position import PositionSide, Side

CLOSING: Final = frozenset({("LONG", "SELL"), ("SHORT", "BUY")})
STOPS: Final = frozenset({"STOP", "STOP_MARKET", "TRAILING_STOP_MARKET"})


class Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An order in the shape of `GET /fapi/v1/order`. Numbers are the exchange's strings."""

    order_id: int
    symbol: str
    status: str
    client_order_id: str
    price: str = "0"
    avg_price: str = "0.00"
    orig_qty: str
    executed_qty: str = "0"
    cum_qty: str = "0"
    cum_quote: str = "0"
    time_in_force: str = "GTC"
    type: str = "MARKET"
    reduce_only: bool = False
    close_position: bool = False
    side: Side
    position_side: PositionSide
    stop_price: str = "0"
    working_type: str = "CONTRACT_PRICE"
    price_protect: bool = False
    orig_type: str = "MARKET"
    price_match: str = "NONE"
    self_trade_prevention_mode: str = "EXPIRE_MAKER"
    good_till_date: int = 0
    time: int
    update_time: int

    @property
    def rest(self) -> Decimal:
        """What is not filled yet."""
        return Decimal(self.orig_qty) - Decimal(self.executed_qty)

    @property
    def reduces(self) -> bool:
        """Whether it can only make a position smaller."""
        return self.reduce_only or self.close_position or (self.position_side, self.side) in CLOSING

    def reached_by(self, price: Decimal) -> bool:
        """Whether a price is as good as the order's own, or better."""
        limit = Decimal(self.price)
        return price <= limit if self.side == "BUY" else price >= limit


class Algo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A conditional order in the shape of `GET /fapi/v1/algoOrder`."""

    algo_id: int
    client_algo_id: str
    algo_type: str = "CONDITIONAL"
    order_type: str
    symbol: str
    side: Side
    position_side: PositionSide
    time_in_force: str = "GTC"
    quantity: str
    algo_status: str = "NEW"
    trigger_price: str
    price: str = "0.00"
    iceberg_quantity: str | None = None
    self_trade_prevention_mode: str = "EXPIRE_MAKER"
    working_type: str = "CONTRACT_PRICE"
    price_match: str = "NONE"
    close_position: bool = False
    price_protect: bool = False
    reduce_only: bool = False
    activate_price: str = "0.00"
    callback_rate: str = "0.0"
    create_time: int
    update_time: int
    trigger_time: int = 0
    good_till_date: int = 0
    actual_order_id: str = ""
    actual_price: str = "0.00"
    actual_type: str = ""
    actual_qty: str = "0"
    tp_order_type: str = ""

    def triggers_at(self, price: Decimal) -> bool:
        """A stop buys at or above its price and sells at or below; a target the other way round."""
        above = (self.side == "BUY") == (self.order_type in STOPS)
        trigger = Decimal(self.trigger_price)
        return price >= trigger if above else price <= trigger

    @property
    def trails(self) -> bool:
        """Whether its trigger follows the market."""
        return self.order_type == "TRAILING_STOP_MARKET"

    @property
    def limited(self) -> bool:
        """Whether it becomes a limit order."""
        return self.order_type in ("STOP", "TAKE_PROFIT")

    @property
    def reduces(self) -> bool:
        """Whether it can only make a position smaller."""
        return self.reduce_only or self.close_position or (self.position_side, self.side) in CLOSING


class Trade(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One fill in the shape of `GET /fapi/v1/userTrades`."""

    buyer: bool
    commission: str
    commission_asset: str
    id: int
    maker: bool = False
    order_id: int
    price: str
    qty: str
    quote_qty: str
    realized_pnl: str
    side: Side
    position_side: PositionSide
    symbol: str
    time: int


class Income(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A change of the wallet in the shape of `GET /fapi/v1/income`; `trade_id` is empty when no trade made it."""

    symbol: str
    income_type: str
    income: str
    asset: str
    info: str
    time: int
    tran_id: int
    trade_id: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request. `quantity` None closes what is held when it comes to it; `price` None is a market order."""

    symbol: str
    side: Side
    position_side: PositionSide
    quantity: Decimal | None
    reduce_only: bool
    client_id: str
    price: Decimal | None = None
    time_in_force: str = "GTC"

    @property
    def reduces(self) -> bool:
        """Whether it can only make a position smaller."""
        return self.reduce_only or self.quantity is None or (self.position_side, self.side) in CLOSING
