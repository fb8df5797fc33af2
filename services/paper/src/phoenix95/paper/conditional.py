"""Conditional orders: accepted, waiting for their price, set off, ended."""

from decimal import Decimal
from typing import Any, Final

import msgspec

from phoenix95.common.money import ZERO
from phoenix95.paper.clearing import Clearing
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.orders import (
    ALGO_OPEN_MAX,
    CONDITIONAL,
    Algo,
    Order,
    Params,
    Wanted,
    check_notional,
    demand,
    flag,
    reducible,
    trigger_price_of,
    wanted,
)
from phoenix95.paper.core.user_events import algo_event
from phoenix95.paper.market import Market

ALGO_ID_FIRST: Final = 2_000_000_000
WORKING_TYPES: Final = ("CONTRACT_PRICE", "MARK_PRICE")
OPENS: Final = frozenset({("LONG", "BUY"), ("SHORT", "SELL")})


class ConditionalBook:
    """The open conditional orders of all symbols, by id."""

    def __init__(self, clearing: Clearing) -> None:
        self._clearing = clearing
        self._store = clearing.store
        self._open: dict[int, Algo] = {algo.algo_id: algo for algo in self._store.open_algos()}
        self._algo_id = max(self._store.last_ids()[1], ALGO_ID_FIRST)

    def __bool__(self) -> bool:
        return bool(self._open)

    def open(self, symbol: str | None = None) -> list[Algo]:
        """Open conditional orders, the oldest first."""
        return [algo for algo in self._open.values() if symbol in (None, algo.symbol)]

    def place(self, params: Params, market: Market, ms: int) -> Algo:
        """Accept a stop or target. Raises the exchange's refusal."""
        if params.get("algoType", "CONDITIONAL") != "CONDITIONAL":
            raise RefusedError(-1130, "algoType")
        kind = demand(params, "type").upper()
        if kind not in CONDITIONAL:
            raise RefusedError(-1116)
        working = params.get("workingType", "CONTRACT_PRICE")
        if working not in WORKING_TYPES:
            raise RefusedError(-1130, "workingType")
        algo_id = self._algo_id + 1
        account = self._clearing.account
        order = wanted(params, market.spec, account, client_id=f"algo_{algo_id}", id_name="clientAlgoId")
        self._check(order, kind)
        algo = Algo(
            algo_id=algo_id,
            client_algo_id=order.client_id,
            order_type=kind,
            symbol=order.symbol,
            side=order.side,
            position_side=order.position_side,
            time_in_force=params.get("timeInForce", "GTC"),
            quantity="0" if order.quantity is None else format(order.quantity, "f"),
            trigger_price=format(trigger_price_of(params, market.spec), "f"),
            working_type=working,
            close_position=order.quantity is None,
            price_protect=flag(params, "priceProtect"),
            reduce_only=order.reduce_only or order.quantity is None,
            create_time=ms,
            update_time=ms,
        )
        if algo.triggers_at(market.last_price() if working == "CONTRACT_PRICE" else market.mark()):
            raise RefusedError(-2021)
        if not algo.reduces and order.quantity is not None:
            check_notional(order, order.quantity, Decimal(algo.trigger_price), market.spec)
        self._algo_id = algo_id
        self._open[algo_id] = algo
        self._store.save_algo(algo, is_open=True)
        self._store.commit()
        self._clearing.tell(algo_event(algo, ms))
        return algo

    def cancel(self, algo: Algo, ms: int) -> None:
        """Raises -2011 when it is not open."""
        if algo.algo_id not in self._open:
            raise RefusedError(-2011)
        self._tell_ended(self._ended(self._open[algo.algo_id], "CANCELED", ms), ms)

    def look(self, symbol: str, working: str, price: Decimal, ms: int) -> None:
        """A price was seen: set off what waited for it."""
        for algo in self.open(symbol):
            if algo.working_type == working and algo.create_time <= ms and algo.triggers_at(price):
                self._set_off(algo, ms)

    def waits_for_mark(self) -> set[str]:
        """Symbols with orders that the mark price sets off."""
        return {algo.symbol for algo in self._open.values() if algo.working_type == "MARK_PRICE"}

    def _check(self, order: Wanted, kind: str) -> None:
        if len(self._open) >= ALGO_OPEN_MAX:
            raise RefusedError(-4045)
        if order.quantity is None and (order.position_side, order.side) in OPENS:
            raise RefusedError(-4136, kind, "true")
        for other in self._open.values():
            if other.client_algo_id == order.client_id:
                raise RefusedError(-4116)
            same = (other.symbol, other.side, other.position_side) == (order.symbol, order.side, order.position_side)
            if order.quantity is None and other.close_position and same and other.order_type == kind:
                raise RefusedError(-4130)

    def _set_off(self, algo: Algo, ms: int) -> None:
        """Turn a triggered order into a market order. A reducing one takes what is held at most."""
        order = Wanted(
            symbol=algo.symbol,
            side=algo.side,
            position_side=algo.position_side,
            quantity=None if algo.close_position else Decimal(algo.quantity),
            reduce_only=algo.reduce_only,
            client_id=algo.client_algo_id,
        )
        quantity, reason = self._fillable(order)
        if reason:
            status = "EXPIRED" if algo.close_position else "REJECTED"
            self._tell_ended(self._ended(algo, status, ms, trigger_time=ms), ms, reason)
            return
        triggered: Algo = msgspec.structs.replace(
            algo,
            algo_status="TRIGGERED",
            trigger_time=ms,
            update_time=ms,
            actual_order_id=str(self._clearing.next_order_id),
            actual_type="MARKET",
        )

        def finish(placed: Order) -> Algo:
            return self._ended(triggered, "FINISHED", ms, actual_price=placed.avg_price, actual_qty=placed.executed_qty)

        tell = self._clearing.tell
        tell(algo_event(msgspec.structs.replace(triggered, algo_status="TRIGGERING", actual_order_id=""), ms))
        tell(algo_event(triggered, ms))
        self._clearing.fill(order, quantity, ms, finish)
        if (finished := self._store.algo(algo.algo_id, None)) is not None:
            tell(algo_event(finished, ms))

    def _fillable(self, order: Wanted) -> tuple[Decimal, str]:
        """How much a triggered order fills, or why it is rejected."""
        price = self._clearing.markets[order.symbol].best(order.side)
        held = reducible(order, self._clearing.account)
        if held is not None:
            quantity = held if order.quantity is None else min(order.quantity, held)
            return quantity, "" if quantity and price else "Reduce Only reject"
        quantity = order.quantity or ZERO
        try:
            self._clearing.check_margin(order, quantity, price or ZERO)
        except RefusedError as refused:
            return quantity, refused.message
        return quantity, ""

    def _ended(self, algo: Algo, status: str, ms: int, **changes: Any) -> Algo:
        ended: Algo = msgspec.structs.replace(algo, algo_status=status, update_time=ms, **changes)
        del self._open[algo.algo_id]
        self._store.save_algo(ended, is_open=False)
        return ended

    def _tell_ended(self, algo: Algo, ms: int, reason: str = "") -> None:
        self._store.commit()
        self._clearing.tell(algo_event(algo, ms, reason))
