"""Conditional orders: accepted, waiting for their price, set off, followed through the order they became, ended."""

from decimal import Decimal
from typing import Any, Final

import msgspec

from phoenix95.paper.clearing import Clearing
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.orders import Algo, Order, Wanted
from phoenix95.paper.core.requests import (
    CLOSING_ALL,
    CONDITIONAL,
    Params,
    callback_rate,
    check_notional,
    choice,
    demand,
    flag,
    price_of,
    wanted,
)
from phoenix95.paper.core.trailing import Trail, begun, followed
from phoenix95.paper.core.user_events import algo_event
from phoenix95.paper.market import Market
from phoenix95.paper.resting import OrderBook
from phoenix95.paper.store import ENDED, FOLLOWED, OPEN_STATES, WAITING

ALGO_ID_FIRST: Final = 2_000_000_000
ALGO_OPEN_MAX: Final = 200
WORKING_TYPES: Final = ("CONTRACT_PRICE", "MARK_PRICE")
OPENS: Final = frozenset({("LONG", "BUY"), ("SHORT", "SELL")})


class ConditionalBook:
    """The open conditional orders of all symbols, by id, and those whose limit order still rests."""

    def __init__(self, clearing: Clearing, orders: OrderBook) -> None:
        self._clearing = clearing
        self._store = clearing.store
        self._orders = orders
        self._open: dict[int, Algo] = {algo.algo_id: algo for algo in self._store.algos_in(WAITING)}
        self._followed = {int(algo.actual_order_id): algo for algo in self._store.algos_in(FOLLOWED)}
        self._trails = {n: Trail(extreme=self._store.trail(n)) for n, algo in self._open.items() if algo.trails}
        self._algo_id = max(self._store.last_id("algo"), ALGO_ID_FIRST)
        clearing.opened, clearing.ended = self._order_opened, self._order_ended

    def __bool__(self) -> bool:
        return bool(self._open)

    def open(self, symbol: str | None = None) -> list[Algo]:
        """Open conditional orders, the oldest first."""
        return [algo for algo in self._open.values() if symbol in (None, algo.symbol)]

    def place(self, params: Params, market: Market, ms: int) -> Algo:
        """Accept a stop, a target or a trailing stop. Raises the exchange's refusal."""
        choice(params, "algoType", "CONDITIONAL", ("CONDITIONAL",))
        kind = demand(params, "type").upper()
        if kind not in CONDITIONAL:
            raise RefusedError(-1116)
        working = choice(params, "workingType", "CONTRACT_PRICE", WORKING_TYPES)
        algo_id = self._algo_id + 1
        order = wanted(params, market.spec, self._clearing.account, client_id=f"algo_{algo_id}", id_name="clientAlgoId")
        self._check(order, kind)
        seen = market.last_price() if working == "CONTRACT_PRICE" else market.mark()
        trigger, activation, callback = _trigger(params, kind, market, seen)
        algo = Algo(
            algo_id=algo_id,
            client_algo_id=order.client_id,
            order_type=kind,
            symbol=order.symbol,
            side=order.side,
            position_side=order.position_side,
            time_in_force=params.get("timeInForce", "GTC").upper(),
            quantity="0" if order.quantity is None else format(order.quantity, "f"),
            price="0.00" if order.price is None else format(order.price, "f"),
            working_type=working,
            close_position=order.quantity is None,
            price_protect=flag(params, "priceProtect"),
            reduce_only=order.reduce_only or order.quantity is None,
            create_time=ms,
            update_time=ms,
            trigger_price=trigger,
            activate_price=activation,
            callback_rate=callback,
        )
        if not algo.trails and algo.triggers_at(seen):
            raise RefusedError(-2021)
        if not algo.reduces and order.quantity is not None:
            worth = order.price or Decimal(algo.trigger_price) or seen
            check_notional(order.quantity, worth, market.spec)
        self._algo_id = algo_id
        self._open[algo_id] = algo
        if algo.trails:
            self._keep(algo, begun(algo, seen))
        self._store.save_algo(algo, WAITING)
        self._clearing.touch(algo.symbol)
        self._clearing.say(algo_event(algo, ms))
        self._clearing.settle(ms)
        return algo

    def cancel(self, algo: Algo, ms: int) -> None:
        """Raises -2011 when it is not open."""
        if algo.algo_id not in self._open:
            raise RefusedError(-2011)
        self._ended(self._open[algo.algo_id], "CANCELED", ms)
        self._clearing.settle(ms)

    def vanish(self, algo_id: int, ms: int) -> None:
        """Lose an open order without a word, as nobody ever should: a fault."""
        algo = self._open.pop(algo_id, None)
        if algo is not None:
            self._store.drop_algo(algo_id)
            self._clearing.touch(algo.symbol)
            self._clearing.settle(ms)

    def look(self, symbol: str, working: str, price: Decimal, ms: int) -> None:
        """A price was seen: set off what waited for it."""
        for algo in self.open(symbol):
            if algo.working_type != working or algo.create_time > ms or algo.algo_id not in self._open:
                continue
            if algo.trails:
                trail, goes_off = followed(algo, self._trails[algo.algo_id], price)
                if trail != self._trails[algo.algo_id]:
                    self._keep(algo, trail)
            else:
                goes_off = algo.triggers_at(price)
            if goes_off:
                self._set_off(algo, ms)

    def waits_for_mark(self) -> set[str]:
        """Symbols with orders that the mark price sets off."""
        return {algo.symbol for algo in self._open.values() if algo.working_type == "MARK_PRICE"}

    def _check(self, order: Wanted, kind: str) -> None:
        closing = order.quantity is None
        if len(self._open) >= ALGO_OPEN_MAX:
            raise RefusedError(-4045)
        if closing and (kind not in CLOSING_ALL or (order.position_side, order.side) in OPENS):
            raise RefusedError(-4136, kind, "true")
        for other in self._open.values():
            if other.client_algo_id == order.client_id:
                raise RefusedError(-4116)
            same = (other.symbol, other.side, other.position_side) == (order.symbol, order.side, order.position_side)
            if closing and other.close_position and same and other.order_type == kind:
                raise RefusedError(-4130)

    def _keep(self, algo: Algo, trail: Trail) -> None:
        """Remember how far the market went; it joins the next commit, which comes with the market's own position."""
        self._trails[algo.algo_id] = trail
        self._store.save_trail(algo.algo_id, trail.extreme)

    # ------------------------------------------------------------ the price is reached

    def _set_off(self, algo: Algo, ms: int) -> None:
        """Turn a triggered order into a market or limit order. A reducing one takes what is held at most."""
        clearing = self._clearing
        order = Wanted(
            symbol=algo.symbol,
            side=algo.side,
            position_side=algo.position_side,
            quantity=None if algo.close_position else Decimal(algo.quantity),
            reduce_only=algo.reduce_only,
            client_id=algo.client_algo_id,
            price=Decimal(algo.price) if algo.limited else None,
            time_in_force=algo.time_in_force if algo.limited else "GTC",
        )
        if clearing.account.reducible(order) == 0:
            self._ended(
                algo, "EXPIRED" if algo.close_position else "REJECTED", ms, "Reduce Only reject", trigger_time=ms
            )
            clearing.settle(ms)
            return
        triggered: Algo = msgspec.structs.replace(
            algo,
            algo_status="TRIGGERED",
            trigger_time=ms,
            update_time=ms,
            actual_order_id=str(clearing.next_order_id),
            actual_type="LIMIT" if algo.limited else "MARKET",
        )
        clearing.say(algo_event(msgspec.structs.replace(triggered, algo_status="TRIGGERING", actual_order_id=""), ms))
        order_id = clearing.next_order_id
        self._followed[order_id] = triggered
        del self._open[algo.algo_id]
        try:
            placed = self._orders.enter(order, clearing.markets[order.symbol], ms, lenient=True)
        except RefusedError as refused:
            del self._followed[order_id]
            self._ended(algo, "REJECTED", ms, refused.message, trigger_time=ms)
        else:
            if placed.status in OPEN_STATES:
                self._store.save_algo(triggered, FOLLOWED)
        clearing.settle(ms)

    def _order_opened(self, order: Order, ms: int) -> None:
        """The order that a conditional one becomes was accepted."""
        if order.order_id in self._followed:
            self._clearing.say(algo_event(self._followed[order.order_id], ms))

    def _order_ended(self, order: Order, ms: int) -> None:
        """The order that a conditional one became is open no more."""
        algo = self._followed.pop(order.order_id, None)
        if algo is not None:
            self._ended(algo, "FINISHED", ms, actual_price=order.avg_price, actual_qty=order.executed_qty)

    def _ended(self, algo: Algo, status: str, ms: int, reason: str = "", **changes: Any) -> None:
        ended: Algo = msgspec.structs.replace(algo, algo_status=status, update_time=ms, **changes)
        self._open.pop(algo.algo_id, None)
        self._trails.pop(algo.algo_id, None)
        self._store.save_algo(ended, ENDED)
        self._clearing.touch(algo.symbol)
        self._clearing.say(algo_event(ended, ms, reason))


def _trigger(params: Params, kind: str, market: Market, seen: Decimal) -> tuple[str, str, str]:
    """(price, activation price, callback rate): a price, or for a trailing stop how far the market comes back."""
    if kind != "TRAILING_STOP_MARKET":
        return format(price_of(params, "triggerPrice", market.spec), "f"), "0.00", "0.0"
    callback = format(callback_rate(params), "f")
    name = "activatePrice" if params.get("activatePrice") else "activationPrice"
    if not params.get(name):
        return "0.00", "0.00", callback
    activation = price_of(params, name, market.spec)
    if activation <= seen if params["side"].upper() == "SELL" else activation >= seen:
        raise RefusedError(-4135)
    return "0.00", format(activation, "f"), callback
