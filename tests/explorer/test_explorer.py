"""The real order protocol under all placements of up to two faults, scenario by scenario."""

import random
from collections.abc import Callable
from itertools import chain

import pytest

from tests.explorer.executor import Executor
from tests.explorer.explore import Explorer
from tests.explorer.replay import named, play
from tests.explorer.report import Row, table
from tests.explorer.scenarios import SCENARIOS

FAULTS = 2
LONG = ("entry filled in two", "two targets, one hit")  # their pairs take a third of the time: `make explore` has them


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in LONG])
def test_no_placement_of_up_to_two_faults_breaks_anything(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    executor = Executor(SCENARIOS[name])
    start, explorer = executor.world.state, Explorer(executor)
    found = explorer.explore(start, FAULTS)
    record_property("explored", table([Row(name, found, explorer.states)]))
    if found.first is not None:
        placed = ", ".join(map(str, named(Executor(SCENARIOS[name]), found.first.path)))
        pytest.fail(f"{found.first.problem}, under: {placed or 'no fault'}; {found.broken} of {found.runs} runs")
    assert found.runs[0] == 1
    assert found.runs[2] > 20 * found.runs[1] > 1_000


@pytest.mark.parametrize("name", SCENARIOS)
def test_single_faults_run_straight_through_are_as_the_explorer_found_them(name: str) -> None:
    executor = Executor(SCENARIOS[name])
    start = executor.world.state
    found = Explorer(executor).explore(start, 1)
    clean = play(Executor(SCENARIOS[name]), {})
    assert clean.problem is None
    placements = [(point, fault) for point, faults in clean.points for fault in faults]
    runs = [play(Executor(SCENARIOS[name]), {point: fault}) for point, fault in placements]
    assert [(one, run.problem) for one, run in zip(placements, runs, strict=True) if run.problem] == []
    assert found.runs == (1, len(placements))
    assert found.worst_ms == (clean.worst_ms, max(run.worst_ms for run in runs))


@pytest.mark.parametrize("name", SCENARIOS)
def test_sampled_pairs_run_straight_through(name: str) -> None:
    """What the explorer takes for equal states is not taken for equal here."""
    chance = random.Random(f"95 {name}")
    clean = play(Executor(SCENARIOS[name]), {})
    for _ in range(15):
        point, faults = chance.choice([one for one in clean.points if one[1]])
        first = {point: chance.choice(faults)}
        before = [one for one, _ in clean.points].index(point)
        later = [one for one in play(Executor(SCENARIOS[name]), first).points[before + 1 :] if one[1]]
        if later:
            point, faults = chance.choice(later)
            both = {**first, point: chance.choice(faults)}
            assert play(Executor(SCENARIOS[name]), both).problem is None, both


def test_every_port_method_that_does_something_is_a_point() -> None:
    """A new port method has to be an effect here too, or its faults are never tried."""
    passed = set(
        chain.from_iterable((one for one, _ in play(Executor(each), {}).points) for each in SCENARIOS.values())
    )
    methods = {point.partition("#")[0].partition(":")[0] for point in passed}
    assert methods >= {
        "ledger.take", "ledger.restamp_naked", "ledger.active_groups", "ledger.offsets", "ledger.modes",
        "ledger.decide", "ledger.group", "ledger.sign", "ledger.record", "ledger.plan", "ledger.protected",
        "ledger.begin_close", "ledger.save_fills", "ledger.finish", "ledger.failed",
        "venue.prepare", "venue.place", "venue.order", "venue.conditional", "venue.open_conditionals", "venue.fills",
        "venue.cancel",
    }  # fmt: skip
