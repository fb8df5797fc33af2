"""Single runs worth reading, each with its faults at named points."""

from decimal import Decimal

import pytest

from phoenix95.executor.core.group import ExitReason
from phoenix95.executor.core.intents import Intent
from tests.explorer.executor import BOUNDS, Executor
from tests.explorer.replay import Run, play
from tests.explorer.scenarios import SCENARIOS, Scenario
from tests.explorer.venue import SYMBOL

BARRIER = "time barrier"


def played(name: str, faults: dict[str, str]) -> Run:
    run = play(Executor(SCENARIOS[name]), faults)
    assert run.problem is None, run.problem
    return run


@pytest.mark.parametrize("name", SCENARIOS)
def test_without_a_fault_the_trade_is_entered_protected_and_closed(name: str) -> None:
    run = played(name, {})
    assert run.state.ledger.ended in SCENARIOS[name].ends
    assert run.worst_ms <= BOUNDS.look_ms


def test_three_refused_stops_close_the_position_and_halt_the_symbol() -> None:
    run = played(
        BARRIER,
        {
            "venue.place:stop": "reject:-4045",
            "venue.place:stop#2": "reject:-4045",
            "venue.place:stop#3": "reject:-4045",
        },
    )
    ledger = run.state.ledger
    assert (ledger.ended, ledger.modes.symbols) == ("unprotected", {SYMBOL: "HALT"})


def test_a_stop_that_would_trigger_at_once_closes_the_position() -> None:
    ledger = played(BARRIER, {"venue.place:stop": "reject:-2021"}).state.ledger
    assert (ledger.ended, ledger.modes.symbols) == ("stop_loss", {})


def test_too_many_requests_say_nothing_about_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are no refusals: it is tried again, and the position is not given up for them."""
    stops = dict.fromkeys(("venue.place:stop", *(f"venue.place:stop#{number}" for number in (2, 3, 4))), "limited")
    later = Scenario("stop hit later", ("stop_loss",), turns=((4_500, "stop"),))
    run = play(Executor(later), stops)
    assert (run.problem, run.state.ledger.ended, run.state.ledger.modes.symbols) == (None, "stop_loss", {})
    monkeypatch.setattr(Intent, "refused", property(lambda one: one.state == "REJECTED"))
    assert play(Executor(later), stops).state.ledger.modes.symbols == {SYMBOL: "HALT"}


def test_an_error_while_asking_is_not_an_answer() -> None:
    run = played(BARRIER, {"venue.place:entry": "timeout", "venue.order": "deaf"})
    group = run.state.ledger.group
    assert group is not None
    assert (group.entry.state, run.state.exchange.entries) == ("FILLED", 1)


def test_an_entry_that_grew_too_old_while_postgres_was_away_is_not_sent() -> None:
    run = played(BARRIER, {"ledger.sign:entry": "away"})
    group = run.state.ledger.group
    assert group is not None
    assert (group.trade.stage, group.entry.state, run.state.exchange.sent) == ("FAILED", "EXPIRED", ())


@pytest.mark.parametrize("fault", ["pause_before", "nap_before"])
def test_a_stopped_executor_that_sends_when_it_wakes_is_no_second_entry(fault: str) -> None:
    run = played(BARRIER, {"venue.place:entry": fault})
    entered = fault == "nap_before"  # still within the window that was signed
    assert run.state.exchange.entries == entered
    expected: ExitReason | str = "time_barrier" if entered else "the exchange does not know it"
    assert run.state.ledger.ended == expected


def test_a_trade_is_not_closed_over_what_is_only_remembered() -> None:
    """Found with three faults: the stop that an earlier process sent from memory stayed unsigned for ever."""
    faults = {"ledger.sign:stop": "away", "ledger.save_fills#2": "crash_after", "ledger.record#2": "error"}
    group = played("stop hit at once", faults).state.ledger.group
    assert group is not None
    assert [one.state for one in group.of("stop")] == ["FILLED"]


def test_a_refusal_for_too_many_says_nothing_about_what_another_process_sent_under_the_same_id() -> None:
    """Found with three faults: the exit was taken after its successor's, of the same id, had been refused."""
    faults = {
        "ledger.sign:exit": "error",
        "venue.place:exit": "nap_before",
        "venue.place:exit#2": "limited",
    }
    run = played("stop hit, filled in part", faults)
    assert run.problem is None


def test_a_decision_whose_commit_lost_its_reply_is_one_decision() -> None:
    run = played(BARRIER, {"ledger.decide": "no_reply"})
    assert (run.state.exchange.entries, run.state.exchange.position) == (1, Decimal(0))
