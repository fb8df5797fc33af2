"""Fills: what they do to position, wallet and store, and what the user stream is told of them."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from phoenix95.common.money import ZERO
from phoenix95.paper.core.account import Account
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.orders import Algo, Order, Trade, Wanted
from phoenix95.paper.core.position import Position, filled
from phoenix95.paper.core.specs import TAKER_FEE, notional_max
from phoenix95.paper.core.user_events import Event, account_event, money, order_event
from phoenix95.paper.market import Market
from phoenix95.paper.store import Store

ORDER_ID_FIRST: Final = 8_000_000_000
FILL_ID_FIRST: Final = 600_000_000
AVERAGE_DIGITS: Final = 5

Tell = Callable[[Event], None]


class Clearing:
    """The account and its fills. `tell` gets the user stream's events, after they were committed."""

    def __init__(self, markets: Mapping[str, Market], store: Store, fresh: Account) -> None:
        self.markets = markets
        self.store = store
        self.account = store.load_account(fresh)
        self.tell: Tell = lambda event: None
        order_id, _, fill_id = store.last_ids()
        self._order_id = max(order_id, ORDER_ID_FIRST)
        self._fill_id = max(fill_id, FILL_ID_FIRST)

    @property
    def next_order_id(self) -> int:
        """The id that the next fill's order gets."""
        return self._order_id + 1

    def mark_of(self, symbol: str) -> Decimal:
        """A symbol's mark price; zero for one that is not traded here any more."""
        market = self.markets.get(symbol)
        return market.mark() if market else ZERO

    def check_margin(self, order: Wanted, quantity: Decimal, price: Decimal) -> None:
        """Raises -2019 when what opens needs more than is available, -2027 above what the leverage allows."""
        held = self.account.position(order.symbol, order.position_side).amount
        change = quantity if order.side == "BUY" else -quantity
        opening = quantity if held * change >= 0 else max(ZERO, quantity - abs(held))
        if not opening:
            return
        leverage = self.account.setting(order.symbol).leverage
        if abs(held + change) * price > notional_max(order.symbol, leverage):
            raise RefusedError(-2027)
        needed = opening * price / leverage + quantity * price * TAKER_FEE
        if needed > self.account.figures(self.mark_of).available:
            raise RefusedError(-2019)

    def fill(self, order: Wanted, quantity: Decimal, ms: int, finish: Callable[[Order], Algo] | None = None) -> Order:
        """Fill at the best price: position, wallet, order and fill in one commit, then the user stream.

        `finish` ends the conditional order that this one came from, within the same commit.
        """
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
        placed = self._placed(order, quantity, price, ms)
        trade = self._trade(placed, quantity * price, done.realized, format(price, "f"))
        account.wallet += done.realized - Decimal(trade.commission)
        account.updated_ms = ms
        account.positions[order.symbol, order.position_side] = done.position
        self.store.save_account(account, done.position)
        self.store.save_order(placed)
        self.store.save_fill(trade)
        if finish is not None:
            finish(placed)
        self.store.commit()
        self.tell(order_event(placed, "NEW", ms))
        self.tell(account_event(account, [done.position], self.mark_of, ZERO, "ORDER", ms))
        self.tell(order_event(placed, "TRADE", ms, trade))
        return placed

    def doomed(self) -> list[Position]:
        """Positions whose margin no longer covers their maintenance: isolated by itself, crossed all together."""
        account, doomed = self.account, list[Position]()
        crossed, maintenance = list[Position](), ZERO
        for position in account.held():
            risk = account.risk(position, self.mark_of(position.symbol))
            if not account.setting(position.symbol).isolated:
                crossed.append(position)
                maintenance += risk.maintenance
            elif position.isolated + risk.profit <= risk.maintenance:
                doomed.append(position)
        if crossed:
            figures = account.figures(self.mark_of)
            if figures.cross_wallet + figures.cross_profit <= maintenance:
                doomed += crossed
        return doomed

    def _placed(self, order: Wanted, quantity: Decimal, price: Decimal, ms: int) -> Order:
        self._order_id += 1
        spec = self.markets[order.symbol].spec
        written = f"{quantity:.{spec.quantity_digits}f}"
        return Order(
            order_id=self._order_id,
            symbol=order.symbol,
            status="FILLED",
            client_order_id=order.client_id,
            avg_price=f"{price:.{max(spec.price_digits, AVERAGE_DIGITS)}f}",
            orig_qty=written,
            executed_qty=written,
            cum_qty=written,
            cum_quote=f"{quantity * price:.8f}",
            reduce_only=order.reduce_only,
            side=order.side,
            position_side=order.position_side,
            time=ms,
            update_time=ms,
        )

    def _trade(self, order: Order, notional: Decimal, realized: Decimal, price: str) -> Trade:
        self._fill_id += 1
        return Trade(
            buyer=order.side == "BUY",
            commission=money(notional * TAKER_FEE),
            commission_asset=self.markets[order.symbol].spec.quote,
            id=self._fill_id,
            order_id=order.order_id,
            price=price,
            qty=order.executed_qty,
            quote_qty=order.cum_quote,
            realized_pnl=money(realized),
            side=order.side,
            position_side=order.position_side,
            symbol=order.symbol,
            time=order.time,
        )
