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
from phoenix95.paper.core.orders import (
    CONDITIONAL_ALL,
    Algo,
    Order,
    Params,
    Wanted,
    check_notional,
    demand,
    market_quantity,
    reducible,
    wanted,
)
from phoenix95.paper.core.specs import Spec, brackets_of
from phoenix95.paper.market import Market
from phoenix95.paper.store import Store

NOT_OF_MARKET_ORDERS = ("price", "timeInForce", "stopPrice", "closePosition")


class Exchange:
    """Markets, account and orders; `now_ms` is exchange time."""

    def __init__(self, specs: Mapping[str, Spec], store: Store, fresh: Account, now_ms: Callable[[], int]) -> None:
        self.markets = {symbol: Market(spec, store) for symbol, spec in specs.items()}
        self.store = store
        self.now_ms = now_ms
        self._clearing = Clearing(self.markets, store, fresh)
        self._book = ConditionalBook(self._clearing)

    @property
    def account(self) -> Account:
        return self._clearing.account

    def tell_to(self, tell: Tell) -> None:
        """Where the user stream's events go."""
        self._clearing.tell = tell

    def market(self, symbol: str) -> Market:
        """Raises -1121 for a symbol that is not traded here."""
        if symbol not in self.markets:
            raise RefusedError(-1121)
        return self.markets[symbol]

    def mark_of(self, symbol: str) -> Decimal:
        """A symbol's mark price; zero for one that is not traded here any more."""
        return self._clearing.mark_of(symbol)

    # ------------------------------------------------------------ the market moves

    def apply(self, emission: Emission, *, matching: bool = True) -> None:
        """Let one event become public. Trades set off conditional orders unless `matching` is off."""
        self.markets[emission.symbol].apply(emission)
        if matching and self._book and isinstance(emission.body, AggTrade):
            self._book.look(emission.symbol, "CONTRACT_PRICE", Decimal(emission.body.p), emission.body.T)

    def mark(self, ms: int) -> None:
        """Once a second: mark prices set off conditional orders and liquidations."""
        for symbol in self._book.waits_for_mark():
            if symbol in self.markets:
                self._book.look(symbol, "MARK_PRICE", self.mark_of(symbol), ms)
        for position in self._clearing.doomed():
            if position.symbol not in self.markets:
                continue
            closing = Wanted(
                symbol=position.symbol,
                side="SELL" if position.amount > 0 else "BUY",
                position_side=position.side,
                quantity=None,
                reduce_only=True,
                client_id=f"autoclose-{ms}-{position.side[0]}",
            )
            self._clearing.fill(closing, abs(position.amount), ms)

    # ------------------------------------------------------------ orders

    def place(self, params: Params) -> Order:
        """POST /fapi/v1/order: a market order, filled at once at the best price."""
        market = self._market(params)
        kind = demand(params, "type").upper()
        if kind in CONDITIONAL_ALL:
            raise RefusedError(-4120)
        if kind != "MARKET":
            raise RefusedError(-1116)
        for unwanted in NOT_OF_MARKET_ORDERS:
            if params.get(unwanted, "") not in ("", "false", "0"):
                raise RefusedError(-1106, unwanted)
        client_id = f"web_{self._clearing.next_order_id}"
        order = wanted(params, market.spec, self.account, client_id=client_id, id_name="newClientOrderId")
        quantity = market_quantity(order, self.account)
        price = market.best(order.side)
        if price is None:
            raise RefusedError(-4131)
        if reducible(order, self.account) is None:
            check_notional(order, quantity, price, market.spec)
        self._clearing.check_margin(order, quantity, price)
        return self._clearing.fill(order, quantity, self.now_ms())

    def place_algo(self, params: Params) -> Algo:
        """POST /fapi/v1/algoOrder: a stop or target that becomes a market order when its price is reached."""
        return self._book.place(params, self._market(params), self.now_ms())

    def cancel_algo(self, algo: Algo) -> None:
        """Raises -2011 when it is not open."""
        self._book.cancel(algo, self.now_ms())

    def open_algos(self, symbol: str | None = None) -> list[Algo]:
        """Open conditional orders, the oldest first."""
        return self._book.open(symbol)

    # ------------------------------------------------------------ settings

    def set_leverage(self, symbol: str, leverage: int) -> None:
        """Raises -4028 for one that the first bracket does not allow."""
        if not 1 <= leverage <= brackets_of(symbol)[0].leverage:
            raise RefusedError(-4028, leverage)
        self._set(symbol, Setting(leverage, self.account.setting(symbol).isolated))
        ms = self.now_ms()
        event = {"e": "ACCOUNT_CONFIG_UPDATE", "E": ms, "T": ms, "ac": {"s": symbol, "l": leverage}}
        self._clearing.tell(event)

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
        if self._book:
            raise RefusedError(-4067)
        if any(self.account.held()):
            raise RefusedError(-4068)
        self.account.hedge = hedge
        self.store.save_account(self.account)
        self.store.commit()

    def _market(self, params: Params) -> Market:
        return self.market(demand(params, "symbol").upper())

    def _set(self, symbol: str, setting: Setting) -> None:
        self.account.settings[symbol] = setting
        self.store.save_setting(symbol, setting)
        self.store.commit()
