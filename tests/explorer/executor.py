"""One step of a run: the active executor's next one, or what a stopped process does when it wakes.

The executor's core and protocol are the real ones. What its shell does around them (taking the account, recovery
before anything is read, one analysis read until its offset is stored, one move after the other with a wait after an
error) is repeated here in the smallest form, because the shell waits on timers and sockets.
"""

from collections.abc import Coroutine
from decimal import Decimal
from typing import Any, Final, NamedTuple

from phoenix95.common.errors import Fenced, OutcomeUnknown, TransientError, VenueRejected
from phoenix95.common.events import Analysis, Quality
from phoenix95.common.wire import encode
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.market import Market
from phoenix95.executor.core.plan import Bounds
from phoenix95.executor.ports import Ports, VenueAccount
from phoenix95.executor.protocol.intake import Standing, take
from phoenix95.executor.protocol.moves import advance
from phoenix95.executor.protocol.remembering import Remembering
from tests.explorer.ledger import EQUITY, MemoryLedger
from tests.explorer.scenarios import Scenario
from tests.explorer.venue import SYMBOL, MemoryVenue
from tests.explorer.world import (
    START_MS,
    Crash,
    Effect,
    Exchange,
    Ledger,
    Memory,
    Process,
    State,
    World,
    Zombie,
    replace,
)

BOUNDS: Final = Bounds(naked_ms=5_000, margin_ms=1_000, look_ms=500, poll_ms=1_000)
WINDOW_MS: Final = 2_000
RESTART_MS: Final = 500
NAP_MS: Final = 1_000  # the successor is there after RESTART_MS, and the signed window is still open
PAUSE_MS: Final = 5_000  # a pause lasts so long at least, and until the successor has finished
RECONCILED_MS: Final = 20_000  # two looks have seen it by then
AGAIN_MS: Final = 500  # after an error
BESIDE: Final = Decimal("0.1")  # the best bid and ask are so far from the price
STREAM: Final = "analysis"
ENTRY: Final = "1-1"
ANALYSIS_ID: Final = f"momentum-{SYMBOL}-1.0"
Script = tuple[tuple[int, str], ...]


class Step(NamedTuple):
    """What a step led to, and the longest time without a stop that was seen in it. `woken`: it was a step of a process
    that had been stopped."""

    state: State
    effects: list[Effect]
    worst_ms: int
    over: bool = False
    woken: bool = False


def analysis(scenario: Scenario) -> Analysis:
    """One that all gates let pass."""
    long = scenario.position_side == "LONG"
    return Analysis(
        id=ANALYSIS_ID, strategy="momentum", symbol=SYMBOL, action="EXECUTE", side=scenario.opening,
        cause=f"{START_MS}-1", ts=START_MS, expires_at=START_MS + 1_500, price=1_000.0, confidence=0.9,
        phoenix95_score=0.8, risk_level="low", win_probability=0.6, win_samples=100, brier=0.2,
        position_fraction=0.02, leverage=5, stop_loss=990.0 if long else 1_010.0,
        take_profit=1_020.0 if long else 980.0, hold_ms=scenario.hold_ms, bar=None, indicators={}, factors=(),
        quality=Quality(warm=True, bars=100, degraded_bars=0, spread_bps=1.0), reasoning=("trend",), config="test",
    )  # fmt: skip


ACCOUNT: Final = VenueAccount(
    equity=EQUITY, wallet=EQUITY, available=EQUITY, used_margin=Decimal(0), unrealized=Decimal(0),
    maintenance=Decimal(0),
)  # fmt: skip


class Executor:
    """Runs steps of one scenario. `ledger` and `venue` may be subclasses with a mistake in them."""

    def __init__(
        self,
        scenario: Scenario,
        ledger: type[MemoryLedger] = MemoryLedger,
        venue: type[MemoryVenue] = MemoryVenue,
    ) -> None:
        self.scenario = scenario
        self.world = World(first(scenario))
        self.ledger = ledger(self.world)
        self.venue = venue(self.world, scenario)
        self.remembering = Remembering(self.ledger)
        self.ports = Ports(
            ledger=self.remembering, venue=self.venue, clock=self.world, bounds=BOUNDS, account="test",
            market=self._market, recv_window_ms=WINDOW_MS,
        )  # fmt: skip
        self._entries = [(ENTRY, {b"d": encode(analysis(scenario))})]

    async def _market(self, symbol: str) -> Market:
        now_ms, price = self.world.state.now_ms, Decimal(1_000)
        return Market(
            last=price,
            last_ms=now_ms,
            bid=price - BESIDE,
            ask=price + BESIDE,
            book_ms=now_ms,
            mark=price,
            mark_ms=now_ms,
        )

    # ------------------------------------------------------------------ time

    def _pass_to(self, at_ms: int) -> None:
        """Let time pass, with everything that is due until then, in order."""
        world = self.world
        while world.state.due:
            due = min(world.state.due, key=lambda one: one.at_ms)
            if due.at_ms > at_ms:
                break
            rest = list(world.state.due)
            rest.remove(due)
            world.put(now_ms=max(world.state.now_ms, due.at_ms), due=tuple(rest))
            self.venue.happens(due)
            if world.state.process.phase == "replaced":
                self._replaced()
        world.put(now_ms=max(world.state.now_ms, at_ms))

    def _replaced(self) -> None:
        """Another executor has the account; the present one does not know it yet."""
        state = self.world.state
        self.world.put(
            process=Process(state.process.token + 1, "start", state.now_ms),
            zombies=(*state.zombies, Zombie(state.process.token, state.now_ms, None, ())),
        )

    # ------------------------------------------------------------------ steps

    def step(self, state: State, script: Script = ()) -> Step:
        """The next step from `state`, with faults at its effects by index."""
        world = self.world
        world.begin(state, script)
        process = state.process
        zombie = _next_zombie(state)
        idle = process.phase == "idle"
        if idle and zombie is None:
            self._pass_to(max((due.at_ms for due in state.due), default=state.now_ms))
            over = world.state.process.phase == "idle" and not world.state.zombies
            if over and self._leftovers():
                ready_ms = world.state.now_ms + RECONCILED_MS
                world.put(process=replace(world.state.process, phase="reconcile", ready_ms=ready_ms))
                over = False
            return Step(world.state, [], world.worst_ms, over=over)
        if zombie is not None and (idle or (zombie.wakes_ms or 0) <= process.ready_ms):
            self._pass_to(zombie.wakes_ms or (zombie.began or state).now_ms + PAUSE_MS)
            return self._wake(state, zombie, script)
        self._pass_to(process.ready_ms)
        if world.state.process != process:  # replaced while it waited
            return Step(world.state, [], world.worst_ms)
        self._check_naked()
        self._run(self._turn(process), state, script)
        return Step(world.state, world.effects, world.worst_ms)

    async def _turn(self, process: Process) -> Process:
        """What the process does next, and what it is then."""
        now_ms = self.world.state.now_ms
        if process.phase == "start":
            await self.ledger.take()
            return replace(process, phase="recover")
        if process.phase == "recover":
            await self.ledger.restamp_naked(now_ms)
            return await self._active(replace(process, phase="read"))
        if process.phase == "reconcile":
            for client_id in self._leftovers():
                await self.venue.cancel_conditional(SYMBOL, client_id)
            return replace(process, phase="idle")
        if process.phase == "read":
            if await self.ledger.offsets() == ENTRY:
                return await self._active(replace(process, phase="idle"))
            taken = await take(
                self.ports,
                STREAM,
                self._entries,
                standing=Standing(ACCOUNT.told(now_ms), None),
                limits=Limits(wishes=self.scenario.wishes),
            )
            return replace(process, phase="drive" if taken.begun or taken.again else "read")
        step = await advance(self.ports, ANALYSIS_ID, sync=process.sync, taken_over=process.taken_over)
        if step.done:
            return replace(process, phase="idle")
        return replace(process, phase="drive", ready_ms=now_ms + step.ms, sync=False, taken_over=False)

    def _leftovers(self) -> list[str]:
        """What the reconciliation cancels: orders of ours that are open and that no trade under way wants."""
        if not self.world.state.woken:
            return []  # nobody else could have left them: that is for the invariants to say
        return [one.client_id for one in self.world.state.exchange.algos.values() if one.state == "OPEN"]

    async def _active(self, otherwise: Process) -> Process:
        """Drive what is under way: at the start, and what the sweep finds that nobody drives."""
        return replace(otherwise, phase="drive") if await self.ledger.active_groups() else otherwise

    def _run(self, turn: Coroutine[Any, Any, Process], began: State, script: Script) -> None:
        """Carry a turn out by hand: nothing in it really waits, except a process that was stopped."""
        world, process = self.world, self.world.state.process
        self._recall(process.memory)
        try:
            turn.send(None)
        except StopIteration as ended:
            world.put(process=replace(ended.value, memory=self._memory()))
        except Crash:
            world.put(**crashed(world.state))
        except (TransientError, OutcomeUnknown, VenueRejected):
            world.put(
                process=replace(process, ready_ms=world.state.now_ms + AGAIN_MS, memory=self._memory()),
            )
        except Fenced:
            world.blame("the active executor was fenced")
        except Exception as error:
            world.blame(f"{type(error).__name__}: {error}")
        else:
            turn.close()
            world.put(**stopped(world.state, began, script))

    def _wake(self, state: State, zombie: Zombie, script: Script) -> Step:
        """Let a stopped process go on from where it was until it meets the fence or waits."""
        world = self.world
        now = replace(world.state, zombies=tuple(one for one in world.state.zombies if one is not zombie))
        if zombie.began is None:
            turn = self._turn(Process(zombie.token, "drive", 0))
            self._recall(Memory())
        else:
            worst_ms = world.worst_ms
            world.begin(zombie.began, zombie.script)
            self._pass_to(zombie.began.process.ready_ms)
            turn = self._turn(zombie.began.process)
            self._recall(zombie.began.process.memory)
            turn.send(None)  # exactly as the first time, up to where it was stopped
            world.begin(now, script)
            world.worst_ms = worst_ms
        world.state = replace(now, woken=True)
        world.actor = zombie.token
        self._check_naked()
        try:
            turn.send(None)
        except (StopIteration, Crash, TransientError, OutcomeUnknown, VenueRejected, Fenced):
            pass
        except Exception as error:
            world.blame(f"{type(error).__name__}: {error}")
        else:
            turn.close()
        return Step(world.state, world.effects, world.worst_ms, woken=True)

    def _recall(self, memory: Memory) -> None:
        """Give the one `Remembering` that there is here what a process remembers."""
        mind: Any = self.remembering
        mind._known = {} if memory.known is None else {ANALYSIS_ID: memory.known}
        mind._owed = {ANALYSIS_ID} if memory.owed else set()
        mind._urgent = {ANALYSIS_ID} if memory.urgent else set()
        mind._just_stored = {ANALYSIS_ID} if memory.just_stored else set()
        mind._closes = {} if memory.close is None else {ANALYSIS_ID: memory.close}
        mind._says = list(memory.says)
        mind._modes, mind._away = memory.modes, memory.away
        self.ports.unknowns.count = memory.unknowns

    def _memory(self) -> Memory:
        mind: Any = self.remembering
        return Memory(
            known=mind._known.get(ANALYSIS_ID),
            owed=bool(mind._owed),
            urgent=bool(mind._urgent),
            just_stored=bool(mind._just_stored),
            away=mind._away,
            close=mind._closes.get(ANALYSIS_ID),
            says=tuple(mind._says),
            modes=mind._modes,
            unknowns=self.ports.unknowns.count,
        )

    def _check_naked(self) -> None:
        since_ms = self.world.state.exchange.naked_ms
        if since_ms is not None:
            self.world.worst_ms = max(self.world.worst_ms, self.world.state.now_ms - since_ms)


def _next_zombie(state: State) -> Zombie | None:
    """The one that wakes next: one without a time only after the successor has finished."""
    idle = state.process.phase == "idle"
    awake = [one for one in state.zombies if idle or one.wakes_ms is not None]
    return min(awake, key=lambda one: one.wakes_ms or 2**60, default=None)


def first(scenario: Scenario) -> State:
    """Before anything has happened: the analysis is in the stream, no executor has the account."""
    return State(START_MS, Ledger(), Exchange(), Process(1, "start", START_MS))


def crashed(state: State) -> dict[str, Any]:
    """The process is gone, another one starts."""
    return {
        "process": Process(state.process.token + 1, "start", state.now_ms + RESTART_MS),
        "disturbed": True,
    }


def stopped(state: State, began: State, script: Script) -> dict[str, Any]:
    """The process was stopped by the last fault of the script; its successor starts."""
    naps = script[-1][1].startswith("nap")
    zombie = Zombie(state.process.token, state.now_ms + NAP_MS if naps else None, began, script)
    return {**crashed(state), "zombies": (*state.zombies, zombie)}
