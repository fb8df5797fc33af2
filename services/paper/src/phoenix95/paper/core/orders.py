"""Orders as the exchange stores and answers them, and the checks before one is accepted."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, cast

import msgspec

from phoenix95.common.money import ZERO, exact
from phoenix95.paper.core.account import Account
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.position import PositionSide, Side, holds_against
from phoenix95.paper.core.specs import Spec

CLIENT_ID: Final = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")
CONDITIONAL: Final = ("STOP_MARKET", "TAKE_PROFIT_MARKET")
CONDITIONAL_ALL: Final = (*CONDITIONAL, "STOP", "TAKE_PROFIT", "TRAILING_STOP_MARKET")
ALGO_OPEN_MAX: Final = 200
PRICE_MAX: Final = 1_000_000_000
Params = Mapping[str, str]


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
        above = (self.side == "BUY") == (self.order_type == "STOP_MARKET")
        trigger = Decimal(self.trigger_price)
        return price >= trigger if above else price <= trigger

    @property
    def reduces(self) -> bool:
        """Whether it can only make a position smaller."""
        return self.reduce_only or self.close_position or (self.position_side, self.side) in _CLOSING


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


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request. `quantity` None closes what is held when it comes to it."""

    symbol: str
    side: Side
    position_side: PositionSide
    quantity: Decimal | None
    reduce_only: bool
    client_id: str


_CLOSING: Final = frozenset({("LONG", "SELL"), ("SHORT", "BUY")})


def demand(params: Params, name: str) -> str:
    """A parameter that must be there. Raises -1102."""
    value = params.get(name, "")
    if not value:
        raise RefusedError(-1102, name)
    return value


def number(params: Params, name: str) -> Decimal:
    """A parameter that must be a finite number."""
    text = demand(params, name)
    try:
        return exact(text)
    except ValueError:
        raise RefusedError(-1102, name) from None


def flag(params: Params, name: str) -> bool:
    """A parameter that is true or false, false when it was not sent."""
    text = params.get(name, "false").lower()
    if text not in ("true", "false"):
        raise RefusedError(-1130, name)
    return text == "true"


def wanted(params: Params, spec: Spec, account: Account, *, client_id: str, id_name: str) -> Wanted:
    """The common part of market and conditional orders, checked in the exchange's manner."""
    side = demand(params, "side").upper()
    if side not in ("BUY", "SELL"):
        raise RefusedError(-1117)
    position_side = params.get("positionSide", "BOTH").upper()
    if position_side not in ("BOTH", "LONG", "SHORT"):
        raise RefusedError(-1130, "positionSide")
    if (position_side == "BOTH") == account.hedge:
        raise RefusedError(-4061)
    closing = flag(params, "closePosition")
    if account.hedge and "reduceOnly" in params:
        raise RefusedError(-1106, "reduceOnly")
    if closing and "reduceOnly" in params:
        raise RefusedError(-1106, "reduceOnly")
    if closing and "quantity" in params:
        raise RefusedError(-1106, "quantity")
    if id_name in params and not CLIENT_ID.match(params[id_name]):
        raise RefusedError(-4015)
    return Wanted(
        symbol=spec.symbol,
        side=cast(Side, side),
        position_side=cast(PositionSide, position_side),
        quantity=None if closing else quantity_of(params, spec),
        reduce_only=flag(params, "reduceOnly"),
        client_id=params.get(id_name) or client_id,
    )


def quantity_of(params: Params, spec: Spec) -> Decimal:
    """A quantity within the symbol's limits, on its step."""
    quantity = number(params, "quantity")
    if quantity <= 0:
        raise RefusedError(-4003)
    if quantity > spec.market_quantity_max:
        raise RefusedError(-4005)
    if quantity % spec.step.normalize():
        raise RefusedError(-1111)
    return quantity


def reducible(order: Wanted, account: Account) -> Decimal | None:
    """How much a reducing order may take away; None for an order that may open."""
    closing = order.reduce_only or order.quantity is None or (order.position_side, order.side) in _CLOSING
    return holds_against(account.position(order.symbol, order.position_side), order.side) if closing else None


def market_quantity(order: Wanted, account: Account) -> Decimal:
    """What a market order fills. Raises -2022 when it should reduce and nothing (in hedge mode: too little) is held."""
    held = reducible(order, account)
    if held is None:
        return order.quantity or ZERO
    if held == 0 or (account.hedge and order.quantity is not None and order.quantity > held):
        raise RefusedError(-2022)
    return held if order.quantity is None else min(order.quantity, held)


def check_notional(order: Wanted, quantity: Decimal, price: Decimal, spec: Spec) -> None:
    """Raises -4164 for an opening order that is too small."""
    if quantity * price < spec.min_notional:
        raise RefusedError(-4164, format(spec.min_notional, "f"))


def trigger_price_of(params: Params, spec: Spec) -> Decimal:
    """A trigger price on the symbol's tick."""
    price = number(params, "triggerPrice")
    if price <= 0:
        raise RefusedError(-4006)
    if price > PRICE_MAX:
        raise RefusedError(-4002)
    if price % spec.tick.normalize():
        raise RefusedError(-4014)
    return price
