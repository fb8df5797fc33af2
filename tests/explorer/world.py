"""The world of one run: time, what is stored, the exchange, and the effects of the step under way.

Everything that a run can change is in one `State` of immutable parts, so that a run can be continued from any step in
many ways without being repeated. Effects take no time; time passes only while the executor waits.
"""

from collections.abc import Awaitable, Callable, Generator
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from phoenix95.common.errors import OutcomeUnknown, Phoenix95Error, RateLimited, TransientError, VenueRejected
from phoenix95.executor.core.candidate import Modes
from phoenix95.executor.core.group import Fill, Group
from phoenix95.executor.core.intents import Intent
from phoenix95.executor.core.observe import ConditionalReport, Report

replace = msgspec.structs.replace

START_MS: Final = 1_721_347_200_000
LATE_MS: Final = 800  # the exchange carries a late request out so much after it took it
AWAY_MS: Final = 2_000  # Postgres does not answer for so long
DEAF_MS: Final = 6_000  # the exchange answers no question for so long


class Ledger(msgspec.Struct, frozen=True, gc=False):
    """What survives a crash. `token` is the active executor's; `ended` why the trade is over, None until it is."""

    token: int = 0
    offset: str | None = None
    group: Group | None = None
    modes: Modes = Modes()
    ended: str | None = None
    realized: Decimal | None = None


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """The exchange's own truth. `crossed` is the trigger that the price went through and stays behind, or None.

    `naked_ms` is since when a position is not covered by open stops, None while it is. `sent` are the client ids of
    all orders it ever took.
    """

    orders: dict[str, Report] = {}
    algos: dict[str, ConditionalReport] = {}
    trades: tuple[Fill, ...] = ()
    position: Decimal = Decimal(0)
    entries: int = 0
    crossed: str | None = None
    naked_ms: int | None = None
    sent: tuple[str, ...] = ()


class Due(NamedTuple):
    """Something that will happen on the exchange at `at_ms`: a late request, or a turn of the scenario."""

    at_ms: int
    what: str
    intent: Intent | None = None


class Memory(msgspec.Struct, frozen=True, gc=False):
    """What a process knows between two steps of the one trade, see `remembering`; all of it ends with the process."""

    known: Group | None = None
    owed: bool = False
    urgent: bool = False
    just_stored: bool = False
    away: bool = False
    close: tuple[Any, ...] | None = None
    says: tuple[Callable[[], Awaitable[object]], ...] = ()
    modes: Modes = Modes()
    unknowns: int = 0


class Process(msgspec.Struct, frozen=True, gc=False):
    """The active executor between two steps. `ready_ms`: when its next one is."""

    token: int
    phase: str
    ready_ms: int
    sync: bool = False
    taken_over: bool = True
    memory: Memory = Memory()


class Zombie(NamedTuple):
    """A process that was stopped inside a step: the step is repeated from `began` and goes on where it stopped.

    `wakes_ms` None: it wakes when its successor has finished. `script` ends with the fault that stopped it.
    """

    token: int
    wakes_ms: int | None
    began: "State | None"
    script: tuple[tuple[int, str], ...]


class State(msgspec.Struct, frozen=True, gc=False):
    """All of a run between two steps. `disturbed`: a process or Postgres was gone for a time, so the longer bound for
    a position without a stop holds. `woken`: a process that had been stopped went on, beside its successor."""

    now_ms: int
    ledger: Ledger
    exchange: Exchange
    process: Process
    due: tuple[Due, ...] = ()
    zombies: tuple[Zombie, ...] = ()
    away_until_ms: int = 0
    deaf_until_ms: int = 0
    disturbed: bool = False
    woken: bool = False
    problem: str | None = None


class Effect(NamedTuple):
    """One durable or external effect of a step, and the state just before and just after it."""

    name: str
    kind: str
    before: State
    after: State


class Crash(BaseException):
    """kill -9: nothing in the process survives it."""


class Stopped:
    """Awaiting it hands control back to whoever drives the coroutine: the process was stopped here."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def _open_door() -> None:
    return None


class World:
    """The state under change during one step, and the script of faults for it."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.actor = state.process.token
        self.script: dict[int, str] = {}
        self.effects: list[Effect] = []
        self.worst_ms = 0

    def begin(self, state: State, script: tuple[tuple[int, str], ...] = ()) -> None:
        self.state = state
        self.actor = state.process.token
        self.script = dict(script)
        self.effects = []
        self.worst_ms = 0

    def now_ms(self) -> int:
        return self.state.now_ms

    def uncertainty_ms(self) -> float | None:
        return 1.0

    def put(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)

    def blame(self, problem: str) -> None:
        """An invariant was broken: the first one counts."""
        if self.state.problem is None:
            self.put(problem=problem)

    async def effect(
        self,
        name: str,
        kind: str,
        apply: Callable[[], Any],
        late: Intent | None = None,
        door: Callable[[], None] = _open_door,
    ) -> Any:
        """Carry out one effect with the fault that the script has for it; see `points.FAULTS` for their meaning.

        `late` is what a late request is about, `door` the checks that it goes through when it arrives.
        """
        before = self.state
        index = len(self.effects)
        fault = self.script.get(index)
        if (kind in ("read", "write") and before.now_ms < before.away_until_ms) or (
            kind == "ask" and before.now_ms < before.deaf_until_ms
        ):
            self.effects.append(Effect(name, "gone", before, before))
            fault = fault or "error"
        else:
            self.effects.append(Effect(name, kind, before, before))
        if fault is None:
            result = apply()
            if self.state is not before:
                self.effects[index] = Effect(name, kind, before, self.state)
            return result
        return await self._faulty(fault, apply, late, door)

    async def _faulty(self, fault: str, apply: Callable[[], Any], late: Intent | None, door: Callable[[], None]) -> Any:
        word, _, rest = fault.partition(":")
        if word == "away":
            self.put(away_until_ms=self.state.now_ms + AWAY_MS, disturbed=True)
        elif word == "deaf":
            self.put(deaf_until_ms=self.state.now_ms + DEAF_MS, disturbed=True)
        elif word == "late":
            door()
            self.put(due=(*self.state.due, Due(self.state.now_ms + LATE_MS, rest or "late", late)))
        match word:
            case "crash_before":
                raise Crash
            case "pause_before" | "nap_before":
                await Stopped()
            case "error" | "away" | "deaf":
                raise TransientError("no answer")
            case "lost" | "late":
                raise OutcomeUnknown(word)
            case "limited":
                raise RateLimited("too many requests", 1.0)
            case "reject":
                raise VenueRejected(int(rest), "refused")
        result, refusal = None, None
        try:
            result = apply()
        except Phoenix95Error as error:  # the answer is a refusal, and may get lost like any other
            refusal = error
        match word:
            case "crash_after":
                raise Crash
            case "pause_after" | "nap_after":
                await Stopped()
            case "no_reply":
                raise TransientError("no reply")
            case "timeout":
                raise OutcomeUnknown("timeout")
        if refusal is not None:
            raise refusal
        return result
