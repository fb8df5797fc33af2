"""The exchange itself: markets that move, one account, orders that fill and conditional orders that trigger.

Every change is committed to the store before it is answered or told on the user stream.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from phoenix95.common.money import ZERO
from phoenix95.paper.core.account import Account, Setting
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.emission import Emission
from phoenix95.paper.core.frames import AggTrade
from phoenix95.paper.core.orders import (
    ALGO_OPEN_MAX,
    CONDITIONAL,
    CONDITIONAL_ALL,
    Algo,
    Order,
    Params,
    Trade,
    Wanted,
    check_notional,
    demand,
    flag,
    market_quantity,
    reducible,
    trigger_price_of,
    wanted,
)
from phoenix95.paper.core.position import Position, PositionSide, Side, filled
from phoenix95.paper.core.specs import TAKER_FEE, Spec, brackets_of
from phoenix95.paper.core.user_events import Event, account_event, algo_event, money, order_event
from phoenix95.paper.market import Market
from phoenix95.paper.store import Store

ORDER_ID_FIRST: Final = 8_000_000_000
ALGO_ID_FIRST: Final = 2_000_000_000
FILL_ID_FIRST: Final = 600_000_000
TELL_ALWAYS: Final = ("CONTRACT_PRICE", "MARK_PRICE")

Tell = Callable[[Event], None]


class Exchange:
    """Markets, account and orders. `tell` gets the user stream's events, `now_ms` is exchange time."""

    def __init__(self, specs: Mapping[str, Spec], store: Store, fresh: Account, now_ms: Callable[[], int]) -> None:
        self.markets = {symbol: Market(spec, store) for symbol, spec in specs.items()}
        self.store = store
        self.account = store.load_account(fresh)
        self.now_ms = now_ms
        self.tell: Tell = lambda event: None
        self._algos: dict[int, Algo] = {algo.algo_id: algo for algo in store.open_algos()}
        order_id, algo_id, fill_id = store.last_ids()
        self._order_id = max(order_id, ORDER_ID_FIRST)
        self._algo_id = max(algo_id, ALGO_ID_FIRST)
        self._fill_id = max(fill_id, FILL_ID_FIRST)

    # ------------------------------------------------------------ the market moves

    def apply(self, emission: Emission, *, matching: bool = True) -> None:
        """Let one event become public. Trades set off conditional orders unless `matching` is off."""
        market = self.markets[emission.symbol]
        market.apply(emission)
        if matching and self._algos and isinstance(emission.body, AggTrade):
            self._trigger(emission.symbol, "CONTRACT_PRICE", Decimal(emission.body.p), emission.body.T)

    def mark(self, ms: int) -> None:
        """Once a second: mark prices set off conditional orders and liquidations."""
        for symbol in {algo.symbol for algo in self._algos.values() if algo.working_type == "MARK_PRICE"}:
            self._trigger(symbol, "MARK_PRICE", self.markets[symbol].mark(), ms)
        for position in self._doomed():
            side: Side = "SELL" if position.amount > 0 else "BUY"
            client_id = f"autoclose-{ms}{position.side[0]}"
            self._fill(
                Wanted(
                    symbol=position.symbol,
                    side=side,
                    position_side=position.side,
                    quantity=None,
                    reduce_only=True,
                    client_id=client_id,
                ),
                abs(position.amount),
                ms,
            )

    def mark_of(self, symbol: str) -> Decimal:
        """A symbol's mark price; zero for one that is not traded here any more."""
        market = self.markets.get(symbol)
        return market.mark() if market else ZERO

    # ------------------------------------------------------------ orders

    def place(self, params: Params) -> Order:
        """POST /fapi/v1/order: a market order, filled at once at the best price."""
        market = self._market(params)
        kind = demand(params, "type").upper()
        if kind in CONDITIONAL_ALL:
            raise RefusedError(-4120)
        if kind != "MARKET":
            raise RefusedError(-1116)
        for unwanted in ("price", "timeInForce", "stopPrice", "closePosition"):
            if params.get(unwanted, "false") not in ("", "false", "0"):
                raise RefusedError(-1106, unwanted)
        order_id = self._order_id + 1
        order = wanted(params, market.spec, self.account, client_id=f"web_{order_id}", id_name="newClientOrderId")
        quantity = market_quantity(order, self.account)
        price = market.best(order.side)
        if price is None:
            raise RefusedError(-4131)
        if reducible(order, self.account) is None:
            check_notional(order, quantity, price, market.spec)
        self._check_margin(order, quantity, price)
        return self._fill(order, quantity, self.now_ms())

    def place_algo(self, params: Params) -> Algo:
        """POST /fapi/v1/algoOrder: a stop or target that becomes a market order when its price is reached."""
        market = self._market(params)
        if params.get("algoType", "CONDITIONAL") != "CONDITIONAL":
            raise RefusedError(-1130, "algoType")
        kind = demand(params, "type").upper()
        if kind not in CONDITIONAL:
            raise RefusedError(-1116)
        working = params.get("workingType", "CONTRACT_PRICE")
        if working not in TELL_ALWAYS:
            raise RefusedError(-1130, "workingType")
        algo_id = self._algo_id + 1
        order = wanted(params, market.spec, self.account, client_id=f"algo_{algo_id}", id_name="clientAlgoId")
        self._check_algo(order)
        ms = self.now_ms()
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
        self._algos[algo_id] = algo
        self.store.save_algo(algo, is_open=True)
        self.store.commit()
        self.tell(algo_event(algo, ms))
        return algo

    def cancel_algo(self, algo: Algo) -> None:
        """Cancel an open conditional order. Raises -2011 when it is not open."""
        if algo.algo_id not in self._algos:
            raise RefusedError(-2011)
        ms = self.now_ms()
        ended = self._ended(self._algos[algo.algo_id], "CANCELED", ms)
        self.store.commit()
        self.tell(algo_event(ended, ms))

    def open_algos(self, symbol: str | None = None) -> list[Algo]:
        """Open conditional orders, the oldest first."""
        return [algo for algo in self._algos.values() if symbol in (None, algo.symbol)]

    # ------------------------------------------------------------ settings

    def set_leverage(self, symbol: str, leverage: int) -> None:
        """Raises -4028 for one that the first bracket does not allow."""
        if not 1 <= leverage <= brackets_of(symbol)[0].leverage:
            raise RefusedError(-4028, leverage)
        setting = Setting(leverage, self.account.setting(symbol).isolated)
        self._set(symbol, setting)
        self.tell(
            {"e": "ACCOUNT_CONFIG_UPDATE", "E": self.now_ms(), "T": self.now_ms(), "ac": {"s": symbol, "l": leverage}}
        )

    def set_isolated(self, symbol: str, isolated: bool) -> None:
        """Raises -4046 when it is so already, -4047 and -4048 while orders or a position are open."""
        setting = self.account.setting(symbol)
        if setting.isolated == isolated:
            raise RefusedError(-4046)
        if self.open_algos(symbol):
            raise RefusedError(-4047)
        if any(self.account.held(symbol)):
            raise RefusedError(-4048)
        self._set(symbol, Setting(setting.leverage, isolated))

    def set_hedge(self, hedge: bool) -> None:
        """Raises -4059 when it is so already, -4067 and -4068 while orders or positions are open."""
        if self.account.hedge == hedge:
            raise RefusedError(-4059)
        if self._algos:
            raise RefusedError(-4067)
        if any(self.account.held()):
            raise RefusedError(-4068)
        self.account.hedge = hedge
        self.store.save_account(self.account)
        self.store.commit()

    def market(self, symbol: str) -> Market:
        """Raises -1121 for a symbol that is not traded here."""
        if symbol not in self.markets:
            raise RefusedError(-1121)
        return self.markets[symbol]

    # ------------------------------------------------------------ inside

    def _market(self, params: Params) -> Market:
        return self.market(demand(params, "symbol").upper())

    def _set(self, symbol: str, setting: Setting) -> None:
        self.account.settings[symbol] = setting
        self.store.save_setting(symbol, setting)
        self.store.commit()

    def _check_algo(self, order: Wanted) -> None:
        if len(self._algos) >= ALGO_OPEN_MAX:
            raise RefusedError(-4045)
        for other in self._algos.values():
            if other.client_algo_id == order.client_id:
                raise RefusedError(-4116)
            if order.quantity is not None or not other.close_position or other.symbol != order.symbol:
                continue
            if (other.side, other.position_side) == (order.side, order.position_side):
                raise RefusedError(-4130)
        if order.quantity is None and reducible(order, self.account) == 0 and order.position_side != "BOTH":
            opening = (order.position_side, order.side) in {("LONG", "BUY"), ("SHORT", "SELL")}
            if opening:
                raise RefusedError(-4136, "STOP_MARKET", "true")

    def _check_margin(self, order: Wanted, quantity: Decimal, price: Decimal) -> None:
        """Raises -2019 when the part that opens needs more margin and fees than is available."""
        held = self.account.position(order.symbol, order.position_side).amount
        change = quantity if order.side == "BUY" else -quantity
        opening = abs(held + change) - abs(held) if held * change >= 0 else max(ZERO, quantity - abs(held))
        if opening <= 0:
            return
        needed = opening * price / self.account.setting(order.symbol).leverage + quantity * price * TAKER_FEE
        if needed > self.account.figures(self.mark_of).available:
            raise RefusedError(-2019)

    def _trigger(self, symbol: str, working: str, price: Decimal, ms: int) -> None:
        for algo in self.open_algos(symbol):
            if algo.working_type == working and algo.create_time <= ms and algo.triggers_at(price):
                self._set_off(algo, ms)

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
        held = reducible(order, self.account)
        quantity = held if order.quantity is None else min(order.quantity, held if held is not None else order.quantity)
        price = self.markets[algo.symbol].best(algo.side)
        reason = "" if quantity and price else "Reduce Only reject"
        if not reason and held is None:
            try:
                self._check_margin(order, quantity or ZERO, price or ZERO)
            except RefusedError as refused:
                reason = refused.message
        if reason:
            ended = self._ended(algo, "EXPIRED" if algo.close_position else "REJECTED", ms, trigger_time=ms)
            self.store.commit()
            self.tell(algo_event(ended, ms, reason))
            return
        placed = self._order_id + 1
        triggered = msgspec.structs.replace(
            algo,
            algo_status="TRIGGERED",
            trigger_time=ms,
            update_time=ms,
            actual_order_id=str(placed),
            actual_type="MARKET",
        )
        self.tell(algo_event(msgspec.structs.replace(triggered, algo_status="TRIGGERING", actual_order_id=""), ms))
        self.tell(algo_event(triggered, ms))
        self._algos[algo.algo_id] = triggered
        self._fill(order, quantity or ZERO, ms, algo=triggered)

    def _fill(self, order: Wanted, quantity: Decimal, ms: int, *, algo: Algo | None = None) -> Order:
        """Fill at the best price: position, wallet, order and fill in one commit, then the user stream."""
        market, account = self.markets[order.symbol], self.account
        price = market.best(order.side) or market.last_price()
        setting = account.setting(order.symbol)
        done = filled(
            account.position(order.symbol, order.position_side),
            order.side,
            quantity,
            price,
            leverage=setting.leverage,
            isolated=setting.isolated,
            ms=ms,
        )
        fee = quantity * price * TAKER_FEE
        self._order_id += 1
        self._fill_id += 1
        digits = market.spec.quantity_digits
        placed = Order(
            order_id=self._order_id,
            symbol=order.symbol,
            status="FILLED",
            client_order_id=order.client_id,
            avg_price=f"{price:.{max(market.spec.price_digits, 5)}f}",
            orig_qty=f"{quantity:.{digits}f}",
            executed_qty=f"{quantity:.{digits}f}",
            cum_qty=f"{quantity:.{digits}f}",
            cum_quote=f"{quantity * price:.8f}",
            reduce_only=order.reduce_only,
            side=order.side,
            position_side=order.position_side,
            time=ms,
            update_time=ms,
        )
        fill = Trade(
            buyer=order.side == "BUY",
            commission=money(fee),
            commission_asset=market.spec.quote,
            id=self._fill_id,
            order_id=placed.order_id,
            price=format(price, "f"),
            qty=placed.executed_qty,
            quote_qty=placed.cum_quote,
            realized_pnl=money(done.realized),
            side=order.side,
            position_side=order.position_side,
            symbol=order.symbol,
            time=ms,
        )
        account.wallet += done.realized - Decimal(fill.commission)
        account.updated_ms = ms
        account.positions[order.symbol, order.position_side] = done.position
        self.store.save_account(account, done.position)
        self.store.save_order(placed)
        self.store.save_fill(fill)
        finished = self._finished(algo, placed, ms) if algo else None
        self.store.commit()
        self.tell(order_event(placed, "NEW", ms))
        self.tell(account_event(account, [done.position], self._marks(), ZERO, "ORDER", ms))
        self.tell(order_event(placed, "TRADE", ms, fill))
        if finished is not None:
            self.tell(algo_event(finished, ms))
        return placed

    def _marks(self) -> dict[str, Decimal]:
        return {position.symbol: self.mark_of(position.symbol) for position in self.account.positions.values()}

    def _finished(self, algo: Algo, order: Order, ms: int) -> Algo:
        return self._ended(algo, "FINISHED", ms, actual_price=order.avg_price, actual_qty=order.executed_qty)

    def _ended(self, algo: Algo, status: str, ms: int, **changes: Any) -> Algo:
        ended: Algo = msgspec.structs.replace(algo, algo_status=status, update_time=ms, **changes)
        del self._algos[algo.algo_id]
        self.store.save_algo(ended, is_open=False)
        return ended

    def _doomed(self) -> list[Position]:
        """Positions whose margin no longer covers their maintenance: isolated by itself, crossed all together."""
        account, doomed = self.account, list[Position]()
        crossed, maintenance = list[Position](), ZERO
        for position in account.held():
            risk = account.risk(position, self.mark_of(position.symbol))
            if account.setting(position.symbol).isolated:
                if position.isolated + risk.profit <= risk.maintenance:
                    doomed.append(position)
            else:
                crossed.append(position)
                maintenance += risk.maintenance
        figures = account.figures(self.mark_of)
        if crossed and figures.cross_wallet + figures.cross_profit <= maintenance:
            doomed += crossed
        return doomed


__all__ = ["Exchange", "PositionSide"]
