"""The ledger with a memory: while it cannot be reached, what protects a position goes on without it.

Stop and emergency exit were stored with the entry, client ids and all. So they may be sent while nothing can be
stored, and be recorded afterwards: whoever finds them stored but not signed asks for their client ids first. Nothing
else is sent from memory, and no entry at all.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from phoenix95.common.errors import Fenced, TransientError
from phoenix95.common.events import Severity
from phoenix95.executor.core.candidate import Mode, Modes
from phoenix95.executor.core.decide import Decision
from phoenix95.executor.core.figures import Figures
from phoenix95.executor.core.group import ExitReason, Fill, Group, with_fills, with_intent
from phoenix95.executor.core.intents import Intent, may_become
from phoenix95.executor.core.plan import stored_with_entry
from phoenix95.executor.ports import Ledger


def _never() -> str | None:
    return None


class Remembering:
    """See `ports.Ledger`. `barred` says why no entry may be sent at present, whatever is stored; None: nothing does.

    Once an answer failed to come only `group` asks again: a ledger that hangs must not hold a stop up at every step.
    """

    def __init__(self, ledger: Ledger, barred: Callable[[], str | None] = _never) -> None:
        self._ledger = ledger
        self._barred = barred
        self._known: dict[str, Group] = {}  # as read last, with what happened since
        self._owed: set[str] = set()  # trades of which the ledger does not have everything
        self._closes: dict[str, tuple[ExitReason, str | None, int]] = {}
        self._urgent: set[str] = set()  # trades whose last step could not be stored: the next one does not ask first
        self._just_stored: set[str] = set()  # trades that need not be read again before their first step
        self._says: list[Callable[[], Awaitable[object]]] = []
        self._modes = Modes()
        self._away = False

    async def modes(self) -> Modes:
        if self._away:
            return _halted(self._modes)
        self._modes = await self._ledger.modes()
        return self._modes if self._barred() is None else _halted(self._modes)

    async def figures(self, symbol: str, *, now_ms: int, since_ms: int, staged: int) -> Figures:
        """Asked of the ledger alone: who cannot ask enters nothing."""
        found = await self._ledger.figures(symbol, now_ms=now_ms, since_ms=since_ms, staged=staged)
        return found if self._barred() is None else msgspec.structs.replace(found, modes=_halted(found.modes))

    async def group(self, analysis_id: str) -> Group:
        """What is stored; while nobody can tell, what is remembered of a trade that was entered."""
        known = self._known.get(analysis_id)
        if analysis_id in self._urgent and known is not None:
            self._urgent.discard(analysis_id)
            return msgspec.structs.replace(known, remembered=True)
        if analysis_id in self._just_stored and known is not None:
            self._just_stored.discard(analysis_id)
            return known
        try:
            await self._pay(analysis_id)
            found = await self._ledger.group(analysis_id)
        except TransientError:
            self._away = True
            if known is None or known.entry.state == "PLANNED":
                raise
            return msgspec.structs.replace(known, remembered=True)
        self._away = False
        if found.trade.stage in ("CLOSED", "FAILED"):  # the reply that said so may have been lost
            self._known.pop(analysis_id, None)
        else:
            self._known[analysis_id] = found
        return found

    async def _pay(self, analysis_id: str) -> None:
        """Store what happened while nothing could be stored."""
        while self._says:
            say = self._says.pop(0)
            try:
                await say()
            except TransientError:
                self._says.insert(0, say)
                raise
            except Fenced:
                raise
            except Exception:  # it will never be stored, and must not hold up what is
                structlog.get_logger().exception("owed_word_lost")
        if analysis_id not in self._owed:
            return
        known, stored = self._known[analysis_id], await self._ledger.group(analysis_id)
        have = {fill.trade_id for fill in stored.fills}
        missing = [fill for fill in known.fills if fill.trade_id not in have]
        if missing:
            await self._ledger.save_fills(analysis_id, missing)
        merged = caught_up(stored, known)
        if merged != stored:
            await self._ledger.record(stored, merged)
        if analysis_id in self._closes:
            await self._ledger.begin_close(analysis_id, *self._closes[analysis_id])
            del self._closes[analysis_id]
        self._owed.discard(analysis_id)

    async def sign(self, intent: Intent, *, entry: bool) -> bool:
        if entry and self._barred() is not None:
            return False
        known = self._known.get(intent.analysis_id)
        from_memory = not entry and known is not None and _may_be_sent(known, intent)
        try:
            if self._away and from_memory:
                raise TransientError("the ledger is away")
            if not await self._ledger.sign(intent, entry=entry):
                return False
        except TransientError:
            if not from_memory:
                raise
            self._away = True
            self._owed.add(intent.analysis_id)
        if known is not None:
            self._known[intent.analysis_id] = with_intent(known, intent, intent.updated_ms)
        return True

    async def record(self, before: Group, after: Group) -> None:
        analysis_id = after.trade.analysis_id
        try:
            if self._away or analysis_id in self._owed:
                raise TransientError("what happened before is not stored yet")
            await self._ledger.record(before, after)
        except TransientError:
            if analysis_id not in self._owed:
                self._urgent.add(analysis_id)
            self._away = True
            self._owed.add(analysis_id)
        self._known[analysis_id] = msgspec.structs.replace(after, remembered=False)

    async def save_fills(self, analysis_id: str, fills: Sequence[Fill]) -> None:
        try:
            await self._ledger.save_fills(analysis_id, fills)
        except TransientError:
            known = self._known.get(analysis_id)
            if known is None or known.entry.filled_ms is None:
                raise
            # the ledger knows which fills are those of an earlier trade of the symbol; here the time must tell
            ours = {intent.order_id for intent in known.intents}
            since_ms = known.entry.filled_ms
            new = [fill for fill in fills if fill.order_id in ours or fill.time_ms >= since_ms]
            self._owed.add(analysis_id)
            self._known[analysis_id] = with_fills(known, new, max((fill.time_ms for fill in new), default=since_ms))

    async def begin_close(self, analysis_id: str, reason: ExitReason, halt: str | None, now_ms: int) -> None:
        known = self._known.get(analysis_id)
        try:
            await self._ledger.begin_close(analysis_id, reason, halt, now_ms)
        except TransientError:
            if known is None or known.entry.state == "PLANNED":
                raise
            self._owed.add(analysis_id)
            self._closes.setdefault(analysis_id, (reason, halt, now_ms))
        if known is not None:
            self._change(known, close_reason=known.trade.close_reason or reason, stage="CLOSING")

    async def protected(self, analysis_id: str, now_ms: int) -> None:
        await self._ledger.protected(analysis_id, now_ms)
        if analysis_id in self._known:
            self._change(self._known[analysis_id], stage="PROTECTED")

    def _change(self, known: Group, **changes: Any) -> None:
        trade = msgspec.structs.replace(known.trade, **changes)
        self._known[trade.analysis_id] = msgspec.structs.replace(known, trade=trade)

    async def failed(self, analysis_id: str, reason: str, now_ms: int) -> None:
        await self._pay(analysis_id)
        await self._ledger.failed(analysis_id, reason, now_ms)
        self._known.pop(analysis_id, None)

    async def finish(self, group: Group, reason: ExitReason, now_ms: int) -> None:
        await self._pay(group.trade.analysis_id)  # what is only remembered would be closed over
        await self._ledger.finish(group, reason, now_ms)
        self._known.pop(group.trade.analysis_id, None)

    async def tighten(self, mode: Mode, cause: str, reason: str, symbol: str | None) -> bool:
        try:
            return await self._ledger.tighten(mode, cause, reason, symbol)
        except TransientError:  # nothing is entered meanwhile: that needs the ledger
            self._says.append(lambda: self._ledger.tighten(mode, cause, reason, symbol))
            return True

    async def alert(self, severity: Severity, kind: str, message: str, symbol: str | None) -> None:
        try:
            await self._ledger.alert(severity, kind, message, symbol)
        except TransientError:
            self._says.append(lambda: self._ledger.alert(severity, kind, message, symbol))

    async def active_groups(self) -> tuple[Group, ...]:
        return await self._ledger.active_groups()

    async def restamp_naked(self, now_ms: int) -> None:
        await self._ledger.restamp_naked(now_ms)

    async def decide(
        self, decisions: Sequence[Decision], offset: tuple[str, str] | None, modes: Modes
    ) -> tuple[Group, ...]:
        begun = await self._ledger.decide(decisions, offset, modes)
        for group in begun:  # nobody else moves it before its entry is signed, and signing is fenced
            self._known[group.trade.analysis_id] = group
            self._just_stored.add(group.trade.analysis_id)
        return begun

    async def poison(self, source: str, entry_id: str, fields: Mapping[str, str], error: str, now_ms: int) -> None:
        await self._ledger.poison(source, entry_id, fields, error, now_ms)

    async def plan(self, intent: Intent) -> None:
        await self._ledger.plan(intent)


def caught_up(stored: Group, known: Group) -> Group:
    """What is stored, with each order as far as the one or the other has seen it.

    A commit whose answer was lost may have stored more than we remember.
    """
    merged = stored
    for intent in known.intents:
        mine = next((one for one in merged.intents if one.client_id == intent.client_id), None)
        if mine is None or (mine != intent and _is_later(intent, mine)):
            merged = with_intent(merged, intent, intent.updated_ms)
    return with_fills(merged, known.fills, known.entry.updated_ms)


def _is_later(one: Intent, other: Intent) -> bool:
    if one.state == other.state:
        return (one.filled, one.updated_ms) >= (other.filled, other.updated_ms)
    return one.state != "PLANNED" and (other.state == "PLANNED" or may_become(other, one.state))


def _may_be_sent(known: Group, intent: Intent) -> bool:
    return stored_with_entry(intent) and any(
        one.client_id == intent.client_id and one.state == "PLANNED" for one in known.intents
    )


def _halted(modes: Modes) -> Modes:
    """No entries; a FLATTEN that was in force goes on."""
    return modes if modes.account == "FLATTEN" else msgspec.structs.replace(modes, account="HALT")
