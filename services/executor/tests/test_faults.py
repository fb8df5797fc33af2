"""The order protocol in chosen situations; `tests/explorer` has it under every placement of faults.

The protocol is the real one; its ports are in memory. After each run: at most one entry was executed, nothing is
held, nothing is open, the ledger's fills are the exchange's, every intent is resolved, and no position was without a
listed stop for longer than allowed.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from phoenix95.common.clock import ManualClock
from phoenix95.common.errors import Fenced, OutcomeUnknown, RateLimited, TransientError, VenueRejected
from phoenix95.common.events import Analysis, Severity
from phoenix95.executor.core.candidate import Mode, Modes
from phoenix95.executor.core.decide import Decision, decide
from phoenix95.executor.core.figures import Figures
from phoenix95.executor.core.group import ExitReason, Fill, Group, with_intent
from phoenix95.executor.core.intents import TERMINAL, Intent, Role, move
from phoenix95.executor.core.observe import ConditionalReport, Report
from phoenix95.executor.core.plan import Bounds
from phoenix95.executor.core.sizing import Bracket, Rules
from phoenix95.executor.desk import Desk
from phoenix95.executor.ports import Ports, VenueAccount, VenuePosition
from phoenix95.executor.protocol.moves import advance
from phoenix95.executor.protocol.remembering import Remembering, caught_up
from phoenix95.executor.protocol.rescue import rescue

D = Decimal
START_MS = 1_721_347_200_000
BOUNDS = Bounds(naked_ms=5_000, margin_ms=2_000)
WINDOW_MS = 3_000
RESTART_MS = 500


class Crash(BaseException):
    """kill -9: nothing in the process survives it."""


class World:
    """Time, the fault plan, and what each effect was, so that a plan can be made for it."""

    def __init__(self, plan: Mapping[int, str]) -> None:
        self.clock = ManualClock(START_MS)
        self.plan = plan
        self.kinds: list[str] = []
        self.due: list[tuple[int, Callable[[], Any]]] = []
        self.postgres_away = range(0)
        self.after_tick: Callable[[], None] = lambda: None

    def pass_ms(self, ms: int) -> None:
        for _ in range(max(1, ms // 10)):
            self.clock.advance(10)
            for at, late in [one for one in self.due if one[0] <= self.clock.ms]:
                self.due.remove((at, late))
                late()
            self.after_tick()

    def effect(self, kind: str, apply: Callable[[], Any]) -> Any:
        if kind in ("stored", "load") and self.clock.ms in self.postgres_away:
            self.pass_ms(10)
            raise TransientError("Postgres is away")
        kind = {"stored": "write", "load": "read"}.get(kind, kind)
        fault = self.plan.get(len(self.kinds))
        self.kinds.append(kind)
        self.pass_ms(10)
        if fault == "crash_before":
            raise Crash
        if fault == "error_before":
            raise TransientError("away")
        if fault == "lost":
            raise OutcomeUnknown("lost")
        if fault == "reject":
            raise VenueRejected(-4131, "refused")
        if fault == "limited":
            raise RateLimited("too many requests", 1.0)
        if fault == "late":
            self.due.append((self.clock.ms + 800, apply))
            raise OutcomeUnknown("late")
        result = apply()
        if fault == "crash_after":
            raise Crash
        if fault == "error_after":
            raise TransientError("no reply")
        if fault == "timeout":
            raise OutcomeUnknown("timeout")
        return result


class MemoryVenue:
    """One symbol, market orders filled at once, conditional orders that trigger when the world says so."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.orders: dict[str, Report] = {}
        self.algos: dict[str, ConditionalReport] = {}
        self.trades: list[Fill] = []
        self.position = D(0)
        self.price = D(1_000)
        self.naked_ms = self.naked_max_ms = 0
        self.vanishing = 0  # so many of the next conditional orders are acknowledged and then gone
        self.silent = False  # questions about orders fail
        world.after_tick = self._tick

    def covered(self) -> bool:
        return any(algo.state == "OPEN" and algo.client_id.startswith("p95s") for algo in self.algos.values())

    def _tick(self) -> None:
        self.naked_ms = self.naked_ms + 10 if self.position > 0 and not self.covered() else 0
        self.naked_max_ms = max(self.naked_max_ms, self.naked_ms)

    def trigger(self, prefix: str) -> None:
        for client_id, algo in list(self.algos.items()):
            if algo.state == "OPEN" and client_id.startswith(prefix):
                if self.position == 0:
                    self.algos[client_id] = msgspec.structs.replace(algo, state="REJECTED")
                    continue
                order = self._fill("SELL", min(algo.quantity, self.position), f"made-{client_id}")
                self.algos[client_id] = msgspec.structs.replace(algo, state="TRIGGERED", order=order)

    def _fill(self, side: Any, quantity: Decimal, client_id: str) -> Report:
        order_id = str(len(self.trades) + 1)
        self.trades.append(
            Fill(
                trade_id=len(self.trades) + 1, order_id=order_id, symbol="BTCUSDT", side=side, position_side="LONG",
                price=self.price, quantity=quantity, fee=D("0.01"), fee_asset="USDT", realized_pnl=D(0),
                time_ms=self.world.clock.ms,
            )
        )  # fmt: skip
        self.position += quantity if side == "BUY" else -quantity
        report = Report(
            order_id=order_id, client_id=client_id, state="FILLED", filled=quantity, average_price=self.price
        )
        self.orders[client_id] = report
        return report

    def _in_time(self, intent: Intent) -> None:
        assert intent.deadline_ms is not None
        if self.world.clock.ms > intent.deadline_ms:
            raise VenueRejected(-1021, "outside of the recvWindow")

    async def prepare(self, symbol: str, leverage: int) -> None:
        self.world.effect("set", lambda: None)

    async def place(self, intent: Intent) -> Report:
        def apply() -> Report:
            self._in_time(intent)
            if intent.side == "SELL" and intent.quantity > self.position:
                raise VenueRejected(-2022, "ReduceOnly Order is rejected")
            return self._fill(intent.side, intent.quantity, intent.client_id)

        return self.world.effect("send", apply)  # type: ignore[no-any-return]

    async def place_conditional(self, intent: Intent) -> ConditionalReport:
        def apply() -> ConditionalReport:
            self._in_time(intent)
            if intent.client_id in self.algos:
                raise VenueRejected(-4116, "duplicated")
            algo = ConditionalReport(
                venue_id=f"algo-{intent.client_id}", client_id=intent.client_id, symbol=intent.symbol,
                state="OPEN", quantity=intent.quantity,
            )  # fmt: skip
            if self.vanishing:
                self.vanishing -= 1
            else:
                self.algos[intent.client_id] = algo
            return algo

        return self.world.effect("send", apply)  # type: ignore[no-any-return]

    async def cancel_conditional(self, symbol: str, client_id: str) -> bool:
        def apply() -> bool:
            algo = self.algos.get(client_id)
            if algo is None or algo.state != "OPEN":
                return False
            self.algos[client_id] = msgspec.structs.replace(algo, state="CANCELED")
            return True

        return self.world.effect("write", apply)  # type: ignore[no-any-return]

    async def order(self, symbol: str, client_id: str) -> Report | None:
        if self.silent:
            raise TransientError("no answer")
        return self.world.effect("read", lambda: self.orders.get(client_id))  # type: ignore[no-any-return]

    async def order_by_id(self, symbol: str, order_id: str) -> Report | None:
        return self.world.effect(  # type: ignore[no-any-return]
            "read", lambda: next((one for one in self.orders.values() if one.order_id == order_id), None)
        )

    async def conditional(self, symbol: str, client_id: str) -> ConditionalReport | None:
        return self.world.effect("read", lambda: self.algos.get(client_id))  # type: ignore[no-any-return]

    async def open_conditionals(self, symbol: str | None) -> tuple[ConditionalReport, ...]:
        return self.world.effect(  # type: ignore[no-any-return]
            "read", lambda: tuple(algo for algo in self.algos.values() if algo.state == "OPEN")
        )

    async def fills(self, symbol: str, *, since_ms: int, after_id: int | None) -> tuple[Fill, ...]:
        return self.world.effect(  # type: ignore[no-any-return]
            "read", lambda: tuple(fill for fill in self.trades if fill.trade_id > (after_id or 0))
        )

    async def positions(self) -> tuple[VenuePosition, ...]:
        return ()

    async def account(self) -> VenueAccount:
        raise TransientError("not asked here")

    async def rules(self, symbol: str) -> Rules | None:
        return None

    async def brackets(self, symbol: str) -> tuple[Bracket, ...]:
        return ()

    def wait_ms(self, role: Role) -> int:
        return 0


class MemoryLedger:
    """Stores like the real one; what is written survives a crash."""

    def __init__(self, world: World, group: Group) -> None:
        self.world = world
        self.stored = group
        self.halted: list[str] = []
        self.listed: Callable[[], bool] = lambda: True
        self.reason: str | None = None

    def _trade(self, **changes: Any) -> None:
        trade = msgspec.structs.replace(self.stored.trade, **changes)
        self.stored = msgspec.structs.replace(self.stored, trade=trade)

    def _put(self, intent: Intent) -> None:
        others = tuple(one for one in self.stored.intents if one.client_id != intent.client_id)
        self.stored = msgspec.structs.replace(self.stored, intents=(*others, intent))

    async def modes(self) -> Modes:
        return self.world.effect("load", lambda: Modes(symbols=dict.fromkeys(self.halted, "HALT")))  # type: ignore[no-any-return]

    async def figures(self, symbol: str, *, now_ms: int, since_ms: int, staged: int) -> Figures:
        raise AssertionError("nothing is decided here")

    async def group(self, analysis_id: str) -> Group:
        return self.world.effect("load", lambda: self.stored)  # type: ignore[no-any-return]

    async def active_groups(self) -> tuple[Group, ...]:
        return (self.stored,)

    async def restamp_naked(self, now_ms: int) -> None:
        if self.stored.trade.naked_since_ms is not None:
            self._trade(naked_since_ms=now_ms)

    async def decide(self, decisions: Sequence[Decision], offset: tuple[str, str] | None, modes: Modes) -> None:
        raise AssertionError("nothing is decided here")

    async def poison(self, source: str, entry_id: str, fields: Mapping[str, str], error: str, now_ms: int) -> None:
        raise AssertionError("nothing is read here")

    async def plan(self, intent: Intent) -> None:
        def apply() -> None:
            if all(one.client_id != intent.client_id for one in self.stored.intents):
                self._put(intent)

        self.world.effect("stored", apply)

    async def sign(self, intent: Intent, *, entry: bool) -> bool:
        def apply() -> bool:
            assert self.stored.intent(intent.client_id).state == "PLANNED", "signed twice"
            self._put(intent)
            return True

        return self.world.effect("stored", apply)  # type: ignore[no-any-return]

    async def record(self, before: Group, after: Group) -> None:
        def apply() -> None:
            for intent in after.intents:
                self._put(intent)
            trade = after.trade
            self._trade(opened_ms=trade.opened_ms, naked_since_ms=trade.naked_since_ms, stage=trade.stage)

        self.world.effect("stored", apply)

    async def save_fills(self, analysis_id: str, fills: Sequence[Fill]) -> None:
        def apply() -> None:
            known = {fill.trade_id: fill for fill in (*self.stored.fills, *fills)}
            self.stored = msgspec.structs.replace(self.stored, fills=tuple(known.values()))

        self.world.effect("stored", apply)

    async def begin_close(self, analysis_id: str, reason: ExitReason, halt: str | None, now_ms: int) -> None:
        def apply() -> None:
            self._trade(close_reason=self.stored.trade.close_reason or reason, stage="CLOSING")
            if halt is not None:
                self.halted.append("BTCUSDT")

        self.world.effect("stored", apply)

    async def protected(self, analysis_id: str, now_ms: int) -> None:
        def apply() -> None:
            assert self.listed(), "called protected without a stop in the list"
            self._trade(stage="PROTECTED")

        self.world.effect("stored", apply)

    def _end(self, stage: str, reason: str, now_ms: int) -> None:
        for intent in self.stored.intents:
            if intent.state == "PLANNED":
                self._put(move(intent, "CANCELED", updated_ms=now_ms))
        self._trade(stage=stage, naked_since_ms=None)
        self.reason = reason

    async def failed(self, analysis_id: str, reason: str, now_ms: int) -> None:
        self.world.effect("stored", lambda: self._end("FAILED", reason, now_ms))

    async def finish(self, group: Group, reason: ExitReason, now_ms: int) -> None:
        self.world.effect("stored", lambda: self._end("CLOSED", reason, now_ms))

    async def tighten(self, mode: Mode, cause: str, reason: str, symbol: str | None) -> bool:
        self.world.effect("stored", lambda: self.halted.append(symbol or "account"))
        return True

    async def alert(self, severity: Severity, kind: str, message: str, symbol: str | None) -> None:
        self.world.effect("stored", lambda: None)


Scenario = Callable[[World, MemoryVenue], None]


def stop_is_hit(world: World, venue: MemoryVenue) -> None:
    if world.clock.ms > START_MS + 4_000:
        venue.trigger("p95s")


def target_is_hit(world: World, venue: MemoryVenue) -> None:
    if world.clock.ms > START_MS + 2_000:
        venue.trigger("p95t")


def nothing_is_hit(world: World, venue: MemoryVenue) -> None:
    """The time barrier ends it."""


def finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never really waits: all ports are in memory."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        return stopped.value
    raise AssertionError("the protocol waited for something that is no port")


def ports_of(world: World, venue: MemoryVenue, ledger: MemoryLedger) -> Ports:
    """What a process has: its memory of the ledger ends with it."""
    return Ports(
        ledger=Remembering(ledger), venue=venue, clock=world.clock, bounds=BOUNDS, account="test",
        recv_window_ms=WINDOW_MS,
    )  # fmt: skip


def play(group: Group, plan: Mapping[int, str], scenario: Scenario) -> tuple[World, MemoryVenue, MemoryLedger]:
    world = World(plan)
    venue, ledger = MemoryVenue(world), MemoryLedger(world, group)
    ledger.listed = venue.covered
    ports, taken_over = ports_of(world, venue, ledger), True
    for _ in range(1_500):
        scenario(world, venue)
        try:
            step = finished(advance(ports, group.trade.analysis_id, taken_over=taken_over))
        except Crash:
            world.pass_ms(RESTART_MS)
            finished(ledger.restamp_naked(world.clock.ms))
            ports, taken_over = ports_of(world, venue, ledger), True
            continue
        except (TransientError, OutcomeUnknown, VenueRejected):
            world.pass_ms(100)
            continue
        taken_over = False
        if step.done:
            break
        world.pass_ms(step.ms)
    else:
        pytest.fail(f"no end under {plan}: {ledger.stored}")
    world.pass_ms(2_000)  # whatever is still under way arrives
    return world, venue, ledger


def check(plan: Mapping[int, str], venue: MemoryVenue, ledger: MemoryLedger) -> None:
    said = f"under {dict(plan)}"
    group = ledger.stored
    assert sum(fill.side == "BUY" for fill in venue.trades) <= 1, f"two entries {said}"
    assert venue.position == 0, f"still holds {venue.position} {said}"
    assert not [algo for algo in venue.algos.values() if algo.state == "OPEN"], f"open orders {said}"
    assert {fill.trade_id for fill in group.fills} == {fill.trade_id for fill in venue.trades}, f"fills {said}"
    assert all(intent.state in TERMINAL for intent in group.intents), f"unresolved {said}"
    allowed = BOUNDS.naked_ms + RESTART_MS * len(plan) + 1_500
    assert venue.naked_max_ms <= allowed, f"naked for {venue.naked_max_ms} ms {said}"


@pytest.fixture
def group(an_analysis: Callable[..., Analysis], surroundings: dict[str, Any]) -> Group:
    decision = decide(
        an_analysis(ts=START_MS, expires_at=START_MS + 1_500, hold_ms=10_000),
        account="test", now_ms=START_MS, uncertainty_ms=1.0, **surroundings,
    )  # fmt: skip
    assert decision.group is not None, decision.decided.reason
    return decision.group


SCENARIOS = (stop_is_hit, target_is_hit, nothing_is_hit)
REASONS = {"stop_is_hit": "stop_loss", "target_is_hit": "take_profit", "nothing_is_hit": "time_barrier"}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_without_a_fault_the_trade_is_entered_protected_and_closed(group: Group, scenario: Scenario) -> None:
    _, venue, ledger = play(group, {}, scenario)
    check({}, venue, ledger)
    assert (ledger.stored.trade.stage, ledger.reason) == ("CLOSED", REASONS[scenario.__name__])
    assert venue.naked_max_ms < 200


def test_three_refused_stops_close_the_position_and_halt_the_symbol(group: Group) -> None:
    clean, *_ = play(group, {}, nothing_is_hit)
    plan: dict[int, str] = {}
    sends = itertools.count()
    for _ in range(3):  # refuse each stop where it is sent in the run so far
        world, *_ = play(group, plan, nothing_is_hit)
        stops = [index for index, kind in enumerate(world.kinds) if kind == "send" and index not in plan]
        plan[stops[1]] = "reject"
        next(sends)
    _, venue, ledger = play(group, plan, nothing_is_hit)
    check(plan, venue, ledger)
    assert (ledger.reason, ledger.halted) == ("unprotected", ["BTCUSDT"])
    assert len(clean.kinds) > 0


def test_a_stop_that_was_acknowledged_and_vanished_is_placed_again(group: Group) -> None:
    def vanishes(world: World, venue: MemoryVenue) -> None:
        if world.clock.ms == START_MS:
            venue.vanishing = 1

    _, venue, ledger = play(group, {}, vanishes)
    check({}, venue, ledger)
    assert [stop.state for stop in ledger.stored.of("stop")] == ["ABSENT", "CANCELED"]
    assert venue.naked_max_ms < BOUNDS.naked_ms


def test_an_error_while_asking_is_not_an_answer(group: Group) -> None:
    def silent_for_long(world: World, venue: MemoryVenue) -> None:
        venue.silent = world.clock.ms < START_MS + 20_000

    clean, *_ = play(group, {}, nothing_is_hit)
    plan = {clean.kinds.index("send"): "timeout"}
    _, venue, ledger = play(group, plan, silent_for_long)
    assert ledger.stored.entry.state == "FILLED"
    assert venue.position == 0


def test_an_old_entry_is_never_sent(group: Group) -> None:
    world = World({})
    venue, ledger = MemoryVenue(world), MemoryLedger(world, group)
    world.pass_ms(1_600)
    ports = Ports(
        ledger=ledger, venue=venue, clock=world.clock, bounds=BOUNDS, account="test", recv_window_ms=WINDOW_MS
    )
    while not finished(advance(ports, group.trade.analysis_id)).done:
        pass
    assert (ledger.stored.trade.stage, venue.trades) == ("FAILED", [])


def test_the_loop_helper_refuses_real_waiting() -> None:
    async def waits() -> None:
        await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="no port"):
        finished(waits())


def test_a_stop_that_cannot_grow_with_the_position_closes_it(group: Group) -> None:
    """A smaller stop protects a part only: the refused one is not tried without end."""
    world = World({})
    venue, ledger = MemoryVenue(world), MemoryLedger(world, group)
    ports = Ports(
        ledger=ledger, venue=venue, clock=world.clock, bounds=BOUNDS, account="test", recv_window_ms=WINDOW_MS
    )
    while ledger.stored.trade.stage != "PROTECTED":
        finished(advance(ports, group.trade.analysis_id))
    venue._fill("BUY", D(5), "a-person")
    place = venue.place_conditional
    refused = 0

    async def full(intent: Intent) -> ConditionalReport:
        nonlocal refused
        if intent.role != "stop":
            return await place(intent)
        refused += 1
        raise VenueRejected(-4045, "Reach max stop order limit.")

    venue.place_conditional = full  # type: ignore[method-assign]
    step = finished(advance(ports, group.trade.analysis_id, sync=True))
    for _ in range(200):
        if step.done:
            break
        world.pass_ms(step.ms)
        step = finished(advance(ports, group.trade.analysis_id))
    assert (step.done, refused, venue.position, ledger.halted) == (True, 3, D(0), ["BTCUSDT"])
    assert ledger.reason == "unprotected"


# ---------------------------------------------------------------- without Postgres


@pytest.mark.parametrize("away_ms", [200, 3_000, 30_000])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_postgres_may_go_at_any_moment(group: Group, scenario: Scenario, away_ms: int) -> None:
    """The stop stored with the entry is sent all the same, and what happened is in the ledger when it is back."""
    for start_ms in range(START_MS, START_MS + 400, 10):

        def goes(world: World, venue: MemoryVenue, start_ms: int = start_ms) -> None:
            world.postgres_away = range(start_ms, start_ms + away_ms)
            scenario(world, venue)

        _, venue, ledger = play(group, {}, goes)
        check({}, venue, ledger)
        assert venue.naked_max_ms < 1_000, f"naked for {venue.naked_max_ms} ms, away after {start_ms - START_MS} ms"


def test_from_memory_a_position_is_closed_when_its_stop_is_refused(group: Group) -> None:
    """And the symbol is halted once that can be stored."""
    clean, *_ = play(group, {}, nothing_is_hit)
    stop = [index for index, kind in enumerate(clean.kinds) if kind == "send"][1]

    def goes(world: World, venue: MemoryVenue) -> None:
        if venue.trades and not world.postgres_away:
            world.postgres_away = range(world.clock.ms, world.clock.ms + 60_000)

    for index in range(stop - 6, stop + 1):  # where it is sent without the ledger
        _, venue, ledger = play(group, {index: "reject"}, goes)
        check({}, venue, ledger)
        if ledger.reason == "unprotected":
            assert ledger.halted == ["BTCUSDT"]
            assert [one.state for one in ledger.stored.of("exit")] == ["FILLED"]
            return
    pytest.fail("the stop was never refused")


def test_who_dies_without_postgres_is_followed_by_one_who_asks_first(group: Group) -> None:
    """Stop and exit were sent from memory and nothing of it is stored: neither is sent a second time."""

    def goes(world: World, venue: MemoryVenue) -> None:
        if venue.trades and not world.postgres_away:
            world.postgres_away = range(world.clock.ms, world.clock.ms + 3_000)
        stop_is_hit(world, venue)

    clean, *_ = play(group, {}, goes)
    for index in range(len(clean.kinds)):
        plan = {index: "crash_after"}
        _, venue, ledger = play(group, plan, goes)
        # a process that starts while the ledger is away knows of no position: that is what the host's restart costs
        assert sum(fill.side == "BUY" for fill in venue.trades) <= 1
        assert venue.position == 0
        assert ledger.reason != "external", f"its own order was taken for a stranger's under {plan}"
        assert all(intent.state in TERMINAL for intent in ledger.stored.intents)


def test_entries_halt_after_too_many_unknown_outcomes(group: Group) -> None:
    clean, *_ = play(group, {}, nothing_is_hit)
    plan: dict[int, str] = {}
    for _ in range(5):
        world, *_ = play(group, plan, nothing_is_hit)
        sends = [index for index, kind in enumerate(world.kinds) if kind == "send" and index not in plan]
        plan[sends[0]] = "timeout" if not plan else "lost"
    _, venue, ledger = play(group, plan, nothing_is_hit)
    check(plan, venue, ledger)
    assert "account" in ledger.halted
    assert "account" not in play(group, dict(list(plan.items())[:4]), nothing_is_hit)[2].halted
    assert len(clean.kinds) > 0


# ---------------------------------------------------------------- what nobody foresaw


async def test_a_trade_that_fails_in_an_unforeseen_way_is_quarantined_alone(group: Group) -> None:
    world = World({})
    venue, ledger = MemoryVenue(world), MemoryLedger(world, group)
    protected, broken = ledger.protected, True

    async def fails(analysis_id: str, now_ms: int) -> None:
        if broken:
            raise KeyError("nobody thought of this")
        await protected(analysis_id, now_ms)

    ledger.protected = fails  # type: ignore[method-assign]
    stop = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        desk = Desk(ports_of(world, venue, ledger), tasks, stop)
        await desk.start(group.trade.analysis_id, "BTCUSDT").wait()  # it holds the recovery of the others up no longer
        assert (ledger.halted, venue.covered(), ledger.stored.trade.stage) == (["BTCUSDT"], True, "PROTECTING")
        broken = False
        while ledger.stored.trade.stage != "PROTECTED":
            desk.hint("BTCUSDT")
            await asyncio.sleep(0.01)
        stop.set()
    assert ledger.halted == ["BTCUSDT"]  # said once


async def test_only_another_executor_ends_the_process(group: Group) -> None:
    world = World({})
    ledger = MemoryLedger(world, group)

    async def fenced(analysis_id: str) -> Group:
        raise Fenced("FENCED_OWNER", "account test")

    ledger.group = fenced  # type: ignore[method-assign]
    with pytest.raises(ExceptionGroup) as raised:
        async with asyncio.TaskGroup() as tasks:
            Desk(ports_of(world, MemoryVenue(world), ledger), tasks, asyncio.Event()).start("a", "BTCUSDT")
    assert isinstance(raised.value.exceptions[0], Fenced)


@pytest.mark.parametrize("refused", [False, True])
def test_a_rescue_brings_a_stop_or_an_exit_to_the_exchange(group: Group, refused: bool) -> None:
    world = World({})
    venue, ledger = MemoryVenue(world), MemoryLedger(world, group)
    ports = ports_of(world, venue, ledger)
    while not venue.trades:
        finished(advance(ports, group.trade.analysis_id))

    async def held() -> tuple[VenuePosition, ...]:
        return (
            VenuePosition(
                symbol="BTCUSDT", position_side="LONG", size=venue.position, entry_price=venue.price,
                mark_price=venue.price, unrealized=D(0),
            ),
        )  # fmt: skip

    venue.positions = held  # type: ignore[method-assign]
    if refused:
        world.plan = {len(world.kinds) + 3: "reject"}  # the ledger is read, the list is read, a signature, the stop
    finished(rescue(ports, group.trade.analysis_id))
    assert (venue.position == 0, venue.covered()) == (refused, not refused)
    sent = len(world.kinds)
    if not refused:
        finished(rescue(ports, group.trade.analysis_id))
        assert "send" not in world.kinds[sent:]


def test_stops_held_off_by_a_rate_limit_close_no_healthy_position(group: Group) -> None:
    plan: dict[int, str] = {}
    for _ in range(4):  # one more than the refusals that would close it
        world, *_ = play(group, plan, target_is_hit)
        sends = [index for index, kind in enumerate(world.kinds) if kind == "send" and index not in plan]
        plan[sends[1]] = "limited"
    _, venue, ledger = play(group, plan, nothing_is_hit)
    check(plan, venue, ledger)
    assert (ledger.reason, ledger.halted) == ("time_barrier", [])
    first, *others = [stop.state for stop in ledger.stored.of("stop")]
    assert (first, others[:3]) == ("ABSENT", ["REJECTED"] * 3)  # the first may have been sent from memory before


def entered_in(world: World, venue: MemoryVenue, ledger: MemoryLedger, ports: Ports) -> None:
    while not ledger.stored.entry.filled:
        finished(advance(ports, ledger.stored.trade.analysis_id))


def test_a_stop_that_is_called_open_but_not_listed_is_placed_again(group: Group) -> None:
    """Asked for by its id it seems to be there; only the list of open orders says that it is not."""
    world = World({})
    venue, ledger = MemoryVenue(world), MemoryLedger(world, group)
    ports = ports_of(world, venue, ledger)
    while ledger.stored.trade.stage != "PROTECTED":
        finished(advance(ports, group.trade.analysis_id))
    first = next(stop for stop in ledger.stored.of("stop") if stop.state == "OPEN")
    listed = venue.open_conditionals

    async def without(symbol: str | None) -> tuple[ConditionalReport, ...]:
        return tuple(one for one in await listed(symbol) if one.client_id != first.client_id)

    venue.open_conditionals = without  # type: ignore[method-assign]
    since_ms = world.clock.ms
    while not any(stop.state == "OPEN" for stop in ledger.stored.of("stop")[1:]):
        world.pass_ms(finished(advance(ports, group.trade.analysis_id)).ms)
        assert world.clock.ms < since_ms + 5_000
    assert (ledger.stored.intent(first.client_id).state, ledger.stored.trade.close_reason) == ("ABSENT", None)


def test_nothing_but_stop_and_exit_is_signed_from_memory(group: Group) -> None:
    world = World({})
    venue, ledger = MemoryVenue(world), MemoryLedger(world, group)
    memory = Remembering(ledger)
    finished(memory.group(group.trade.analysis_id))
    world.postgres_away = range(world.clock.ms, world.clock.ms + 60_000)
    for role, allowed in (("entry", False), ("target", False), ("stop", True), ("exit", True)):
        sent = move(group.of(role)[0], "SENT", signed_ms=START_MS, deadline_ms=START_MS)  # type: ignore[arg-type]
        if allowed:
            assert finished(memory.sign(sent, entry=False))
        else:
            with pytest.raises(TransientError):
                finished(memory.sign(sent, entry=role == "entry"))
    assert venue.trades == []


def test_what_a_lost_commit_stored_is_not_taken_back(group: Group) -> None:
    stop = move(group.of("stop")[0], "SENT", signed_ms=START_MS, deadline_ms=START_MS)
    stored = with_intent(group, stop, START_MS)
    assert caught_up(stored, group).intent(stop.client_id) == stop
    assert caught_up(group, stored).intent(stop.client_id) == stop


def test_a_fill_that_is_listed_late_with_a_lower_id_is_found(group: Group) -> None:
    world = World({})
    venue, ledger = MemoryVenue(world), MemoryLedger(world, group)
    ports = ports_of(world, venue, ledger)
    entered_in(world, venue, ledger, ports)
    whole = venue.trades.pop()
    parts = [
        msgspec.structs.replace(whole, trade_id=number, quantity=whole.quantity / 2, price=D(1_000))
        for number in (5, 6)
    ]
    venue.trades.append(parts[1])
    finished(advance(ports, group.trade.analysis_id, sync=True))
    assert [fill.trade_id for fill in ledger.stored.fills] == [6]
    venue.trades.append(parts[0])
    finished(advance(ports, group.trade.analysis_id, sync=True))
    assert ([fill.trade_id for fill in ledger.stored.fills], ledger.stored.fills_complete) == ([6, 5], True)


@pytest.mark.parametrize("told", [True, False])
async def test_a_quarantined_trade_is_rescued(group: Group, told: bool) -> None:
    """Its moves fail before the stop is there: the exchange is given one all the same, be the halt stored or not."""
    world = World({})
    venue, ledger = MemoryVenue(world), MemoryLedger(world, group)
    ports = ports_of(world, venue, ledger)
    entered_in(world, venue, ledger, ports)

    async def broken() -> Modes:
        raise KeyError("nobody thought of this")

    async def held() -> tuple[VenuePosition, ...]:
        return (
            VenuePosition(
                symbol="BTCUSDT", position_side="LONG", size=venue.position, entry_price=venue.price,
                mark_price=venue.price, unrealized=D(0),
            ),
        )  # fmt: skip

    async def cannot(mode: Mode, cause: str, reason: str, symbol: str | None) -> bool:
        raise ValueError("no such scope")

    if not told:
        ledger.tighten = cannot  # type: ignore[method-assign]
    ledger.modes, venue.positions = broken, held  # type: ignore[method-assign]
    stop = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        await Desk(ports_of(world, venue, ledger), tasks, stop).start(group.trade.analysis_id, "BTCUSDT").wait()
        assert venue.covered()
        stop.set()
