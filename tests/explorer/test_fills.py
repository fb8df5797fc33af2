"""Fills in every order: in parts, listed late with lower ids, listed again, of strangers, while the trade goes on.

However they come, in the end the ledger has the exchange's trades, its size and its result.
"""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from phoenix95.executor.core.group import Fill, Group
from phoenix95.executor.protocol import looking
from tests.explorer.executor import Executor, first
from tests.explorer.invariants import resting
from tests.explorer.scenarios import LONG_AGO_MS, Scenario
from tests.explorer.venue import MemoryVenue
from tests.explorer.world import State, replace

LOT = Decimal("0.001")
SCENARIO = Scenario("fills", ("flatten",), parts=(("entry", Decimal("0.25")),), rest_ms=LONG_AGO_MS)
STEPS_MAX = 400
LOTS = st.integers(min_value=1, max_value=60)


class ListingVenue(MemoryVenue):
    """Lists its trades as it likes: `hidden` ones are not there yet, and the order may be turned round."""

    hidden: frozenset[int] = frozenset()
    reversed = False

    async def fills(self, symbol: str, *, since_ms: int, after_id: int | None) -> tuple[Fill, ...]:
        listed = await super().fills(symbol, since_ms=since_ms, after_id=after_id)
        shown = tuple(one for one in listed if one.trade_id not in self.hidden)
        return shown[::-1] if self.reversed else shown


class Fills(RuleBasedStateMachine):
    """One trade whose entry is filled in parts while people trade in the same symbol."""

    def __init__(self) -> None:
        super().__init__()
        self.executor = Executor(SCENARIO, venue=ListingVenue)
        self.venue: Any = self.executor.venue
        self.state: State = first(SCENARIO)
        while not self.state.exchange.trades:
            self.step()

    @property
    def holding(self) -> bool:
        return self.state.exchange.position > 0

    def step(self) -> None:
        self.state = self.executor.step(self.state).state
        assert self.state.problem is None, self.state.problem

    def change(self) -> None:
        """Whatever is done to the venue now is done to the present state."""
        self.executor.world.begin(self.state)

    def changed(self, *, hide: bool) -> None:
        self.state = self.executor.world.state
        if hide:
            self.venue.hidden |= {self.state.exchange.trades[-1].trade_id}

    @rule(steps=st.integers(min_value=1, max_value=6))
    def goes_on(self, steps: int) -> None:
        for _ in range(steps):
            if self.state.process.phase != "idle":
                self.step()

    @precondition(lambda self: self._entry().state == "PARTIAL")
    @rule(lots=LOTS, hide=st.booleans())
    def entry_is_filled_further(self, lots: int, hide: bool) -> None:
        order = self._entry()
        group = self.state.ledger.group
        assert group is not None
        rest = group.entry.quantity - order.filled
        self._entry_filled(min(rest, lots * LOT), rest, hide=hide)

    def _entry_filled(self, quantity: Decimal, rest: Decimal, *, hide: bool) -> None:
        self.change()
        order = self._entry()
        self.venue.fill(SCENARIO.opening, quantity, order.client_id, quantity)
        truth = self.venue.truth
        trade = replace(truth.trades[-1], order_id=order.order_id)
        state: Any = "FILLED" if quantity == rest else "PARTIAL"
        grown = replace(order, filled=order.filled + quantity, state=state)
        self.venue.put(trades=(*truth.trades[:-1], trade), orders={**truth.orders, order.client_id: grown})
        self.changed(hide=hide)

    @precondition(lambda self: self.holding)
    @rule(lots=LOTS, buys=st.booleans(), hide=st.booleans())
    def stranger_trades(self, lots: int, buys: bool, hide: bool) -> None:
        position = self.state.exchange.position
        quantity = lots * LOT if buys else min(position, lots * LOT)
        self.change()
        self.venue.fill(SCENARIO.opening if buys else SCENARIO.closing, quantity, "a-person", quantity)
        self.changed(hide=hide)

    @precondition(lambda self: self.holding)
    @rule(role=st.sampled_from(["stop", "target"]), part=st.booleans())
    def price_goes_through(self, role: str, part: bool) -> None:
        self.venue.scenario = SCENARIO._replace(parts=((role, Decimal("0.5")),)) if part else SCENARIO
        self.change()
        self.venue.trigger(role)
        self.changed(hide=False)
        self.venue.scenario = SCENARIO

    @rule()
    def reconciliation_looks(self) -> None:
        self.state = replace(self.state, process=replace(self.state.process, sync=True))

    @rule(turned=st.booleans())
    def list_catches_up(self, turned: bool) -> None:
        self.venue.hidden = frozenset()
        self.venue.reversed = turned

    @invariant()
    def no_trade_is_stored_that_the_exchange_does_not_have(self) -> None:
        group = self.state.ledger.group
        assert group is not None
        ids = [one.trade_id for one in group.fills]
        assert len(ids) == len(set(ids))
        assert set(ids) <= {one.trade_id for one in self.state.exchange.trades}

    def teardown(self) -> None:
        """The rest of the entry expires, everything is listed, the trade is closed: the books agree."""
        self.venue.hidden = frozenset()
        order = self._entry()
        if order.state == "PARTIAL":
            self.change()
            self.venue.put(orders={**self.venue.truth.orders, order.client_id: replace(order, state="EXPIRED")})
            self.changed(hide=False)
        flatten = replace(self.state.ledger.modes, account="FLATTEN")
        self.state = replace(self.state, ledger=replace(self.state.ledger, modes=flatten), due=())
        for number in range(STEPS_MAX):
            if number % 20 == 0:
                self.reconciliation_looks()
            step = self.executor.step(self.state)
            self.state = step.state
            assert self.state.problem is None, self.state.problem
            if step.over:
                break
        else:
            raise AssertionError("the trade does not end")
        assert resting(self.state, SCENARIO, faults=True) is None

    def _entry(self) -> Any:
        return next(iter(self.state.exchange.orders.values()))


Fills.TestCase.settings = settings(
    max_examples=150, stateful_step_count=20, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
TestFills = Fills.TestCase


def test_a_list_that_is_read_from_the_last_known_trade_on_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trade that is listed late, with a lower id, would never be seen."""

    def last_known(group: Group) -> int | None:
        return max((one.trade_id for one in group.fills), default=None)

    monkeypatch.setattr(looking, "_all_known_to", last_known)
    generate_only = settings(Fills.TestCase.settings, phases=[Phase.generate], print_blob=False)
    with pytest.raises(BaseException, match=r"fills|Hypothesis|does not end|differ"):
        run_state_machine_as_test(Fills, settings=generate_only)
