"""The exchange itself: markets that move, one account, orders that fill and conditional orders that trigger.

Every change is committed to the store before it is answered or told on the user stream.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

from phoenix95.paper.clearing import Clearing, Tell
from phoenix95.paper.conditional import ConditionalBook
from phoenix95.paper.core.account import Account, Setting
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.emission import Emission
from phoenix95.paper.core.frames import AggTrade
from phoenix95.paper.core.orders import Algo, Order
from phoenix95.paper.core.requests import Params, demand
from phoenix95.paper.core.specs import Spec, brackets_of, notional_max
from phoenix95.paper.cover import Cover
from phoenix95.paper.keeper import Keeper
from phoenix95.paper.market import Market
from phoenix95.paper.records import Records
from phoenix95.paper.resting import OrderBook
from phoenix95.paper.store import Store


class Exchange:
    """Markets, account and orders; `now_ms` is exchange time."""

    def __init__(self, specs: Mapping[str, Spec], store: Store, fresh: Account, now_ms: Callable[[], int]) -> None:
        self.markets = {symbol: Market(spec, store) for symbol, spec in specs.items()}
        self.store = store
        self.now_ms = now_ms
        self._clearing = Clearing(self.markets, store, fresh)
        self.orders = OrderBook(self._clearing)
        self.book = ConditionalBook(self._clearing, self.orders)
        self.keeper = Keeper(self._clearing, self.orders)
        Cover(self._clearing, self.book)
        store.commit()

    @property
    def account(self) -> Account:
        return self._clearing.account

    @property
    def records(self) -> Records:
        return self._clearing.records

    def tell_to(self, tell: Tell) -> None:
        """Where the user stream's events go."""
        self._clearing.tell = tell

    def market(self, symbol: str) -> Market:
        """Raises -1121 for a symbol that is not traded here."""
        if symbol not in self.markets:
            raise RefusedError(-1121)
        return self.markets[symbol]

    def market_of(self, params: Params) -> Market:
        """Of a request's `symbol`. Raises -1102 without one."""
        return self.market(demand(params, "symbol").upper())

    def mark_of(self, symbol: str) -> Decimal:
        """A symbol's mark price; zero for one that is not traded here any more."""
        return self._clearing.mark_of(symbol)

    # ------------------------------------------------------------ the market moves

    def apply(self, emission: Emission, *, matching: bool = True) -> None:
        """Let one event become public. It fills and sets off orders unless `matching` is off."""
        market, body = self.markets[emission.symbol], emission.body
        market.apply(emission)
        if not matching:
            return
        if isinstance(body, AggTrade):
            if self.account.orders:
                self.orders.met_by_trade(emission.symbol, body)
            if self.book:
                self.book.look(emission.symbol, "CONTRACT_PRICE", Decimal(body.p), body.T)
        elif self.account.orders:
            self.orders.met_by_book(emission.symbol, body, market)

    def mark(self, ms: int) -> None:
        """Once a second: mark prices set off conditional orders, and the keeper looks at the account."""
        for symbol in self.book.waits_for_mark():
            if symbol in self.markets:
                self.book.look(symbol, "MARK_PRICE", self.mark_of(symbol), ms)
        self.keeper.look(ms)

    # ------------------------------------------------------------ orders

    def place(self, params: Params) -> Order:
        """POST /fapi/v1/order."""
        return self.orders.place(params, self.market_of(params), self.now_ms())

    def amend(self, order: Order, params: Params) -> Order:
        """PUT /fapi/v1/order."""
        return self.orders.amend(order, params, self.market_of(params), self.now_ms())

    def cancel(self, order: Order) -> Order:
        """Raises -2011 when it is not open."""
        return self.orders.cancel(order, self.now_ms())

    def place_algo(self, params: Params) -> Algo:
        """POST /fapi/v1/algoOrder."""
        return self.book.place(params, self.market_of(params), self.now_ms())

    def cancel_algo(self, algo: Algo) -> None:
        """Raises -2011 when it is not open."""
        self.book.cancel(algo, self.now_ms())

    def vanish(self, algo_id: int) -> None:
        """Lose a conditional order without a word: a fault."""
        self.book.vanish(algo_id, self.now_ms())

    def open_algos(self, symbol: str | None = None) -> list[Algo]:
        """Open conditional orders, the oldest first."""
        return self.book.open(symbol)

    def charge_funding(self) -> None:
        """Charge funding now, beside the times at which it is due."""
        ms = self.now_ms()
        self.keeper.fund(ms, ms)
        self._clearing.settle(ms)

    # ------------------------------------------------------------ settings

    def set_leverage(self, symbol: str, leverage: int) -> None:
        """Raises -4028 for one that no bracket allows, -2027, -2028 and -4161 when what is held stands against it."""
        if not 1 <= leverage <= brackets_of(symbol)[0].leverage:
            raise RefusedError(-4028, leverage)
        before = self.account.setting(symbol)
        held = list(self.account.held(symbol))
        if held and before.isolated and leverage < before.leverage:
            raise RefusedError(-4161)
        for position in held:
            if abs(position.amount) * self.mark_of(symbol) > notional_max(symbol, leverage):
                raise RefusedError(-2027)
        self.account.settings[symbol] = after = Setting(leverage, before.isolated)
        figures = self.account.figures(self.mark_of)
        if held and leverage < before.leverage and not figures.available:
            self.account.settings[symbol] = before
            raise RefusedError(-2028)
        self._set(symbol, after)
        ms = self.now_ms()
        event = {"e": "ACCOUNT_CONFIG_UPDATE", "E": ms, "T": ms, "ac": {"s": symbol, "l": leverage}}
        self._clearing.tell(event)

    def set_isolated(self, symbol: str, isolated: bool) -> None:
        """Raises -4046 when it is so already, -4047 and -4048 while orders or a position are open."""
        setting = self.account.setting(symbol)
        if setting.isolated == isolated:
            raise RefusedError(-4046)
        if self.open_algos(symbol) or self.account.resting(symbol):
            raise RefusedError(-4047)
        if any(self.account.held(symbol)):
            raise RefusedError(-4048)
        self._set(symbol, Setting(setting.leverage, isolated))

    def set_hedge(self, hedge: bool) -> None:
        """Raises -4059 when it is so already, -4067 and -4068 while orders or positions are open."""
        if self.account.hedge == hedge:
            raise RefusedError(-4059)
        if self.book or self.account.orders:
            raise RefusedError(-4067)
        if any(self.account.held()):
            raise RefusedError(-4068)
        self.account.hedge = hedge
        self.store.save_account(self.account)
        self.store.commit()

    def _set(self, symbol: str, setting: Setting) -> None:
        self.account.settings[symbol] = setting
        self.store.save_setting(symbol, setting)
        self.store.commit()
