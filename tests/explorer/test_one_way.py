"""One-way mode: a person trades through the position of a trade, and what is held then is on the other side."""

from decimal import Decimal
from typing import Any

import pytest

from phoenix95.executor.core.group import Fill
from phoenix95.executor.core.intents import TERMINAL
from phoenix95.executor.ports import VenuePosition
from tests.explorer.executor import BOUNDS, Executor, first
from tests.explorer.scenarios import LONG_AGO_MS, Scenario
from tests.explorer.venue import FEE, SYMBOL, MemoryVenue
from tests.explorer.world import State, replace

STEPS_MAX = 100


class OneWayVenue(MemoryVenue):
    """Says BOTH of every fill."""

    held: tuple[VenuePosition, ...] = ()

    async def positions(self) -> tuple[VenuePosition, ...]:
        return self.held

    async def fills(self, symbol: str, *, since_ms: int, after_id: int | None) -> tuple[Fill, ...]:
        listed = await super().fills(symbol, since_ms=since_ms, after_id=after_id)
        return tuple(replace(one, position_side="BOTH") for one in listed)


@pytest.mark.parametrize("flat_first", [False, True])
@pytest.mark.parametrize("side", ["LONG", "SHORT"])
def test_a_trade_that_a_person_turned_over_ends_with_what_closed_it(side: Any, flat_first: bool) -> None:
    executor, state, held = _protected(side)
    scenario = executor.scenario
    executor.world.begin(state)
    # through the position in one fill, or to nothing first; then more on the other side, which is not ours
    for quantity in (held, 2 * held) if flat_first else (3 * held,):
        executor.venue.fill(scenario.closing, quantity, "a-person", quantity)
    closing = executor.venue.truth.trades[1]
    executor.venue.fill(scenario.closing, held, "a-person", held)
    executor.venue.fill(scenario.opening, 3 * held, "a-person", 3 * held)
    state = executor.world.state
    for _ in range(STEPS_MAX):
        if state.process.phase == "idle":
            break
        state = _step(executor, replace(state, process=replace(state.process, sync=True)))
    group = state.ledger.group
    assert group is not None
    assert (group.trade.stage, state.ledger.ended) == ("CLOSED", "external")
    assert {one.state for one in group.intents if one.state != "PLANNED"} <= TERMINAL
    assert not [one for one in state.exchange.algos.values() if one.state == "OPEN"]
    assert [one.trade_id for one in group.fills] == [1, 2]  # the rest is left to the trade that is adopted
    sign = 1 if side == "LONG" else -1
    cash = sign * held * (closing.price - state.exchange.trades[0].price) - 2 * FEE
    assert state.ledger.realized == cash
    assert isinstance(cash, Decimal)


def test_a_position_that_the_exchange_still_has_is_not_left_for_a_list_that_lags_behind() -> None:
    executor, state, held = _protected("LONG")
    executor.world.begin(state)
    executor.venue.fill("SELL", 3 * held, "a-person", 3 * held)
    there = VenuePosition(
        symbol=SYMBOL, position_side="LONG", size=held, entry_price=Decimal(1), mark_price=Decimal(1),
        unrealized=Decimal(0),
    )  # fmt: skip
    OneWayVenue.held, state = (there,), executor.world.state
    try:
        for _ in range(10):
            state = _step(executor, replace(state, process=replace(state.process, sync=True)))
    finally:
        OneWayVenue.held = ()
    assert state.process.phase == "drive"
    assert [one.client_id[3] for one in state.exchange.algos.values() if one.state == "OPEN"] == ["s", "t"]


def _protected(side: Any) -> tuple[Executor, State, Decimal]:
    scenario = Scenario("turned over", (), hold_ms=LONG_AGO_MS, position_side=side)
    executor = Executor(scenario, venue=OneWayVenue)
    executor.ports = replace(executor.ports, bounds=replace(BOUNDS, one_way=True))
    state: State = first(scenario)
    while (group := state.ledger.group) is None or group.trade.stage != "PROTECTED" or not group.fills_complete:
        state = _step(executor, replace(state, process=replace(state.process, sync=True)))
    return executor, state, group.held


def _step(executor: Executor, state: State) -> State:
    after = executor.step(state).state
    assert after.problem is None, after.problem
    return after
