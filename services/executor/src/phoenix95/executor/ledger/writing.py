"""One write transaction: fenced first, its events given out last."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from phoenix95.common import keys
from phoenix95.common.errors import Fenced, InvariantBroken
from phoenix95.common.events import Ack, Alert, DeadLetter, OrderEvent, Severity
from phoenix95.common.ids import StreamId
from phoenix95.common.wire import encode
from phoenix95.executor.core.candidate import Mode, Modes
from phoenix95.executor.ledger.connect import answering, translated
from phoenix95.executor.ledger.models import AccountRow, ControlRow, OutboxRow, StreamRow
from phoenix95.executor.ledger.scope import session_of

ACCOUNT_SCOPE = "account"
AUDITED_AS = "phoenix95.account"  # a setting of the transaction: whose chain its facts belong to


class Writing:
    """What a transaction may use. Events become rows of the outbox in this same transaction."""

    def __init__(self, session: AsyncSession, account: str) -> None:
        self.session = session
        self.account = account
        self._rows: list[dict[str, object]] = []
        self._told_ms: list[int | None] = []

    @property
    def emitted(self) -> bool:
        return bool(self._rows)

    def emit(self, event: OrderEvent) -> None:
        """Publish on the order stream."""
        self._put(keys.ORDER, event, event.ts)

    def ack(self, ack: Ack) -> None:
        self._put(keys.ACK, ack, None)

    def alert(self, severity: Severity, kind: str, message: str, symbol: str | None) -> None:
        wall_ms = time.time_ns() // 1_000_000
        self._put(
            keys.ALERT,
            Alert(ts_wall_ms=wall_ms, service="executor", severity=severity, kind=kind, message=message, symbol=symbol),
            None,
        )

    def dead_letter(self, letter: DeadLetter) -> None:
        self._put(keys.dead_letter("executor"), letter, None)

    def _put(self, stream: str, event: OrderEvent | Ack | Alert | DeadLetter, told_ms: int | None) -> None:
        self._rows.append({"account": self.account, "stream": stream, "entry_id": None, "body": encode(event).decode()})
        self._told_ms.append(told_ms)

    async def store_events(self) -> None:
        """Give out the ids on the order stream, which all accounts share, and store the rows, both under its lock: so
        ids grow with `seq`, and never go back, even when exchange time does. The last thing in a transaction."""
        told_ms = [ms for ms in self._told_ms if ms is not None]
        if told_ms:
            last = await self._take_ids(max(told_ms), len(told_ms))
            numbers = iter(range(last.seq - len(told_ms) + 1, last.seq + 1))
            for row, ms in zip(self._rows, self._told_ms, strict=True):
                if ms is not None:
                    row["entry_id"] = str(StreamId(last.ms, next(numbers)))
        if self._rows:
            await (await self.session.connection()).execute(insert(OutboxRow), self._rows)

    async def _take_ids(self, ms: int, count: int) -> StreamId:
        """The last of `count` ids in a row on the order stream, at `ms` or where it has come to."""
        begins_anew = StreamRow.last_ms < ms
        taken = await self.session.execute(
            update(StreamRow)
            .where(StreamRow.name == keys.ORDER)
            .values(
                last_ms=func.greatest(StreamRow.last_ms, ms),
                last_n=case((begins_anew, count - 1), else_=StreamRow.last_n + count),
            )
            .returning(StreamRow.last_ms, StreamRow.last_n)
            .execution_options(synchronize_session=False)
        )
        row = taken.one_or_none()
        if row is None:
            raise InvariantBroken(f"ledger.streams does not know {keys.ORDER}")
        return StreamId(row.last_ms, row.last_n)


class Writer:
    """Opens fenced transactions of one account for the holder of `token`."""

    def __init__(self, engine: AsyncEngine, account: str, token: str, emitted: Callable[[], None]) -> None:
        self.engine = engine
        self.account = account
        self.token = token
        self._emitted = emitted

    @asynccontextmanager
    async def write(self, what: str) -> AsyncIterator[Writing]:
        """All or nothing. Raises Fenced when another executor has taken over, TransientError when unsure."""
        async with self._session(what) as session:
            row = (
                await session.execute(
                    select(func.set_config(AUDITED_AS, AccountRow.name, True))
                    .where(AccountRow.name == self.account, AccountRow.token == self.token)
                    .with_for_update()
                )
            ).one_or_none()
            if row is None:
                raise Fenced("FENCED_OWNER", f"account {self.account}")
            writing = Writing(session, self.account)
            yield writing
            await writing.store_events()
        if writing.emitted:
            self._emitted()

    @asynccontextmanager
    async def read(self, what: str) -> AsyncIterator[AsyncSession]:
        """One consistent look."""
        async with self._session(what, isolation_level="REPEATABLE READ") as session:
            yield session

    @asynccontextmanager
    async def glance(self, what: str) -> AsyncIterator[AsyncSession]:
        """Single statements without a transaction around them: nothing to begin and nothing to end."""
        async with self._session(what, isolation_level="AUTOCOMMIT") as session:
            yield session

    @asynccontextmanager
    async def _session(self, what: str, **options: str) -> AsyncIterator[AsyncSession]:
        async with (
            translated(what),
            session_of(self.engine, self.account) as session,
            answering(await session.connection(execution_options=options)),
        ):
            yield session
            await session.commit()


async def read_modes(session: AsyncSession) -> Modes:
    """The control modes as they are now."""
    modes: dict[str, Mode] = {
        scope: _mode(mode) for scope, mode in await session.execute(select(ControlRow.scope, ControlRow.mode))
    }
    return Modes(account=modes.pop(ACCOUNT_SCOPE, "RUN"), symbols=modes)


def _mode(text: str) -> Mode:
    """What is not a mode that we know is taken for the safest one."""
    return text if text in ("RUN", "REDUCE_ONLY", "FLATTEN") else "HALT"  # type: ignore[return-value]
