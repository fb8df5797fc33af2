"""What an act does to orders, positions, wallet and store, and what the user stream is told of it.

An act notes its changes and events; `settle` writes them in one commit and only then tells.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from phoenix95.common.money import ZERO
from phoenix95.paper.core.account import Account
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.margin import bound_by_orders
from phoenix95.paper.core.matching import Level
from phoenix95.paper.core.orders import Order, Trade, Wanted
from phoenix95.paper.core.position import PositionSide, filled
from phoenix95.paper.core.specs import MAKER_FEE, TAKER_FEE, notional_max
from phoenix95.paper.core.user_events import Event, account_event, money, order_event, trade_lite_event
from phoenix95.paper.market import Market
from phoenix95.paper.records import Records
from phoenix95.paper.store import OPEN_STATES, Store

ORDER_ID_FIRST: Final = 8_000_000_000
FILL_ID_FIRST: Final = 600_000_000
AVERAGE_DIGITS: Final = 5
ASSET: Final = "USDT"

Tell = Callable[[Event], None]


class Clearing:
    """The account and its fills. `tell` gets the user stream's events, after they were committed.

    `opened` and `ended` are told of every order that begins and that is open no more, `changed` of the symbols
    an act touched, all before the commit.
    """

    def __init__(self, markets: Mapping[str, Market], store: Store, fresh: Account) -> None:
        self.markets = markets
        self.store = store
        self.records = Records(store)
        is_new = store.meta("wallet") is None
        self.account = store.load_account(fresh)
        if is_new and fresh.wallet:
            self.records.earn("TRANSFER", "", money(fresh.wallet), ASSET, fresh.updated_ms, info="the first balance")
        self.tell: Tell = lambda event: None
        self.opened: Callable[[Order, int], None] = lambda order, ms: None
        self.ended: Callable[[Order, int], None] = lambda order, ms: None
        self.changed: Callable[[set[str], int], None] = lambda symbols, ms: None
        self._order_id = max(store.last_id("orders"), ORDER_ID_FIRST)
        self._fill_id = max(store.last_id("fill"), FILL_ID_FIRST)
        self._events: list[Event] = []
        self._orders: dict[int, Order] = {}
        self._positions: dict[tuple[str, PositionSide], None] = {}
        self._touched: set[str] = set()

    @property
    def next_order_id(self) -> int:
        """The id that the next order gets."""
        return self._order_id + 1

    def mark_of(self, symbol: str) -> Decimal:
        """A symbol's mark price; zero for one that is not traded here any more."""
        market = self.markets.get(symbol)
        return market.mark() if market else ZERO

    def check_margin(self, order: Wanted, quantity: Decimal, price: Decimal) -> None:
        """Raises -2019 when what opens needs more than is available, -2027 above what the leverage allows."""
        position = self.account.position(order.symbol, order.position_side)
        held, change = position.amount, quantity if order.side == "BUY" else -quantity
        if held * change < 0 and quantity <= abs(held):
            return
        leverage = self.account.setting(order.symbol).leverage
        if abs(held + change) * price > notional_max(order.symbol, leverage):
            raise RefusedError(-2027)
        risk = self.account.risk(position, self.mark_of(order.symbol))
        more = quantity * price
        bids, asks = (risk.bids + more, risk.asks) if change > 0 else (risk.bids, risk.asks + more)
        needed = bound_by_orders(risk.notional, bids, asks, leverage) - risk.ordered + more * TAKER_FEE
        if needed > self.account.figures(self.mark_of).available:
            raise RefusedError(-2019)

    # ------------------------------------------------------------ one act

    def open(self, wanted: Wanted, quantity: Decimal, ms: int) -> Order:
        """An accepted order, not filled yet."""
        self._order_id += 1
        spec = self.markets[wanted.symbol].spec
        kind = "MARKET" if wanted.price is None else "LIMIT"
        order = Order(
            order_id=self._order_id,
            symbol=wanted.symbol,
            status="NEW",
            client_order_id=wanted.client_id,
            price="0" if wanted.price is None else f"{wanted.price:.{spec.price_digits}f}",
            orig_qty=f"{quantity:.{spec.quantity_digits}f}",
            time_in_force=wanted.time_in_force,
            type=kind,
            orig_type=kind,
            reduce_only=wanted.reduce_only,
            side=wanted.side,
            position_side=wanted.position_side,
            time=ms,
            update_time=ms,
        )
        self.note(order)
        self.opened(order, ms)
        self._events.append(order_event(order, "NEW", ms))
        return order

    def fill(
        self, order: Order, fills: Sequence[Level], ms: int, *, maker: bool = False, execution: str = "TRADE"
    ) -> Order:
        """One trade for each level: position, wallet and order move, each trade is told with the account after it."""
        for level in fills:
            order = self._fill_one(order, level, ms, maker=maker, execution=execution)
        return order

    def end(self, order: Order, status: str, ms: int) -> Order:
        """CANCELED or EXPIRED: what is not filled will not be."""
        ended: Order = msgspec.structs.replace(order, status=status, update_time=ms)
        self.note(ended)
        self._events.append(order_event(ended, status, ms))
        return ended

    def note(self, order: Order) -> None:
        """An order as it is now; it rests among the open ones until it ends."""
        self._orders[order.order_id] = order
        self._touched.add(order.symbol)
        if order.status in OPEN_STATES:
            self.account.orders[order.order_id] = order
        else:
            self.account.orders.pop(order.order_id, None)
            self.ended(order, order.update_time)

    def touch(self, symbol: str) -> None:
        """Something else of this symbol changed: its conditional orders."""
        self._touched.add(symbol)

    def pay(self, kind: str, symbol: str, amount: Decimal, ms: int, *, info: str = "", trade: str = "") -> None:
        """Change the wallet and write down why; nothing happens for nothing."""
        if amount:
            self.account.wallet += amount
            self.account.updated_ms = ms
            self.records.earn(kind, symbol, money(amount), ASSET, ms, info=info, trade=trade)

    def say(self, event: Event) -> None:
        """Tell an event once this act is committed."""
        self._events.append(event)

    def say_account(self, reason: str, ms: int, positions: Sequence[Any] = (), delta: Decimal = ZERO) -> None:
        """ACCOUNT_UPDATE as of now."""
        self._events.append(account_event(self.account, positions, self.mark_of, delta, reason, ms))

    def settle(self, ms: int) -> None:
        """Write, commit, tell."""
        if self._touched:
            self.changed(self._touched, ms)
        for order in self._orders.values():
            self.store.save_order(order)
        self.store.save_account(self.account, *(self.account.positions[key] for key in self._positions))
        self.store.commit()
        events, self._events = self._events, []
        self._orders, self._positions, self._touched = {}, {}, set()
        for event in events:
            self.tell(event)

    # ------------------------------------------------------------ one trade

    def _fill_one(self, order: Order, level: Level, ms: int, *, maker: bool, execution: str) -> Order:
        account, spec = self.account, self.markets[order.symbol].spec
        setting = account.setting(order.symbol)
        done = filled(
            account.position(order.symbol, order.position_side),
            order.side,
            level.quantity,
            level.price,
            leverage=setting.leverage,
            isolated=setting.isolated,
            ms=ms,
        )
        executed = Decimal(order.executed_qty) + level.quantity
        quote = Decimal(order.cum_quote) + level.quantity * level.price
        written = f"{executed:.{spec.quantity_digits}f}"
        after: Order = msgspec.structs.replace(
            order,
            status="FILLED" if executed >= Decimal(order.orig_qty) else "PARTIALLY_FILLED",
            avg_price=f"{quote / executed:.{max(spec.price_digits, AVERAGE_DIGITS)}f}",
            executed_qty=written,
            cum_qty=written,
            cum_quote=f"{quote:.8f}",
            update_time=ms,
        )
        self._fill_id += 1
        fee = level.quantity * level.price * (MAKER_FEE if maker else TAKER_FEE)
        trade = Trade(
            buyer=order.side == "BUY",
            commission=money(fee),
            commission_asset=spec.quote,
            id=self._fill_id,
            maker=maker,
            order_id=order.order_id,
            price=format(level.price, "f"),
            qty=f"{level.quantity:.{spec.quantity_digits}f}",
            quote_qty=f"{level.quantity * level.price:.8f}",
            realized_pnl=money(done.realized),
            side=order.side,
            position_side=order.position_side,
            symbol=order.symbol,
            time=ms,
        )
        account.positions[order.symbol, order.position_side] = done.position
        self._positions[order.symbol, order.position_side] = None
        self.pay("REALIZED_PNL", order.symbol, Decimal(trade.realized_pnl), ms, trade=str(trade.id))
        self.pay("COMMISSION", order.symbol, -Decimal(trade.commission), ms, trade=str(trade.id))
        self.store.save_fill(trade)
        self.note(after)
        self.say_account("ORDER", ms, [done.position])
        self._events.append(trade_lite_event(after, trade, ms))
        self._events.append(order_event(after, execution, ms, trade))
        return after

    def move(self, position: Any) -> None:
        """A position as it is now, changed by something other than a fill."""
        self.account.positions[position.symbol, position.side] = position
        self._positions[position.symbol, position.side] = None
        self._touched.add(position.symbol)
