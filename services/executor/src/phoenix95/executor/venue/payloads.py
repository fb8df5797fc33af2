"""The exchange's own words, and how they become ours. Field lists: BINANCE USD-M REST, November 2026."""

from decimal import Decimal
from typing import Final, Literal

import msgspec

from phoenix95.common.errors import TransientError
from phoenix95.common.events import Side
from phoenix95.common.money import ZERO
from phoenix95.executor.core.group import Fill, FillSide
from phoenix95.executor.core.intents import PositionSide
from phoenix95.executor.core.observe import ConditionalReport, Report
from phoenix95.executor.core.sizing import Bracket, Lot, Rules
from phoenix95.executor.ports import VenueAccount, VenuePosition

OrderState = Literal["OPEN", "PARTIAL", "FILLED", "CANCELED", "REJECTED", "EXPIRED"]
ORDER_STATES: Final[dict[str, OrderState]] = {
    "NEW": "OPEN",
    "PARTIALLY_FILLED": "PARTIAL",
    "FILLED": "FILLED",
    "CANCELED": "CANCELED",
    "REJECTED": "REJECTED",
    "EXPIRED": "EXPIRED",
    "EXPIRED_IN_MATCH": "EXPIRED",
    "NEW_INSURANCE": "FILLED",  # a liquidation that the insurance fund took over; never one of ours
    "NEW_ADL": "FILLED",  # our counterparty's liquidation closed our position
}
ConditionalState = Literal["OPEN", "TRIGGERED", "CANCELED", "REJECTED", "EXPIRED"]
CONDITIONAL_STATES: Final[dict[str, ConditionalState]] = {
    "NEW": "OPEN",
    "TRIGGERING": "OPEN",
    "TRIGGERED": "TRIGGERED",
    "FINISHED": "TRIGGERED",
    "CANCELED": "CANCELED",
    "REJECTED": "REJECTED",
    "EXPIRED": "EXPIRED",
}


class Order(msgspec.Struct, rename="camel"):
    order_id: int
    client_order_id: str
    status: str
    executed_qty: Decimal
    avg_price: Decimal = ZERO
    update_time: int | None = None

    def report(self) -> Report:
        state = ORDER_STATES.get(self.status)
        if state is None:
            raise TransientError(f"exchange: order {self.client_order_id} is {self.status}, which we do not know")
        return Report(
            order_id=str(self.order_id),
            client_id=self.client_order_id,
            state=state,
            filled=self.executed_qty,
            average_price=self.avg_price if self.executed_qty > 0 else None,
            updated_ms=self.update_time,
        )


class AlgoOrder(msgspec.Struct, rename="camel"):
    algo_id: int
    client_algo_id: str
    symbol: str
    algo_status: str
    quantity: Decimal = ZERO
    actual_order_id: str | int | None = None

    @property
    def order_id(self) -> str | None:
        """The order that the trigger made; the exchange writes an empty text while there is none."""
        return str(self.actual_order_id) if self.actual_order_id not in (None, "", "0", 0) else None

    def report(self, order: Report | None = None) -> ConditionalReport:
        state = CONDITIONAL_STATES.get(self.algo_status)
        if state is None:
            raise TransientError(f"exchange: {self.client_algo_id} is {self.algo_status}, which we do not know")
        if self.algo_status == "FINISHED" and order is None:
            state = "EXPIRED"  # finished without an order: nothing was and nothing will be done
        return ConditionalReport(
            venue_id=str(self.algo_id),
            client_id=self.client_algo_id,
            symbol=self.symbol,
            state=state,
            quantity=self.quantity,
            order=order,
        )


class UserTrade(msgspec.Struct, rename="camel"):
    id: int
    order_id: int
    symbol: str
    side: Side
    position_side: str
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    realized_pnl: Decimal
    time: int
    buyer: bool = False

    def fill(self) -> Fill:
        """One-way accounts say BOTH: the trade that holds the symbol tells whether that was long or short."""
        return Fill(
            trade_id=self.id,
            order_id=str(self.order_id),
            symbol=self.symbol,
            side=self.side,
            position_side=_position_side(self.position_side),
            price=self.price,
            quantity=self.qty,
            fee=self.commission,
            fee_asset=self.commission_asset,
            realized_pnl=self.realized_pnl,
            time_ms=self.time,
        )


class PositionRisk(msgspec.Struct, rename="camel"):
    symbol: str
    position_side: str
    position_amt: Decimal
    entry_price: Decimal
    mark_price: Decimal
    un_realized_profit: Decimal

    def position(self) -> VenuePosition:
        return VenuePosition(
            symbol=self.symbol,
            position_side=_held_side(self.position_side, self.position_amt),
            size=abs(self.position_amt),
            entry_price=self.entry_price,
            mark_price=self.mark_price,
            unrealized=self.un_realized_profit,
        )


class Account(msgspec.Struct, rename="camel"):
    total_margin_balance: Decimal
    total_wallet_balance: Decimal
    available_balance: Decimal
    total_initial_margin: Decimal
    total_unrealized_profit: Decimal
    total_maint_margin: Decimal | None = None

    def account(self) -> VenueAccount:
        return VenueAccount(
            equity=self.total_margin_balance,
            wallet=self.total_wallet_balance,
            available=self.available_balance,
            used_margin=self.total_initial_margin,
            unrealized=self.total_unrealized_profit,
            maintenance=self.total_maint_margin,
        )


class Filter(msgspec.Struct, rename="camel"):
    filter_type: str
    tick_size: Decimal = ZERO
    min_price: Decimal = ZERO
    max_price: Decimal = ZERO
    step_size: Decimal = ZERO
    min_qty: Decimal = ZERO
    max_qty: Decimal = ZERO
    notional: Decimal = ZERO
    multiplier_up: Decimal = ZERO
    multiplier_down: Decimal = ZERO

    def lot(self) -> Lot:
        return Lot(step=self.step_size, least=self.min_qty, most=self.max_qty)


class Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    filters: list[Filter]
    contract_type: str = ""
    quote_asset: str = "USDT"
    delivery_date: int | None = None

    def rules(self) -> Rules | None:
        """None for what has no prices or lots yet: nothing can be ordered there."""
        by_type = {one.filter_type: one for one in self.filters}
        if not {"PRICE_FILTER", "LOT_SIZE"} <= by_type.keys():
            return None
        prices, percent = by_type["PRICE_FILTER"], by_type.get("PERCENT_PRICE")
        plain_lot = by_type["LOT_SIZE"].lot()
        market_lot = by_type["MARKET_LOT_SIZE"].lot() if "MARKET_LOT_SIZE" in by_type else plain_lot
        return Rules(
            symbol=self.symbol,
            trading=self.status == "TRADING",
            price_tick=prices.tick_size,
            quantity_step=max(market_lot.step, plain_lot.step),
            quantity_min=max(market_lot.least, plain_lot.least),
            quantity_max=min(market_lot.most, plain_lot.most),
            notional_min=by_type["MIN_NOTIONAL"].notional if "MIN_NOTIONAL" in by_type else ZERO,
            quote=self.quote_asset,
            status=self.status,
            contract_type=self.contract_type,
            delivery_ms=self.delivery_date,
            lot=plain_lot,
            market_lot=market_lot,
            # a limit of 0 is the exchange's way to say that there is none
            price_min=prices.min_price or None,
            price_max=prices.max_price or None,
            percent_down=None if percent is None else percent.multiplier_down,
            percent_up=None if percent is None else percent.multiplier_up,
        )


class Tier(msgspec.Struct, rename="camel"):
    initial_leverage: int
    notional_cap: Decimal
    notional_floor: Decimal
    maint_margin_ratio: Decimal
    cum: Decimal

    def bracket(self) -> Bracket:
        return Bracket(
            leverage=self.initial_leverage,
            floor=self.notional_floor,
            cap=self.notional_cap,
            rate=self.maint_margin_ratio,
            cum=self.cum,
        )


class Tiers(msgspec.Struct):
    symbol: str
    brackets: list[Tier]

    def sorted(self) -> tuple[Bracket, ...]:
        return tuple(sorted((one.bracket() for one in self.brackets), key=lambda one: one.floor))


class RateLimit(msgspec.Struct, rename="camel"):
    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int


class ExchangeInfo(msgspec.Struct, rename="camel"):
    symbols: list[Symbol]
    rate_limits: list[RateLimit] = []


def _held_side(text: str, amount: Decimal) -> PositionSide:
    side = _position_side(text)
    if side == "BOTH":
        return "LONG" if amount > 0 else "SHORT"
    return side


def _position_side(text: str) -> FillSide:
    if text == "LONG":
        return "LONG"
    if text == "SHORT":
        return "SHORT"
    if text == "BOTH":
        return "BOTH"
    raise TransientError(f"exchange: position side {text}, which we do not know")
