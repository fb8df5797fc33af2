from decimal import Decimal

import msgspec
import pytest

from phoenix95.common.errors import InvariantBroken
from phoenix95.executor.core.intents import LEGAL, TERMINAL, Intent, State, move
from phoenix95.executor.core.observe import (
    ABSENT_ANSWERS,
    ConditionalReport,
    Report,
    not_found,
    seen_conditional,
    seen_order,
)

D = Decimal
INTENT = Intent(
    client_id="p95e1",
    analysis_id="a",
    symbol="BTCUSDT",
    role="entry",
    attempt=0,
    side="BUY",
    position_side="LONG",
    quantity=D(1),
)
STATES = tuple(LEGAL)


def in_state(state: State, **changes: object) -> Intent:
    return msgspec.structs.replace(INTENT, state=state, deadline_ms=1_000, **changes)


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_only_legal_moves_are_made(before: State, after: State) -> None:
    legal = after in LEGAL[before] or (before == after and before not in TERMINAL)
    if legal:
        assert move(in_state(before), after).state == after
    else:
        with pytest.raises(InvariantBroken, match="no legal move"):
            move(in_state(before), after)


def test_an_end_has_no_way_out() -> None:
    assert all(not LEGAL[state] for state in TERMINAL)


def test_what_was_filled_never_shrinks() -> None:
    with pytest.raises(InvariantBroken, match="filled fell"):
        move(in_state("PARTIAL", filled=D("0.5")), "PARTIAL", filled=D("0.4"))


def report(state: str, filled: str = "0") -> Report:
    return msgspec.convert(
        {"order_id": "7", "client_id": "p95e1", "state": state, "filled": filled, "average_price": "100"}, Report
    )


def test_a_report_moves_the_intent_and_names_its_order() -> None:
    seen = seen_order(in_state("SENT"), report("FILLED", "1"), 5)
    assert (seen.state, seen.order_id, seen.filled, seen.updated_ms) == ("FILLED", "7", D(1), 5)


@pytest.mark.parametrize("late", [report("OPEN"), report("PARTIAL", "0.3")])
def test_a_report_older_than_what_we_know_changes_nothing(late: Report) -> None:
    known = in_state("PARTIAL", filled=D("0.5"))
    assert seen_order(known, late, 5) is known


def conditional(state: str, order: Report | None = None) -> ConditionalReport:
    return ConditionalReport(
        venue_id="9",
        client_id="p95s1",
        symbol="BTCUSDT",
        state=state,  # type: ignore[arg-type]
        quantity=D(1),
        order=order,
    )


@pytest.mark.parametrize(("listed", "state"), [(False, "ACCEPTED"), (True, "OPEN")])
def test_only_the_open_list_verifies_a_stop(listed: bool, state: State) -> None:
    stop = in_state("SENT", role="stop")
    assert seen_conditional(stop, conditional("OPEN"), 5, listed=listed).state == state


def test_a_triggered_stop_is_filled_by_its_order() -> None:
    stop = in_state("OPEN", role="stop", venue_id="9")
    seen = seen_conditional(stop, conditional("TRIGGERED", report("FILLED", "1")), 5, listed=False)
    assert (seen.state, seen.order_id, seen.venue_id) == ("FILLED", "7", "9")


def test_triggered_is_not_filled() -> None:
    stop = in_state("OPEN", role="stop", venue_id="9")
    assert seen_conditional(stop, conditional("TRIGGERED", report("OPEN")), 5, listed=False).live


def test_before_the_deadline_no_number_of_answers_means_absent() -> None:
    intent = in_state("SENT")
    for _ in range(10):
        intent = not_found(intent, now_ms=1_500, margin_ms=500)
    assert (intent.state, intent.not_found) == ("SENT", 1)


def test_behind_the_deadline_it_takes_two_answers() -> None:
    intent = not_found(in_state("SENT"), now_ms=1_500, margin_ms=500)  # early: counts once, however often
    intent = not_found(intent, now_ms=1_501, margin_ms=500)
    assert intent.state == "SENT"
    assert not_found(intent, now_ms=1_502, margin_ms=500).state == "ABSENT"


def test_an_accepted_order_that_vanished_is_absent() -> None:
    intent = in_state("ACCEPTED", role="stop")
    for _ in range(ABSENT_ANSWERS):
        intent = not_found(intent, now_ms=0, margin_ms=500)
    assert intent.state == "ABSENT"


def test_only_answers_in_a_row_make_an_order_absent() -> None:
    seen = ConditionalReport(venue_id="1", client_id="p95s", symbol="BTCUSDT", state="OPEN", quantity=D(1))
    stop = in_state("OPEN", role="stop")
    for _ in range(5):
        stop = not_found(stop, 100_000, 10)
        stop = seen_conditional(stop, seen, 100_000, listed=True)
    assert (stop.state, stop.not_found) == ("OPEN", 0)
