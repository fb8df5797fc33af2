"""All placements of up to so many faults, each counted once, with the futures of equal states explored once.

A placement is a set of faults at effects of a run. The tree of all runs is walked step by step: from a state, the next
step without a fault, and that step with each fault at each of its effects (a second one in the same step comes behind
the first). What was found behind a state, for so many faults left, is kept; when the state is met again, by whatever
way, its counts are added and it is not walked again. A state met again on its own way means that the run does not end.

A process that wakes only after its successor has finished cannot change anything before: the successor's runs are
those behind a crash at the same place, and the sleeper wakes at each end that they have.
"""

import gc
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.explorer.canon import Canon
from tests.explorer.executor import PAUSE_MS, Executor, Script, Step, crashed, stopped
from tests.explorer.invariants import moving, resting
from tests.explorer.points import FROM_STATE, possible
from tests.explorer.world import Effect, State, Zombie, replace


class Violation(NamedTuple):
    """What was broken, and the scripts of the steps that lead there, from the state that it was found from."""

    problem: str
    path: tuple[Script, ...]


class Found(NamedTuple):
    """What lies behind a state, by number of faults: runs, the longest time without a stop, broken runs. `ends` has
    the number of runs to each distinct end, by the end's number."""

    runs: tuple[int, ...]
    worst_ms: tuple[int, ...]
    broken: tuple[int, ...]
    ends: dict[int, tuple[int, ...]]
    first: Violation | None = None


class StopExploring(Exception):
    """The first violation was found and no more is wanted."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.problem)
        self.violation = violation


class Explorer:
    """Walks one scenario. `first_only`: raise StopExploring at the first violation. `sharing` False walks on with
    every sleeper in the state instead of letting it wake at the ends; slower, and with every violation's whole path.
    `shard` (k, n): only the placements whose first fault is the k-th of n; they need n times less memory, and together
    they are all. `progress` is told the steps and distinct states so far."""

    def __init__(
        self,
        executor: Executor,
        *,
        first_only: bool = False,
        sharing: bool = True,
        shard: tuple[int, int] = (0, 1),
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.executor = executor
        self.canon = Canon(executor.scenario.trades_late_ms)
        self.first_only = first_only
        self.sharing = sharing
        self.progress = progress
        self._shard = shard
        self._firsts = 0
        self.steps = 0
        self._known: dict[Any, Found | None] = {}
        self._states: set[Any] = set()
        self._ends: list[State] = []
        self._end_numbers: dict[Any, int] = {}
        self._way: list[Script] = []

    @property
    def states(self) -> int:
        """Distinct states so far."""
        return len(self._states)

    def explore(self, state: State, faults: int) -> Found:
        """All runs from `state` with at most `faults` more faults."""
        sys.setrecursionlimit(20_000)
        collecting = gc.isenabled()
        gc.disable()  # nothing here is a cycle, and looking for some takes a third of the time
        try:
            return self._from(state, faults, clean=True)
        finally:
            if collecting:
                gc.enable()

    def _from(self, state: State, faults: int, *, clean: bool) -> Found:
        place = self.canon.key(state)
        key = place, faults, clean
        if key in self._known:
            known = self._known[key]
            return known if known is not None else self._broken("the run does not end", faults)
        self._states.add(place)
        self._known[key] = None
        self._known[key] = found = self._step(state, (), faults, clean=clean)
        return found

    def _step(self, state: State, script: Script, faults: int, *, clean: bool) -> Found:
        """The next step with the faults of `script`, and all that may follow with `faults` more."""
        self.steps += 1
        if self.progress is not None and self.steps % 5_000 == 0:
            self.progress(self.steps, len(self._states))
        step = self.executor.step(state, script)
        total = self._after(step, script, faults, clean=clean)
        if faults == 0:
            return total
        tries = [total]
        for index, effect in enumerate(step.effects):
            if script and index <= script[-1][0]:
                continue
            for fault in possible(effect.kind, index, woken=step.woken):
                if clean and not self._mine():
                    continue
                tried = (*script, (index, fault))
                if fault == "pause_before" and self.sharing:
                    found = self._paused(state, step, effect, tried, faults - 1)
                elif fault in FROM_STATE:
                    found = self._gone(state, step, effect, tried, faults - 1)
                else:
                    found = self._step(state, tried, faults - 1, clean=False)
                tries.append(_later(found))
        return _sum(tries, faults)

    def _mine(self) -> bool:
        """Whether the next first fault of a placement belongs to this shard."""
        self._firsts += 1
        return self._firsts % self._shard[1] == self._shard[0]

    def _gone(self, state: State, step: Step, effect: Effect, script: Script, faults: int) -> Found:
        """The process dies or is stopped at an effect: the rest of the step does not happen."""
        fault = script[-1][1]
        there = effect.after if fault == "crash_after" else effect.before
        if step.woken:
            after = there
        elif fault.startswith("crash"):
            after = replace(there, **crashed(there))
        else:
            after = replace(there, **stopped(there, state, script))
        return self._after(Step(after, [], step.worst_ms), script, faults, clean=False)

    def _paused(self, state: State, step: Step, effect: Effect, script: Script, faults: int) -> Found:
        """A process is stopped, its successor finishes, the process wakes."""
        gone = replace(effect.before, **crashed(effect.before))
        behind = self._after(Step(gone, [], step.worst_ms), script, faults, clean=False)
        zombie = Zombie(effect.before.process.token, None, state, script)
        size, way = faults + 1, tuple(self._way)
        runs, worst, broken = list(behind.broken), list(behind.worst_ms), list(behind.broken)
        ends: dict[int, list[int]] = {}
        first = behind.first
        for number, counts in behind.ends.items():
            end = self._ends[number]
            token = max(end.ledger.token, zombie.token + 1)  # tokens of another run to the same end may be smaller
            awake = replace(
                end, now_ms=max(end.now_ms, state.now_ms + PAUSE_MS), zombies=(zombie,),
                ledger=replace(end.ledger, token=token), process=replace(end.process, token=token),
            )  # fmt: skip
            for used, times in enumerate(counts):
                if times == 0:
                    continue
                try:
                    woken = self._from(awake, faults - used, clean=False)
                except StopExploring as stop:
                    there = replace(effect.before, **stopped(effect.before, state, script))
                    path = (*way, script, *self._sleepers_way(there, faults).path)
                    raise StopExploring(Violation(stop.violation.problem, path)) from stop
                for more, _ in enumerate(woken.runs):
                    runs[used + more] += times * woken.runs[more]
                    broken[used + more] += times * woken.broken[more]
                    worst[used + more] = max(worst[used + more], woken.worst_ms[more])
                for last, reached in woken.ends.items():
                    row = ends.setdefault(last, [0] * size)
                    for more, n in enumerate(reached):
                        row[used + more] += times * n
                if woken.first is not None and first is None:
                    there = replace(effect.before, **stopped(effect.before, state, script))
                    sleeper = self._sleepers_way(there, faults)
                    first = Violation(sleeper.problem, (script, *sleeper.path))
        return Found(
            tuple(runs), tuple(worst), tuple(broken), {number: tuple(row) for number, row in ends.items()}, first
        )

    def _sleepers_way(self, state: State, faults: int) -> Violation:
        """Where a sleeper breaks something, with the whole way there."""
        try:
            Explorer(self.executor, first_only=True, sharing=False)._from(state, faults, clean=False)
        except StopExploring as found:
            return found.violation
        raise AssertionError("a violation that another walk does not find")

    def _after(self, step: Step, script: Script, faults: int, *, clean: bool) -> Found:
        problem = moving(step.state, step.worst_ms)
        if problem is None and step.over:
            problem = resting(step.state, self.executor.scenario, faults=not clean)
        self._way.append(script)
        if problem is not None:
            found = self._broken(problem, faults)
        elif step.over:
            one = (1,) + (0,) * faults
            found = Found(one, (0,) * (faults + 1), (0,) * (faults + 1), {self._end(step.state): one})
        else:
            found = self._from(step.state, faults, clean=clean)
        self._way.pop()
        if not step.worst_ms and found.first is None:
            return found
        worst_ms = tuple(
            [max(step.worst_ms, one) if runs else one for one, runs in zip(found.worst_ms, found.runs, strict=True)]
        )
        first = found.first and Violation(found.first.problem, (script, *found.first.path))
        return Found(found.runs, worst_ms, found.broken, found.ends, first)

    def _end(self, state: State) -> int:
        number = self._end_numbers.setdefault(self.canon.end(state), len(self._ends))
        if number == len(self._ends):
            self._ends.append(state)
        return number

    def _broken(self, problem: str, faults: int) -> Found:
        if self.first_only:
            raise StopExploring(Violation(problem, tuple(self._way)))
        one = (1,) + (0,) * faults
        return Found(one, (0,) * (faults + 1), one, {}, Violation(problem, ()))


def _later(found: Found) -> Found:
    """The same, seen from before one more fault."""
    ends = {number: (0, *counts) for number, counts in found.ends.items()}
    return Found((0, *found.runs), (0, *found.worst_ms), (0, *found.broken), ends, found.first)


def _sum(tries: list[Found], faults: int) -> Found:
    numbers = range(faults + 1)
    ends: dict[int, list[int]] = {}
    for one in tries:
        for number, counts in one.ends.items():
            row = ends.get(number)
            if row is None:
                ends[number] = list(counts)
            else:
                for n in numbers:
                    row[n] += counts[n]
    return Found(
        tuple([sum([one.runs[n] for one in tries]) for n in numbers]),
        tuple([max([one.worst_ms[n] for one in tries]) for n in numbers]),
        tuple([sum([one.broken[n] for one in tries]) for n in numbers]),
        {number: tuple(row) for number, row in ends.items()},
        next((one.first for one in tries if one.first is not None), None),
    )
