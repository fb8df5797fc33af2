"""One run straight through, with faults at named points: `venue.place:entry`, the second time `venue.place:entry#2`.

Nothing is shared or skipped here: a crash is raised inside the step, a stopped process waits in the state. So it also
checks what the explorer takes for equal.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.explorer.executor import Executor, Script
from tests.explorer.invariants import moving, resting
from tests.explorer.points import possible
from tests.explorer.world import State

STEPS_MAX = 5_000


class Run(NamedTuple):
    """Where a run ended, what was broken (None: nothing), the longest time without a stop, and the points that it
    passed, each with the faults that are possible there."""

    state: State
    problem: str | None
    worst_ms: int
    points: list[tuple[str, tuple[str, ...]]]


class Placement(NamedTuple):
    """A fault at a named point."""

    point: str
    fault: str

    def __str__(self) -> str:
        return f"{self.point} {self.fault}"


def play(executor: Executor, faults: Mapping[str, str]) -> Run:
    """Run to the end. Raises AssertionError when a point was not passed."""
    return _play(executor, faults, ())[0]


def named(executor: Executor, path: Sequence[Script]) -> tuple[Placement, ...]:
    """The names of the points that the scripts of a path are at."""
    return _play(executor, {}, path)[1]


def _play(executor: Executor, faults: Mapping[str, str], path: Sequence[Script]) -> tuple[Run, tuple[Placement, ...]]:
    state, worst_ms, seen, points = executor.world.state, 0, Counter[str](), list[tuple[str, tuple[str, ...]]]()
    waiting, placed = dict(faults), list[Placement]()
    for number in range(STEPS_MAX):
        script: Script = path[number] if number < len(path) else ()
        while True:
            step = executor.step(state, script)
            counts, names = seen.copy(), []
            for effect in step.effects:
                counts[effect.name] += 1
                names.append(effect.name if counts[effect.name] == 1 else f"{effect.name}#{counts[effect.name]}")
            after = script[-1][0] if script else -1
            found = next((n for n, name in enumerate(names) if n > after and name in waiting), None)
            if found is None:
                break
            script = (*script, (found, waiting.pop(names[found])))
        placed += [Placement(names[index], fault) for index, fault in script]
        for index, (name, effect) in enumerate(zip(names, step.effects, strict=True)):
            points.append((name, possible(effect.kind, index, woken=step.woken)))
        seen, state, worst_ms = counts, step.state, max(worst_ms, step.worst_ms)
        problem = moving(state, step.worst_ms)
        if problem is None and step.over:
            problem = resting(state, executor.scenario, faults=bool(placed))
        if problem is not None or step.over:
            assert not waiting or problem, f"never came to {list(waiting)}"
            return Run(state, problem, worst_ms, points), tuple(placed)
    return Run(state, "the run does not end", worst_ms, points), tuple(placed)
