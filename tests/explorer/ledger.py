"""The ledger in memory: what is written survives a crash, and every write proves first who is active."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from phoenix95.common.errors import Fenced, InvariantBroken, TransientError
from phoenix95.common.events import Severity
from phoenix95.executor.core.book import exposures
from phoenix95.executor.core.candidate import Mode, Modes
from phoenix95.executor.core.decide import Decision
from phoenix95.executor.core.figures import Figures
from phoenix95.executor.core.group import ExitReason, Fill, Group
from phoenix95.executor.core.intents import Intent, move
from phoenix95.executor.core.pnl import result
from tests.explorer.world import Ledger, World, replace

EQUITY: Final = Decimal(10_000)
OVER: Final = ("CLOSED", "FAILED")
STRICTER: Final[tuple[Mode, ...]] = ("RUN", "REDUCE_ONLY", "HALT", "FLATTEN")


class MemoryLedger:
    """See `ports.Ledger`. Each method is one effect."""

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def stored(self) -> Ledger:
        return self.world.state.ledger

    def put(self, **changes: Any) -> None:
        self.world.put(ledger=replace(self.stored, **changes))

    def fence(self) -> None:
        """Raise Fenced unless the process that asks is the active one."""
        if self.world.actor != self.stored.token:
            raise Fenced("FENCED_OWNER", "account test")

    async def write(self, name: str, apply: Callable[[], Any]) -> Any:
        def fenced() -> Any:
            self.fence()
            return apply()

        return await self.world.effect(f"ledger.{name}", "write", fenced)

    async def read(self, name: str, apply: Callable[[], Any]) -> Any:
        return await self.world.effect(f"ledger.{name}", "read", apply)

    def _group(self) -> Group:
        if self.stored.group is None:
            raise InvariantBroken("no trade")
        return self.stored.group

    def _put_trade(self, **changes: Any) -> None:
        group = self._group()
        trade = replace(group.trade, **changes)
        if trade != group.trade:
            self.put(group=replace(group, trade=trade))

    def put_intents(self, changed: Sequence[Intent]) -> None:
        """Replace rows by client id, add what is new; the order is that of the real one, by role and attempt."""
        group = self._group()
        rows = {one.client_id: one for one in group.intents} | {one.client_id: one for one in changed}
        intents = tuple(sorted(rows.values(), key=lambda one: (one.role, one.attempt)))
        self.put(group=replace(group, intents=intents))

    async def take(self) -> None:
        """What `ownership.take` does: from now on only this process may write. The lock belongs to a connection, so
        one that was stopped meanwhile has lost both."""

        def apply() -> None:
            if self.world.actor < self.stored.token:
                raise Fenced("FENCED_OWNER", "account test")
            self.put(token=self.world.actor)

        await self.world.effect("ledger.take", "write", apply)

    async def modes(self) -> Modes:
        return await self.read("modes", lambda: self.stored.modes)  # type: ignore[no-any-return]

    async def offsets(self) -> str | None:
        return await self.read("offsets", lambda: self.stored.offset)  # type: ignore[no-any-return]

    async def figures(self, symbol: str, *, now_ms: int, since_ms: int, staged: int) -> Figures:
        def told() -> Figures:
            group = self.stored.group
            groups = () if group is None or group.trade.stage in OVER else (group,)
            return Figures(exposures=exposures(groups), modes=self.stored.modes, peak_equity=EQUITY)

        return await self.read("figures", told)  # type: ignore[no-any-return]

    async def group(self, analysis_id: str) -> Group:
        return await self.read("group", self._group)  # type: ignore[no-any-return]

    async def active_groups(self) -> tuple[Group, ...]:
        def active() -> tuple[Group, ...]:
            group = self.stored.group
            return () if group is None or group.trade.stage in OVER else (group,)

        return await self.read("active_groups", active)  # type: ignore[no-any-return]

    async def restamp_naked(self, now_ms: int) -> None:
        def apply() -> None:
            group = self.stored.group
            if group is not None and group.trade.naked_since_ms is not None:
                self._put_trade(naked_since_ms=now_ms)

        await self.write("restamp_naked", apply)

    async def decide(
        self, decisions: Sequence[Decision], offset: tuple[str, str] | None, modes: Modes
    ) -> tuple[Group, ...]:
        def apply() -> tuple[Group, ...]:
            entering = [one.group for one in decisions if one.group is not None]
            if entering and modes != self.stored.modes:
                raise TransientError("the control mode changed while the gates were asked")
            begun = tuple(entering[:1]) if self.stored.group is None else ()
            if begun:
                self.put(group=begun[0])
            if offset is not None:
                self.put(offset=offset[1])
            return begun

        return await self.write("decide", apply)  # type: ignore[no-any-return]

    async def poison(self, source: str, entry_id: str, fields: Mapping[str, str], error: str, now_ms: int) -> None:
        raise AssertionError(f"nothing unreadable is read here: {error}")

    async def plan(self, intent: Intent) -> None:
        def apply() -> None:
            group = self._group()
            there = {(one.role, one.attempt) for one in group.intents}
            if (intent.role, intent.attempt) not in there:
                self.put_intents([intent])

        await self.write(f"plan:{intent.role}", apply)

    async def sign(self, intent: Intent, *, entry: bool) -> bool:
        def apply() -> bool:
            if entry and self.stored.modes.blocking(intent.symbol) is not None:
                return False
            if self._group().intent(intent.client_id).state != "PLANNED":
                raise InvariantBroken(f"intent {intent.client_id} was signed already")
            self.put_intents([intent])
            return True

        return await self.write(f"sign:{intent.role}", apply)  # type: ignore[no-any-return]

    async def record(self, before: Group, after: Group) -> None:
        def apply() -> None:
            known = {one.client_id: one for one in before.intents}
            self.put_intents([one for one in after.intents if one != known.get(one.client_id)])
            trade = after.trade
            stage = "PROTECTING" if trade.stage == "ENTERING" and after.entry.filled else trade.stage
            self._put_trade(opened_ms=trade.opened_ms, naked_since_ms=trade.naked_since_ms, stage=stage)

        await self.write("record", apply)

    async def save_fills(self, analysis_id: str, fills: Sequence[Fill]) -> None:
        def apply() -> None:
            group = self._group()
            known = {fill.trade_id: fill for fill in group.fills}
            for fill in fills:
                if fill.trade_id not in known or fill.client_id is not None:
                    known[fill.trade_id] = replace(known.get(fill.trade_id, fill), client_id=fill.client_id)
            self.put(group=replace(group, fills=tuple(known[one] for one in sorted(known))))

        await self.write("save_fills", apply)

    async def begin_close(self, analysis_id: str, reason: ExitReason, halt: str | None, now_ms: int) -> None:
        def apply() -> None:
            trade = self._group().trade
            self._put_trade(close_reason=trade.close_reason or reason, stage="CLOSING")
            if halt is not None:
                self._tighten("HALT", trade.symbol)

        await self.write("begin_close", apply)

    async def protected(self, analysis_id: str, now_ms: int) -> None:
        await self.write("protected", lambda: self._put_trade(stage="PROTECTED"))

    async def failed(self, analysis_id: str, reason: str, now_ms: int) -> None:
        await self.write("failed", lambda: self._end("FAILED", reason, now_ms))

    async def finish(self, group: Group, reason: ExitReason, now_ms: int) -> None:
        def apply() -> None:
            made = result(group.fills, group.trade.position_side)
            if made.size != 0 or made.entry_price is None:
                raise InvariantBroken(f"closed with {made.size} open by its fills")
            self._end("CLOSED", reason, now_ms)
            self.put(realized=made.realized)

        await self.write("finish", apply)

    def _end(self, stage: str, reason: str, now_ms: int) -> None:
        self.put_intents(
            [move(one, "CANCELED", updated_ms=now_ms) for one in self._group().intents if one.state == "PLANNED"]
        )
        self._put_trade(stage=stage, naked_since_ms=None)
        self.put(ended=reason)

    def _tighten(self, mode: Mode, symbol: str | None) -> bool:
        modes = self.stored.modes
        before = modes.account if symbol is None else modes.symbols.get(symbol, "RUN")
        if STRICTER.index(mode) <= STRICTER.index(before):
            return False
        if symbol is None:
            self.put(modes=replace(modes, account=mode))
        else:
            self.put(modes=replace(modes, symbols={**modes.symbols, symbol: mode}))
        return True

    async def tighten(self, mode: Mode, cause: str, reason: str, symbol: str | None) -> bool:
        return await self.write("tighten", lambda: self._tighten(mode, symbol))  # type: ignore[no-any-return]

    async def alert(self, severity: Severity, kind: str, message: str, symbol: str | None) -> None:
        await self.write("alert", lambda: None)
