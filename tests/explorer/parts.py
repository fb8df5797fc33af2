"""The parts that `make explore` gives to its processes."""

from tests.explorer.executor import Executor
from tests.explorer.explore import Explorer, Found, StopExploring
from tests.explorer.mutants import MUTANTS
from tests.explorer.replay import named
from tests.explorer.scenarios import SCENARIOS


def explore_part(name: str, faults: int, shard: tuple[int, int]) -> tuple[Found, int, str]:
    """One part of a scenario: what was found, the number of distinct states, and the first violation in words."""
    executor = Executor(SCENARIOS[name])
    start = executor.world.state
    explorer = Explorer(executor, shard=shard)
    found = explorer.explore(start, faults)
    if found.first is None:
        return found, explorer.states, ""
    placed = ", ".join(map(str, named(Executor(SCENARIOS[name]), found.first.path)))
    return found._replace(ends={}), explorer.states, f"BROKEN {name}: {found.first.problem}; under {placed}"


def try_mutant(number: int) -> tuple[str, str | None, str]:
    """A mutant's name, what it broke (None: nothing) and the placement that showed it first."""
    mutant = MUTANTS[number]
    with mutant.patched():
        executor = mutant.made()
        try:
            Explorer(executor, first_only=True).explore(executor.world.state, mutant.faults)
        except StopExploring as stopped:
            placed = ", ".join(map(str, named(mutant.made(), stopped.violation.path)))
            return mutant.name, stopped.violation.problem, placed or "no fault"
    return mutant.name, None, ""
