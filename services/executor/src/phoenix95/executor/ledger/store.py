"""The ledger port over Postgres. Each method is one fenced transaction."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from phoenix95.common.errors import InvariantBroken, TransientError
from phoenix95.common.events import Ack, DeadLetter, Decided, Severity
from phoenix95.executor.core.candidate import Mode, Modes
from phoenix95.executor.core.decide import Decision
from phoenix95.executor.core.figures import Figures
from phoenix95.executor.core.group import ExitReason, Fill, Group
from phoenix95.executor.core.intents import Intent
from phoenix95.executor.ledger import outcome
from phoenix95.executor.ledger.control import (
    BY_COMMAND,
    ITSELF,
    Seen,
    confirm,
    fired_since,
    set_control,
    unconfirmed,
)  # fmt: skip
from phoenix95.executor.ledger.figures import read_figures
from phoenix95.executor.ledger.history import PositionRow
from phoenix95.executor.ledger.models import FillRow, IntentRow, OffsetRow, SignalRow, TradeRow
from phoenix95.executor.ledger.rows import (
    changed,
    fill_values,
    group_of,
    intent_values,
    signal_values,
    trade_values,
    when,
)  # fmt: skip
from phoenix95.executor.ledger.writing import ACCOUNT_SCOPE, Writer, Writing, read_modes

ACTIVE = ("pending", "filled")


class PostgresLedger:
    """See `ports.Ledger`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._account = writer.account

    async def modes(self) -> Modes:
        async with self._writer.read("modes") as session:
            return await read_modes(session)

    async def figures(self, symbol: str, *, now_ms: int, since_ms: int, staged: int) -> Figures:
        async with self._writer.glance("figures") as session:
            return await read_figures(session, self._account, symbol, now_ms=now_ms, since_ms=since_ms, staged=staged)

    async def group(self, analysis_id: str) -> Group:
        async with self._writer.read("trade") as session:
            trade = await session.scalar(select(TradeRow).where(TradeRow.analysis_id == analysis_id))
            if trade is None:
                raise InvariantBroken(f"no trade {analysis_id}")
            return await _group(session, trade)

    async def active_groups(self) -> tuple[Group, ...]:
        async with self._writer.read("active trades") as session:
            trades = await session.scalars(
                select(TradeRow)
                .where(TradeRow.account == self._account, TradeRow.status.in_(ACTIVE))
                .order_by(TradeRow.id)
            )
            return tuple([await _group(session, trade) for trade in trades.all()])

    async def restamp_naked(self, now_ms: int) -> None:
        async with self._writer.write("takeover") as writing:
            await writing.session.execute(
                update(TradeRow)
                .where(
                    TradeRow.account == self._account,
                    TradeRow.status.in_(ACTIVE),
                    TradeRow.naked_since_ms.is_not(None),
                )
                .values(naked_since_ms=now_ms)
            )

    async def offsets(self) -> dict[str, str]:
        """How far each stream was read."""
        async with self._writer.read("offsets") as session:
            rows = await session.execute(select(OffsetRow.stream, OffsetRow.last_id))
            return {row.stream: row.last_id for row in rows}

    async def decide(
        self, decisions: Sequence[Decision], offset: tuple[str, str] | None, modes: Modes
    ) -> tuple[Group, ...]:
        begun: list[Group] = []
        async with self._writer.write("decisions") as writing:
            entering = any(decision.group is not None for decision in decisions)
            if entering and await read_modes(writing.session) != modes:
                raise TransientError("the control mode changed while the gates were asked")
            for decision in decisions:
                begun += await self._store(writing, decision)
            if offset is not None:
                await _set_offset(writing, *offset)
        return tuple(begun)

    async def _store(self, writing: Writing, decision: Decision) -> tuple[Group, ...]:
        """The trade that this began. Nothing is stored of an analysis that is read twice, because a stream was rolled
        back or the reply of our commit was lost."""
        new = await writing.session.scalar(
            insert(SignalRow)
            .values(account=self._account, **signal_values(decision))
            .on_conflict_do_nothing(index_elements=["analysis_id", "account"])
            .returning(SignalRow.id)
        )
        if new is None:
            return ()
        writing.emit(decision.decided)
        if decision.ack is not None:
            writing.ack(decision.ack)
        for ended in decision.closing:
            await writing.session.execute(
                update(TradeRow)
                .where(TradeRow.analysis_id == ended.analysis_id, TradeRow.status.in_(ACTIVE))
                .values(close_reason=func.coalesce(TradeRow.close_reason, ended.reason))
            )
        if decision.group is None:
            return ()
        await writing.session.execute(insert(TradeRow).values(**trade_values(decision, decision.group, self._account)))
        await (await writing.session.connection()).execute(
            insert(IntentRow), [intent_values(intent, self._account) for intent in decision.group.intents]
        )
        return (decision.group,)

    async def poison(self, source: str, entry_id: str, fields: Mapping[str, str], error: str, now_ms: int) -> None:
        analysis_id = f"poison-{source}-{entry_id}"
        symbol = source.rsplit(":", 1)[-1]
        async with self._writer.write("poison") as writing:
            new = await writing.session.scalar(
                insert(SignalRow)
                .values(
                    account=self._account, analysis_id=analysis_id, symbol=symbol, action="ERROR", accepted=False,
                    reason=error, ts_ms=now_ms, decided_ms=now_ms, created=when(now_ms),
                    details={"fields": dict(fields)},
                )
                .on_conflict_do_nothing(index_elements=["analysis_id", "account"])
                .returning(SignalRow.id)
            )  # fmt: skip
            if new is not None:
                writing.dead_letter(
                    DeadLetter(source=source, entry_id=entry_id, error=error, fields=dict(fields), attempts=1)
                )
                writing.emit(
                    Decided(
                        analysis_id=analysis_id, symbol=symbol, ts=now_ms, action="ERROR", side=None,
                        accepted=False, reason=error,
                    )
                )  # fmt: skip
            await _set_offset(writing, source, entry_id)

    async def plan(self, intent: Intent) -> None:
        async with self._writer.write("plan") as writing:
            # the same attempt may be there already, when the reply of the first commit was lost
            await writing.session.execute(
                insert(IntentRow).values(**intent_values(intent, self._account)).on_conflict_do_nothing()
            )

    async def sign(self, intent: Intent, *, entry: bool) -> bool:
        async with self._writer.write("sign") as writing:
            if entry and (await read_modes(writing.session)).blocking(intent.symbol) is not None:
                return False
            signed = await writing.session.execute(
                update(IntentRow)
                .where(IntentRow.client_id == intent.client_id, IntentRow.state == "PLANNED")
                .values(**intent_values(intent, self._account))
                .returning(select(TradeRow.request).where(TradeRow.analysis_id == intent.analysis_id).scalar_subquery())
            )
            row = signed.one_or_none()
            if row is None:
                raise InvariantBroken(f"intent {intent.client_id} was signed already")
            writing.emit(changed(intent, row[0]))
        return True

    async def record(self, before: Group, after: Group) -> None:
        async with self._writer.write("record") as writing:
            await outcome.record(writing, self._account, before, after)

    async def save_fills(self, analysis_id: str, fills: Sequence[Fill]) -> None:
        async with self._writer.write("fills") as writing:
            await outcome.tell_of_strangers(writing, self._account, analysis_id, fills)
            new = insert(FillRow)
            named = new.on_conflict_do_update(
                index_elements=["account", "symbol", "trade_id"],
                set_={"client_id": new.excluded.client_id},
                where=new.excluded.client_id.is_not(None),
            )
            await writing.session.execute(named, [fill_values(fill, self._account, analysis_id) for fill in fills])
            await outcome.store_fees(writing, analysis_id)

    async def begin_close(self, analysis_id: str, reason: ExitReason, halt: str | None, now_ms: int) -> None:
        async with self._writer.write("begin close") as writing:
            symbol = await writing.session.scalar(
                update(TradeRow)
                .where(TradeRow.analysis_id == analysis_id)
                .values(close_reason=func.coalesce(TradeRow.close_reason, reason), stage="CLOSING")
                .returning(TradeRow.symbol)
            )
            if halt is not None and symbol is not None:
                await set_control(writing.session, symbol, "HALT", halt, who=ITSELF, cause="unprotected")
                writing.alert("critical", "unprotected", f"{symbol}: {halt}; closing, no new entries", symbol)

    async def protected(self, analysis_id: str, now_ms: int) -> None:
        async with self._writer.write("protected") as writing:
            await outcome.protected(writing, analysis_id, now_ms)

    async def failed(self, analysis_id: str, reason: str, now_ms: int) -> None:
        async with self._writer.write("failed") as writing:
            await outcome.failed(writing, analysis_id, reason, now_ms)

    async def finish(self, group: Group, reason: ExitReason, now_ms: int) -> None:
        async with self._writer.write("finish") as writing:
            await outcome.finish(writing, group, reason, now_ms)

    async def alert(self, severity: Severity, kind: str, message: str, symbol: str | None) -> None:
        async with self._writer.write("alert") as writing:
            writing.alert(severity, kind, message, symbol)

    async def tighten(self, mode: Mode, cause: str, reason: str, symbol: str | None) -> bool:
        """An automatic trigger: restrict the account, or one symbol, until a person resumes. What is stricter stays.

        True when it is news, which then is alerted in the same transaction.
        """
        async with self._writer.write("control") as writing:
            scope = ACCOUNT_SCOPE if symbol is None else symbol
            changed = await set_control(writing.session, scope, mode, reason, who=ITSELF, cause=cause)
            if changed.news:
                writing.alert("critical", cause, f"{reason}; {scope} is in {changed.mode} until resumed", symbol)
            return changed.news

    async def tighten_once_a_day(self, mode: Mode, cause: str, reason: str, now_ms: int) -> bool:
        """As `tighten` of the account, but not again on the same UTC day: a person who resumed has the last word."""
        midnight = when(now_ms).replace(hour=0, minute=0, second=0, microsecond=0)
        async with self._writer.read("control") as session:
            if await fired_since(session, cause, midnight):
                return False
        return await self.tighten(mode, cause, reason, None)

    async def confirm_control(self) -> tuple[Seen, ...]:
        """What changed since the last call; from now on it counts as obeyed, and a person's word is told to all."""
        async with self._writer.read("control") as session:
            new = await unconfirmed(session)
        if new:
            async with self._writer.write("control") as writing:
                await confirm(writing.session, [one.id for one in new])
                for one in new:
                    if one.cause == BY_COMMAND:
                        text = f"{one.scope}: {one.previous} -> {one.mode} by {one.changed_by}: {one.reason}"
                        writing.alert("warning", "control", text, None if one.scope == ACCOUNT_SCOPE else one.scope)
        return new

    async def close_by_command(
        self, stream: str, entry_id: str, symbol: str, reason: str, side: str | None = None
    ) -> list[str]:
        """Ask every active trade of a symbol (and side) to close, acknowledge the command and store the offset, in one.

        A command that was just obeyed (the reply of our commit was lost) does nothing: what was entered since is not
        what it meant.
        """
        sides = ("LONG", "SHORT") if side is None else (side.upper(),)
        what = symbol if side is None else f"{symbol} {side}"
        async with self._writer.write("close command") as writing:
            done = await writing.session.scalar(select(OffsetRow.last_id).where(OffsetRow.stream == stream))
            if done == entry_id:
                return []
            found = await writing.session.scalars(
                update(TradeRow)
                .where(
                    TradeRow.account == self._account,
                    TradeRow.symbol == symbol,
                    TradeRow.position_side.in_(sides),
                    TradeRow.status.in_(ACTIVE),
                )
                .values(close_reason=func.coalesce(TradeRow.close_reason, "manual"))
                .returning(TradeRow.analysis_id)
            )
            closing = list(found.all())
            message = f"closing {what}: {reason}" if closing else f"nothing is held in {what}"
            writing.ack(Ack(command_id=entry_id, service="executor", ok=bool(closing), message=message))
            await _set_offset(writing, stream, entry_id)
        return closing

    async def skip_to(self, stream: str, entry_id: str, letter: DeadLetter | None = None) -> None:
        """Store an offset alone: what lies before it is none of our business, or kept as a dead letter."""
        async with self._writer.write("offset") as writing:
            if letter is not None:
                writing.dead_letter(letter)
            await _set_offset(writing, stream, entry_id)

    async def mark(self, analysis_id: str, price: Decimal, unrealized: Decimal, now_ms: int) -> None:
        """Keep a position's present price and result, and the best and worst it has seen.

        One that was emptied meanwhile is left alone.
        """
        async with self._writer.write("mark") as writing:
            notional = PositionRow.size * PositionRow.entry_price
            await writing.session.execute(
                update(PositionRow)
                .where(PositionRow.analysis_id == analysis_id, PositionRow.is_active, PositionRow.size > 0)
                .values(
                    current_price=price,
                    unrealized_pnl=unrealized,
                    unrealized_pnl_percent=unrealized / notional * 100,
                    max_loss=func.least(PositionRow.max_loss, unrealized),
                    max_profit=func.greatest(PositionRow.max_profit, unrealized),
                    updated=when(now_ms),
                )
            )
            await _seen(writing.session, TradeRow.analysis_id == analysis_id, price)

    async def watched(self) -> tuple[str, ...]:
        """Symbols of open trades whose stops depend on how far the price has gone."""
        async with self._writer.read("watched") as session:
            found = await session.scalars(
                select(TradeRow.symbol)
                .where(TradeRow.account == self._account, TradeRow.status == "filled", TradeRow.options != {})
                .distinct()
            )
            return tuple(found.all())

    async def seen(self, symbol: str, price: Decimal, at_ms: int) -> bool:
        """Keep a price that was paid at `at_ms` for the trades that were open then; whether it is better for one."""
        which = and_(TradeRow.account == self._account, TradeRow.symbol == symbol, TradeRow.opened_ms <= at_ms)
        async with self._writer.write("price seen") as writing:
            return await _seen(writing.session, which, price)


async def _group(session: AsyncSession, trade: TradeRow) -> Group:
    intents = await session.scalars(
        select(IntentRow).where(IntentRow.analysis_id == trade.analysis_id).order_by(IntentRow.role, IntentRow.attempt)
    )
    fills = await session.scalars(
        select(FillRow).where(FillRow.analysis_id == trade.analysis_id).order_by(FillRow.trade_id)
    )
    return group_of(trade, list(intents.all()), list(fills.all()))


async def _seen(session: AsyncSession, which: ColumnElement[bool], price: Decimal) -> bool:
    """Keep the most favourable price of trades: it decides where their stops belong."""
    better = or_(
        TradeRow.best_price.is_(None),
        and_(TradeRow.position_side == "LONG", TradeRow.best_price < price),
        and_(TradeRow.position_side == "SHORT", TradeRow.best_price > price),
    )
    improved = await session.scalars(
        update(TradeRow)
        .where(which, TradeRow.status == "filled", better)
        .values(best_price=price)
        .returning(TradeRow.id)
    )
    return bool(improved.all())


async def _set_offset(writing: Writing, stream: str, entry_id: str) -> None:
    await writing.session.execute(
        insert(OffsetRow)
        .values(account=writing.account, stream=stream, last_id=entry_id)
        .on_conflict_do_update(index_elements=["account", "stream"], set_={"last_id": entry_id})
    )
