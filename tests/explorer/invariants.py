"""What must hold while a run goes on, and when it is over."""

from typing import Final

from phoenix95.executor.core.intents import TERMINAL
from tests.explorer.executor import BOUNDS
from tests.explorer.scenarios import Scenario
from tests.explorer.venue import FEE, SYMBOL
from tests.explorer.world import State

OPERATION_MS: Final = BOUNDS.naked_ms + 1_000  # given up after 5 s, closed within one more
ACROSS_MS: Final = 20_000  # when a process or Postgres was gone meanwhile


def moving(state: State, worst_ms: int) -> str | None:
    """The first broken invariant of a run under way, or None."""
    if state.problem is not None:
        return state.problem
    since_ms = state.exchange.naked_ms
    naked_ms = worst_ms if since_ms is None else max(worst_ms, state.now_ms - since_ms)
    allowed_ms = ACROSS_MS if state.disturbed else OPERATION_MS
    return f"a position without a stop for {naked_ms} ms" if naked_ms > allowed_ms else None


def resting(state: State, scenario: Scenario, *, faults: bool) -> str | None:
    """The first broken invariant of a run that is over, or None."""
    exchange, ledger, group = state.exchange, state.ledger, state.ledger.group
    if exchange.position != 0:
        return f"{exchange.position} held and nobody watches it"
    orphans = [one.client_id for one in exchange.algos.values() if one.state == "OPEN"]
    if orphans:
        return f"orders left open: {orphans}"
    if group is None and not faults:
        return "the gates refused it"
    if group is None:
        return None if not exchange.sent and ledger.offset is not None else "no decision is stored"
    rows = {one.client_id: one for one in group.intents}
    unresolved = [f"{one.role} {one.state}" for one in group.intents if one.state not in TERMINAL]
    if unresolved:
        return f"unresolved intents: {unresolved}"
    if not rows.keys() >= set(exchange.sent):
        return "an order on the exchange has no intent"
    for row in group.intents:
        there = row.client_id in exchange.sent
        algo = exchange.algos.get(row.client_id)
        if state.woken and algo is not None and algo.state == "CANCELED" and row.filled == 0:
            continue  # sent by somebody who was stopped while Postgres was away, and cancelled by the reconciliation
        if there != (row.venue_id is not None or row.order_id is not None):
            return (
                f"{row.role} {row.state}: the exchange {'knows' if there else 'does not know'} it, the ledger differs"
            )
        order = exchange.orders.get(row.client_id)
        made = order or (algo.order if algo is not None else None)
        if row.filled != (made.filled if made is not None else 0):
            return f"{row.role}: the ledger says {row.filled} filled, the exchange {made and made.filled}"
    if {one.trade_id for one in group.fills} != {one.trade_id for one in exchange.trades}:
        return f"fills: {len(group.fills)} in the ledger, {len(exchange.trades)} on the exchange"
    return _result(state, scenario, faults=faults)


def _result(state: State, scenario: Scenario, *, faults: bool) -> str | None:
    exchange, ledger = state.exchange, state.ledger
    if exchange.trades:
        sign = 1 if scenario.position_side == "LONG" else -1
        cash = sum(
            sign * one.price * one.quantity * (-1 if one.side == scenario.opening else 1) - FEE
            for one in exchange.trades
        )
        if ledger.realized != cash:
            return f"result {ledger.realized} in the ledger, {cash} by the exchange's trades"
    if not faults:
        if ledger.ended not in scenario.ends:
            return f"ended with {ledger.ended}, expected {scenario.ends}"
        if ledger.modes.symbols.get(SYMBOL) is not None:
            return "halted without a fault"
    return None
