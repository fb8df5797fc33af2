"""What the exchange does to an account unasked: funding, liquidation, deleveraging, margin calls, countdowns."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from phoenix95.common.money import ZERO, round_to
from phoenix95.paper.clearing import Clearing
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.funding import last_funding_ms, payment
from phoenix95.paper.core.matching import Level
from phoenix95.paper.core.orders import Order, Wanted
from phoenix95.paper.core.position import Position, PositionSide
from phoenix95.paper.core.specs import LIQUIDATION_FEE
from phoenix95.paper.core.user_events import margin_call_event
from phoenix95.paper.resting import OrderBook

CALL_AT: Final = Decimal("0.8")  # share of the margin that maintenance takes when a margin call is told
CALL_AGAIN: Final = Decimal("0.7")
FUNDED: Final = "funded_ms"


class Keeper:
    """Looks once a second of exchange time."""

    def __init__(self, clearing: Clearing, orders: OrderBook) -> None:
        self._clearing = clearing
        self._store = clearing.store
        self._orders = orders
        self._funded_ms = int(self._store.meta(FUNDED) or 0)
        self._called: set[tuple[str, str]] = set()
        self._countdowns: dict[str, int] = {}
        for symbol, market in clearing.markets.items():
            if (rate := self._store.meta(f"rate:{symbol}")) is not None:
                market.funding_rate = Decimal(rate)
            if due := int(self._store.meta(f"countdown:{symbol}") or 0):
                self._countdowns[symbol] = due

    def look(self, ms: int) -> None:
        """Everything that is due now."""
        self._fund(ms)
        for symbol, due in list(self._countdowns.items()):
            if ms >= due:
                self.count_down(symbol, 0, ms)
                for order in self._clearing.account.resting(symbol):
                    self._orders.cancel(order, ms)
        for isolated, doomed in self._doomed():
            self._liquidate(doomed, ms, isolated=isolated)
        self._call(ms)

    # ------------------------------------------------------------ funding

    def set_rate(self, symbol: str, rate: Decimal) -> None:
        """The rate that the next funding times charge."""
        self._clearing.markets[symbol].funding_rate = rate
        self._store.set_meta(f"rate:{symbol}", rate)
        self._store.commit()

    def _fund(self, ms: int) -> None:
        due = last_funding_ms(ms)
        if due <= self._funded_ms:
            return
        first = not self._funded_ms  # nobody held anything before a market's first second
        self._funded_ms = due
        self._store.set_meta(FUNDED, due)
        if not first:
            self.fund(due, ms)
        self._clearing.settle(ms)

    def fund(self, due_ms: int, ms: int) -> None:
        """Charge every position. The caller settles."""
        clearing, account = self._clearing, self._clearing.account
        for symbol, market in clearing.markets.items():
            mark, rate = market.mark(), market.funding_rate
            clearing.records.fund(symbol, due_ms, f"{rate:.8f}", f"{mark:.8f}")
            isolated = account.setting(symbol).isolated
            for position in account.held(symbol):
                amount = round_to(payment(position.amount, mark, rate), Decimal("0.00000001"))
                if not amount:
                    continue
                clearing.pay("FUNDING_FEE", symbol, amount, ms, info="FUNDING_FEE")
                shown: list[Position] = []
                if isolated:
                    after = msgspec.structs.replace(position, isolated=position.isolated + amount, updated_ms=ms)
                    clearing.move(after)
                    shown = [after]
                clearing.say_account("FUNDING_FEE", ms, shown, amount)

    # ------------------------------------------------------------ liquidation

    def _doomed(self) -> list[tuple[bool, list[Position]]]:
        """Whose margin no longer covers the maintenance: isolated each by itself, crossed all together."""
        account, marks = self._clearing.account, self._clearing.mark_of
        found: list[tuple[bool, list[Position]]] = []
        crossed: list[Position] = []
        for position in account.held():
            if position.symbol not in self._clearing.markets:
                continue
            if not account.setting(position.symbol).isolated:
                crossed.append(position)
                continue
            risk = account.risk(position, marks(position.symbol))
            if position.isolated + risk.profit <= risk.maintenance:
                found.append((True, [position]))
        if crossed:
            figures = account.figures(marks)
            if figures.cross_wallet + figures.cross_profit <= figures.cross_maintenance:
                found.append((False, crossed))
        return found

    def _liquidate(self, doomed: Sequence[Position], ms: int, *, isolated: bool) -> None:
        """End open orders, close at the book but never below what the margin pays, take the fee from the rest."""
        clearing, account = self._clearing, self._clearing.account
        for position in doomed:
            for order in account.resting(position.symbol):
                if order.position_side == position.side:
                    clearing.end(order, "EXPIRED", ms)
            margin = position.isolated if isolated else account.figures(clearing.mark_of).cross_wallet
            long = position.amount > 0
            market = clearing.markets[position.symbol]
            worst = round_to(position.entry - margin / position.amount, market.spec.tick.normalize())
            best = market.best("SELL" if long else "BUY")
            seen = best.price if best else market.mark()
            price = max(seen, worst) if long else min(seen, worst)
            before = account.wallet
            client_id = f"autoclose-{ms}-{position.side[0]}"
            self._take_over(position, abs(position.amount), max(price, market.spec.tick), ms, client_id)
            rest = margin + account.wallet - before
            fee = min(abs(position.amount) * price * LIQUIDATION_FEE, rest)  # the fund pays what is missing
            clearing.pay("INSURANCE_CLEAR", position.symbol, -round_to(fee, Decimal("0.00000001")), ms)
            clearing.say_account("INSURANCE_CLEAR", ms, delta=-fee)
        clearing.settle(ms)

    def deleverage(self, symbol: str, side: PositionSide, quantity: Decimal | None, ms: int) -> Order:
        """ADL: a position is reduced at the mark price, for others' losses. Raises -2022 without one."""
        position = self._clearing.account.position(symbol, side)
        if not position.amount:
            raise RefusedError(-2022)
        market = self._clearing.markets[symbol]
        amount = min(quantity or abs(position.amount), abs(position.amount))
        price = round_to(market.mark(), market.spec.tick.normalize())
        order = self._take_over(position, amount, price, ms, "adl_autoclose")
        self._clearing.settle(ms)
        return order

    def _take_over(self, position: Position, quantity: Decimal, price: Decimal, ms: int, client_id: str) -> Order:
        closing = Wanted(
            symbol=position.symbol,
            side="SELL" if position.amount > 0 else "BUY",
            position_side=position.side,
            quantity=quantity,
            reduce_only=True,
            client_id=client_id,
            price=price,
            time_in_force="IOC",
        )
        order = self._clearing.open(closing, quantity, ms)
        order = self._clearing.fill(order, [Level(price, quantity)], ms, execution="CALCULATED")
        self._orders.expire_reducing(position.symbol, ms)
        return order

    def _call(self, ms: int) -> None:
        """Tell once when the margin is nearly used up."""
        account, marks = self._clearing.account, self._clearing.mark_of
        positions = list(account.held())
        if not positions:
            self._called.clear()
            return
        figures = account.figures(marks)
        crossed = figures.cross_wallet + figures.cross_profit
        tight: list[Position] = []
        for position in positions:
            key = (position.symbol, position.side)
            risk = account.risk(position, marks(position.symbol))
            kept, margin = figures.cross_maintenance, crossed
            if account.setting(position.symbol).isolated:
                kept, margin = risk.maintenance, position.isolated + risk.profit
            if kept >= margin * CALL_AT and key not in self._called:
                self._called.add(key)
                tight.append(position)
            elif kept < margin * CALL_AGAIN:
                self._called.discard(key)
        if tight:
            self._clearing.tell(margin_call_event(account, tight, marks, ms))

    # ------------------------------------------------------------ by request

    def count_down(self, symbol: str, wait_ms: int, ms: int) -> None:
        """Cancel all open orders of a symbol unless this is called again in time; zero stops the clock."""
        due = ms + wait_ms if wait_ms else 0
        if due:
            self._countdowns[symbol] = due
        else:
            self._countdowns.pop(symbol, None)
        self._store.set_meta(f"countdown:{symbol}", due)
        self._store.commit()

    def transfer(self, amount: Decimal, ms: int) -> None:
        """Money that comes in (negative: goes out) by another way than trading. Raises -2019 when it is not there."""
        available = self._clearing.account.figures(self._clearing.mark_of).available
        if -amount > available:
            raise RefusedError(-2019)
        self._clearing.pay("TRANSFER", "", amount, ms, info="TRANSFER")
        self._clearing.say_account("DEPOSIT" if amount > ZERO else "WITHDRAW", ms, delta=amount)
        self._clearing.settle(ms)
