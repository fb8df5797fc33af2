"""One rule taken out of the protocol at a time: the explorer finds what it leads to."""

from collections.abc import Callable

import pytest

from tests.explorer.explore import Explorer, StopExploring
from tests.explorer.mutants import MUTANTS, Mutant
from tests.explorer.replay import named


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_the_explorer_finds_a_mutant(mutant: Mutant, record_property: Callable[[str, object], None]) -> None:
    with mutant.patched():
        executor = mutant.made()
        start = executor.world.state
        with pytest.raises(StopExploring) as stopped:
            Explorer(executor, first_only=True).explore(start, mutant.faults)
        violation = stopped.value.violation
        placed = named(mutant.made(), violation.path)  # the same placement, straight through
    record_property("first", f"{violation.problem}; under {', '.join(map(str, placed)) or 'no fault'}")
    assert len(placed) <= mutant.faults


@pytest.mark.parametrize("mutant", [one for one in MUTANTS if one.faults > 1], ids=lambda one: one.name)
def test_fewer_faults_do_not_show_it(mutant: Mutant) -> None:
    """So that two faults are known to be worth their time."""
    with mutant.patched():
        executor = mutant.made()
        Explorer(executor, first_only=True).explore(executor.world.state, mutant.faults - 1)
