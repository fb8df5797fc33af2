"""The exchange in memory: one symbol, orders as the scenario fills them, conditional orders that trigger.

It takes a request while the timestamp that was stored with it is young enough, carries a late one out all the same
once it took it, and knows two orders of one client id as two orders, as the real one does once the first is filled.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from phoenix95.common.errors import OutcomeUnknown, TransientError, VenueRejected
from phoenix95.executor.core.group import Fill
from phoenix95.executor.core.intents import Intent, Role
from phoenix95.executor.core.observe import ConditionalReport, Report
from phoenix95.executor.core.plan import stored_with_entry
from phoenix95.executor.core.sizing import Bracket, Rules
from phoenix95.executor.ports import VenueAccount, VenuePosition
from tests.explorer.scenarios import Scenario
from tests.explorer.world import Due, Exchange, World, replace

D = Decimal
SYMBOL: Final = "BTCUSDT"
RULES: Final = Rules(
    symbol=SYMBOL, trading=True, price_tick=D("0.1"), quantity_step=D("0.001"), quantity_min=D("0.001"),
    quantity_max=D(120), notional_min=D(5),
)  # fmt: skip
PRICES: Final = {None: D(1_000), "stop": D(990), "target": D(1_020), "near": D(1_010)}
FEE: Final = D("0.01")  # of each fill, in USDT


class MemoryVenue:
    """See `ports.Venue`. Each request is one effect. `watched` False: a request that breaks the protocol is taken all
    the same, to see what comes of it."""

    watched = True

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario

    @property
    def truth(self) -> Exchange:
        return self.world.state.exchange

    def put(self, **changes: Any) -> None:
        """Change the exchange's truth, and keep account of how long a position is without a stop."""
        world, now_ms = self.world, self.world.state.now_ms
        truth = replace(self.truth, **changes)
        if truth.position > self.covered(truth):
            if truth.naked_ms is None:
                truth = replace(truth, naked_ms=now_ms)
        elif truth.naked_ms is not None:
            world.worst_ms = max(world.worst_ms, now_ms - truth.naked_ms)
            truth = replace(truth, naked_ms=None)
        world.put(exchange=truth)

    @staticmethod
    def covered(truth: Exchange) -> Decimal:
        """How much of the position open stops would close."""
        return sum(
            (algo.quantity for algo in truth.algos.values() if algo.state == "OPEN" and algo.client_id[3] == "s"), D(0)
        )

    # ------------------------------------------------------------------ what the exchange does by itself

    def happens(self, due: Due) -> None:
        """Something that was due has come. A late request that the exchange refuses by now leaves no trace."""
        if due.intent is not None:
            try:
                if due.what == "cancel":
                    self._cancel(due.intent.client_id)
                elif due.intent.conditional:
                    self._accept_conditional(due.intent)
                else:
                    self._accept(due.intent)
            except (VenueRejected, OutcomeUnknown):
                return
        elif due.what in ("stop", "target", "near"):
            if self.truth.crossed in (None, "near"):
                self.put(crossed=due.what)
                self.trigger(due.what)
        elif due.what == "rest":
            self._fill_rest()
        else:
            self.scenario.happens(self.world, due.what)

    def schedule(self, after_ms: int, what: str) -> None:
        self.world.put(due=(*self.world.state.due, Due(self.world.state.now_ms + after_ms, what)))

    def trigger(self, role: str) -> None:
        """The price went through a trigger: every open order of that role becomes a market order."""
        for client_id, algo in list(self.truth.algos.items()):
            if algo.state != "OPEN" or not self._hit(client_id, role):
                continue
            quantity = min(algo.quantity, self.truth.position)
            if quantity == 0:
                self._put_algo(replace(algo, state="REJECTED"))
                continue
            order = self.fill(self.scenario.closing, self.scenario.take(role, quantity), f"made-{client_id}", quantity)
            self._put_algo(replace(algo, state="TRIGGERED", order=order))

    def _hit(self, client_id: str, crossed: str) -> bool:
        """Whether an order's trigger is where the price went through: `near` is the nearest of several targets."""
        group = self.world.state.ledger.group
        row = next((one for one in group.intents if one.client_id == client_id), None) if group else None
        if crossed == "near":
            return row is not None and (row.role, row.slot) == ("target", 0)
        return client_id[3] == crossed[0]

    def fill(self, side: Any, filled: Decimal, client_id: str, asked: Decimal, *, stays: bool = False) -> Report:
        """An order of `asked` is filled by `filled`; the rest expires, or is filled later when it `stays`."""
        truth = self.truth
        number = len(truth.trades) + 1
        order_id = str(number)
        opening = side != self.scenario.closing
        if filled:
            trade = Fill(
                trade_id=number, order_id=order_id, symbol=SYMBOL, side=side,
                position_side=self.scenario.position_side, price=PRICES[truth.crossed], quantity=filled, fee=FEE,
                fee_asset="USDT", realized_pnl=D(0), time_ms=self.world.state.now_ms,
            )  # fmt: skip
            self.put(
                trades=(*truth.trades, trade), position=truth.position + (filled if opening else -filled),
            )  # fmt: skip
        state: Any = "FILLED" if filled == asked else "PARTIAL" if stays else "EXPIRED"
        price = PRICES[truth.crossed] if filled else None
        return Report(order_id=order_id, client_id=client_id, state=state, filled=filled, average_price=price)

    def _fill_rest(self) -> None:
        for client_id, order in list(self.truth.orders.items()):
            if order.state == "PARTIAL":
                rest = self.fill(self.scenario.opening, order.filled, client_id, order.filled)
                trade = replace(self.truth.trades[-1], order_id=order.order_id)
                whole = replace(order, state="FILLED", filled=order.filled + rest.filled)
                self.put(
                    trades=(*self.truth.trades[:-1], trade), orders={**self.truth.orders, client_id: whole}
                )  # fmt: skip

    # ------------------------------------------------------------------ what it is asked to do

    def deadline_ms(self, intent: Intent) -> int:
        """Until when the request may be taken: from the timestamp that it carries."""
        assert intent.deadline_ms is not None
        return intent.deadline_ms

    def receive(self, intent: Intent) -> None:
        """The checks at the door. Raises VenueRejected for a timestamp that is too old."""
        world = self.world
        now_ms = world.state.now_ms
        if now_ms > self.deadline_ms(intent):
            raise VenueRejected(-1021, "outside of the recvWindow")
        if not self.watched:
            return
        group = world.state.ledger.group
        row = next((one for one in group.intents if one.client_id == intent.client_id), None) if group else None
        if row is None or (row.deadline_ms is None and not stored_with_entry(row)):
            world.blame(f"a request of {intent.role} left before its intent was stored")
        elif row.deadline_ms is not None and now_ms > row.deadline_ms:
            world.blame(f"a request of {intent.role} was taken {now_ms - row.deadline_ms} ms after its deadline")

    def _accept(self, intent: Intent) -> Report:
        truth = self.truth
        entry = intent.side == self.scenario.opening
        if not entry and intent.quantity > truth.position:
            raise VenueRejected(-2022, "ReduceOnly Order is rejected")
        if intent.client_id in truth.orders and truth.orders[intent.client_id].state == "PARTIAL":
            raise OutcomeUnknown("-4116: clientOrderId is duplicated")
        filled = self.scenario.take(intent.role, intent.quantity)
        stays = entry and self.scenario.rest_ms is not None
        if entry:
            if truth.entries:
                self.world.blame("a second entry was executed")
            self.put(entries=truth.entries + 1)
        report = self.fill(intent.side, filled, intent.client_id, intent.quantity, stays=stays)
        self.put(orders={**self.truth.orders, intent.client_id: report}, sent=(*self.truth.sent, intent.client_id))
        if entry:
            for after_ms, what in self.scenario.turns:
                self.schedule(after_ms, what)
            if self.scenario.rest_ms is not None:
                self.schedule(self.scenario.rest_ms, "rest")
        return report

    def _accept_conditional(self, intent: Intent) -> ConditionalReport:
        truth = self.truth
        if intent.client_id in truth.algos:
            raise OutcomeUnknown("-4116: clientAlgoId is duplicated")
        if truth.crossed is not None and self._hit(intent.client_id, truth.crossed):
            raise VenueRejected(-2021, "Order would immediately trigger.")
        algo = ConditionalReport(
            venue_id=f"algo-{intent.client_id}", client_id=intent.client_id, symbol=intent.symbol, state="OPEN",
            quantity=intent.quantity,
        )  # fmt: skip
        self.put(algos={**truth.algos, intent.client_id: algo}, sent=(*truth.sent, intent.client_id))
        if self.scenario.at_once == intent.role and truth.crossed is None:
            self.put(crossed=intent.role)
            self.trigger(intent.role)
        return algo

    def _put_algo(self, algo: ConditionalReport) -> None:
        self.put(algos={**self.truth.algos, algo.client_id: algo})

    def _cancel(self, client_id: str) -> bool:
        algo = self.truth.algos.get(client_id)
        if algo is None or algo.state != "OPEN":
            return False
        self._put_algo(replace(algo, state="CANCELED"))
        return True

    # ------------------------------------------------------------------ the port

    async def prepare(self, symbol: str, leverage: int) -> None:
        await self.world.effect("venue.prepare", "set", lambda: None)

    async def send(self, intent: Intent, accept: Callable[[Intent], Any]) -> Any:
        """One request that carries an order. A late one is checked at the door and carried out behind it."""

        def apply() -> Any:
            self.receive(intent)
            return accept(intent)

        kind = "send_conditional" if intent.conditional else "send_entry" if intent.role == "entry" else "send_exit"
        return await self.world.effect(f"venue.place:{intent.role}", kind, apply, intent, lambda: self.receive(intent))

    async def place(self, intent: Intent) -> Report:
        return await self.send(intent, self._accept)  # type: ignore[no-any-return]

    async def place_conditional(self, intent: Intent) -> ConditionalReport:
        return await self.send(intent, self._accept_conditional)  # type: ignore[no-any-return]

    async def cancel_conditional(self, symbol: str, client_id: str) -> bool:
        group = self.world.state.ledger.group
        assert group is not None
        try:
            return await self.world.effect(  # type: ignore[no-any-return]
                "venue.cancel", "cancel", lambda: self._cancel(client_id), group.intent(client_id)
            )
        except OutcomeUnknown as unknown:
            raise TransientError("cancelling has an unknown outcome") from unknown

    async def order(self, symbol: str, client_id: str) -> Report | None:
        return await self.world.effect("venue.order", "ask", lambda: self.truth.orders.get(client_id))  # type: ignore[no-any-return]

    async def order_by_id(self, symbol: str, order_id: str) -> Report | None:
        def found() -> Report | None:
            orders = [*self.truth.orders.values(), *(one.order for one in self.truth.algos.values() if one.order)]
            return next((one for one in orders if one.order_id == order_id), None)

        return await self.world.effect("venue.order_by_id", "ask", found)  # type: ignore[no-any-return]

    async def conditional(self, symbol: str, client_id: str) -> ConditionalReport | None:
        return await self.world.effect("venue.conditional", "ask", lambda: self.truth.algos.get(client_id))  # type: ignore[no-any-return]

    async def open_conditionals(self, symbol: str | None) -> tuple[ConditionalReport, ...]:
        def listed() -> tuple[ConditionalReport, ...]:
            return tuple(algo for algo in self.truth.algos.values() if algo.state == "OPEN")

        return await self.world.effect("venue.open_conditionals", "ask", listed)  # type: ignore[no-any-return]

    async def fills(self, symbol: str, *, since_ms: int, after_id: int | None) -> tuple[Fill, ...]:
        def listed() -> tuple[Fill, ...]:
            until_ms = self.world.state.now_ms - self.scenario.trades_late_ms
            return tuple(
                one
                for one in self.truth.trades
                if one.trade_id > (after_id or 0) and since_ms <= one.time_ms <= until_ms
            )

        return await self.world.effect("venue.fills", "ask", listed)  # type: ignore[no-any-return]

    async def positions(self) -> tuple[VenuePosition, ...]:
        return ()

    async def account(self) -> VenueAccount:
        raise TransientError("not asked here")

    async def rules(self, symbol: str) -> Rules | None:
        return RULES

    async def brackets(self, symbol: str) -> tuple[Bracket, ...]:
        return (Bracket(leverage=125, floor=D(0), cap=D(300_000), rate=D("0.004"), cum=D(0)),)

    def wait_ms(self, role: Role) -> int:
        return 0
