"""The order book's own part: orders are checked, take what the book shows, rest, are filled later, end."""

from decimal import Decimal
from typing import Final

import msgspec

from phoenix95.common.money import ZERO
from phoenix95.paper.clearing import Clearing
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.frames import AggTrade, BookTicker
from phoenix95.paper.core.matching import Level, met_by_trade, shared, take, total
from phoenix95.paper.core.orders import Order, Wanted
from phoenix95.paper.core.requests import (
    CONDITIONAL,
    Params,
    check_band,
    check_notional,
    demand,
    price_of,
    quantity_of,
    wanted,
)
from phoenix95.paper.core.user_events import order_event
from phoenix95.paper.market import Market

OPEN_MAX: Final = 200
NOT_OF_ORDERS: Final = ("stopPrice", "triggerPrice", "closePosition", "callbackRate", "activationPrice")
NOT_OF_MARKET_ORDERS: Final = ("price", "timeInForce")


class OrderBook:
    """The open orders of all symbols; they live in the account."""

    def __init__(self, clearing: Clearing) -> None:
        self._clearing = clearing
        self._account = clearing.account

    # ------------------------------------------------------------ requests

    def place(self, params: Params, market: Market, ms: int) -> Order:
        """POST /fapi/v1/order. Raises the exchange's refusal."""
        kind = demand(params, "type").upper()
        if kind in CONDITIONAL:
            raise RefusedError(-4120)
        if kind not in ("MARKET", "LIMIT"):
            raise RefusedError(-1116)
        for unwanted in NOT_OF_ORDERS if kind == "LIMIT" else (*NOT_OF_ORDERS, *NOT_OF_MARKET_ORDERS):
            if params.get(unwanted, "") not in ("", "false", "0"):
                raise RefusedError(-1106, unwanted)
        if kind == "LIMIT":
            demand(params, "timeInForce")
        client_id = f"web_{self._clearing.next_order_id}"
        order = wanted(params, market.spec, self._account, client_id=client_id, id_name="newClientOrderId")
        placed = self.enter(order, market, ms)
        self._clearing.settle(ms)
        return placed

    def enter(self, order: Wanted, market: Market, ms: int, *, lenient: bool = False) -> Order:
        """Check an order, fill what can be, let the rest rest or end. The caller settles.

        `lenient` cuts a reducing order to what is held also in hedge mode, as is done with triggered ones.
        """
        if any(other.client_order_id == order.client_id for other in self._account.orders.values()):
            raise RefusedError(-4116)
        quantity = self._quantity(order, lenient=lenient)
        best = market.best(order.side)
        if best is None:
            raise RefusedError(-4131)
        if order.price is not None:
            check_band(order.side, order.price, market.mark())
        worth = best.price if order.price is None else order.price
        if not order.reduces:
            check_notional(quantity, worth, market.spec)
        fills = take(market.ladder(order.side), order.side, quantity, order.price)
        if order.time_in_force == "GTX" and fills:
            raise RefusedError(-5022)
        if order.time_in_force == "FOK" and total(fills) < quantity:
            raise RefusedError(-5021)
        self._clearing.check_margin(order, quantity, worth)
        rests = order.price is not None and order.time_in_force in ("GTC", "GTX")
        if rests and total(fills) < quantity and len(self._account.orders) >= OPEN_MAX:
            raise RefusedError(-2025)
        placed = self._clearing.fill(self._clearing.open(order, quantity, ms), fills, ms)
        if placed.status != "FILLED" and not rests:
            placed = self._clearing.end(placed, "EXPIRED", ms)
        self.expire_reducing(order.symbol, ms)
        return placed

    def cancel(self, order: Order, ms: int) -> Order:
        """Raises -2011 when it is not open."""
        held = self._account.orders.get(order.order_id)
        if held is None:
            raise RefusedError(-2011)
        ended = self._clearing.end(held, "CANCELED", ms)
        self._clearing.settle(ms)
        return ended

    def amend(self, order: Order, params: Params, market: Market, ms: int) -> Order:
        """PUT /fapi/v1/order: another price and quantity. One that is filled that far already is cancelled."""
        held = self._account.orders.get(order.order_id)
        if held is None:
            raise RefusedError(-2013)
        if demand(params, "side").upper() != held.side:
            raise RefusedError(-1117)
        quantity = quantity_of(params, market.spec, market.spec.limit_quantity_max)
        price = price_of(params, "price", market.spec)
        if (quantity, price) == (Decimal(held.orig_qty), Decimal(held.price)):
            raise RefusedError(-5027)
        if quantity <= Decimal(held.executed_qty):
            return self.cancel(held, ms)
        check_band(held.side, price, market.mark())
        rest = quantity - Decimal(held.executed_qty)
        fills = take(market.ladder(held.side), held.side, rest, price)
        if held.time_in_force == "GTX" and fills:
            raise RefusedError(-5022)
        self._check_amended(held, rest, price, market)
        spec = market.spec
        amended: Order = msgspec.structs.replace(
            held,
            price=f"{price:.{spec.price_digits}f}",
            orig_qty=f"{quantity:.{spec.quantity_digits}f}",
            update_time=ms,
        )
        self._clearing.note(amended)
        self._clearing.say(order_event(amended, "AMENDMENT", ms))
        amended = self._clearing.fill(amended, fills, ms)
        self.expire_reducing(held.symbol, ms)
        self._clearing.settle(ms)
        return amended

    def _check_amended(self, held: Order, rest: Decimal, price: Decimal, market: Market) -> None:
        if held.reduces:
            if rest > (self._account.reducible(held) or ZERO):
                raise RefusedError(-2022)
            return
        check_notional(rest, price, market.spec)
        as_new = Wanted(
            symbol=held.symbol,
            side=held.side,
            position_side=held.position_side,
            quantity=rest,
            reduce_only=False,
            client_id=held.client_order_id,
            price=price,
        )
        del self._account.orders[held.order_id]  # what it binds now is free for what it will bind
        try:
            self._clearing.check_margin(as_new, rest, price)
        finally:
            self._account.orders[held.order_id] = held

    def _quantity(self, order: Wanted, *, lenient: bool) -> Decimal:
        """Raises -2022 when it should reduce and nothing (in hedge mode: too little) is held."""
        held = self._account.reducible(order)
        if held is None:
            return order.quantity or ZERO
        if held == 0 or (self._account.hedge and not lenient and order.quantity is not None and order.quantity > held):
            raise RefusedError(-2022)
        return held if order.quantity is None else min(order.quantity, held)

    # ------------------------------------------------------------ the market moves

    def met_by_trade(self, symbol: str, trade: AggTrade) -> None:
        """A public trade fills what rests at its price or beyond."""
        price = Decimal(trade.p)
        met = [o for o in self._account.resting(symbol) if met_by_trade(o, price, buyer_is_maker=trade.m)]
        if met:
            self._hand_out(symbol, met, Decimal(trade.q), trade.T)

    def met_by_book(self, symbol: str, book: BookTicker, market: Market) -> None:
        """A book that has come to a resting order fills it."""
        for side, best in (("BUY", Decimal(book.a)), ("SELL", Decimal(book.b))):
            met = [o for o in self._account.resting(symbol) if o.side == side and o.reached_by(best)]
            for order in met:
                levels = take(market.ladder(order.side), order.side, order.rest, Decimal(order.price))
                self._hand_out(symbol, [order], total(levels), book.E)

    def _hand_out(self, symbol: str, met: list[Order], quantity: Decimal, ms: int) -> None:
        given = shared(met, quantity, ms)
        for order, part in given:
            if order.order_id not in self._account.orders:
                continue
            held = self._account.reducible(order)
            part = part if held is None else min(part, held)
            if part > 0:
                self._clearing.fill(order, [Level(Decimal(order.price), part)], ms, maker=True)
            self.expire_reducing(symbol, ms)
        if given:
            self._clearing.settle(ms)

    def expire_reducing(self, symbol: str, ms: int) -> None:
        """Orders that have nothing to reduce any more come to their end."""
        for order in self._account.resting(symbol):
            if self._account.reducible(order) == 0:
                self._clearing.end(order, "EXPIRED", ms)
