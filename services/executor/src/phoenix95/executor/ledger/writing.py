"""One write transaction: fenced first, with its events given out under the account's row lock."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from phoenix95.common import keys
from phoenix95.common.errors import Fenced
from phoenix95.common.events import Ack, Alert, DeadLetter, OrderEvent, Severity
from phoenix95.common.ids import StreamId
from phoenix95.common.wire import encode
from phoenix95.executor.core.candidate import Mode, Modes
from phoenix95.executor.ledger.connect import answering, translated
from phoenix95.executor.ledger.models import AccountRow, ControlRow, OutboxRow

ACCOUNT_SCOPE = "account"
AUDITED_AS = "phoenix95.account"  # a setting of the transaction: whose chain its facts belong to


class Writing:
    """What a transaction may use. Events become rows of the outbox in this same transaction."""

    def __init__(self, session: AsyncSession, last: StreamId) -> None:
        self.session = session
        self._last = last
        self._rows: list[dict[str, object]] = []

    @property
    def last(self) -> StreamId:
        """The last id given out on the order stream."""
        return self._last

    @property
    def rows(self) -> list[dict[str, object]]:
        return self._rows

    def emit(self, event: OrderEvent) -> None:
        """Publish on the order stream. Its id never goes back, even when exchange time does."""
        ms = max(event.ts, self._last.ms)
        self._last = StreamId(ms, self._last.seq + 1 if ms == self._last.ms else 0)
        self._put(keys.ORDER, event, str(self._last))

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

    def _put(self, stream: str, event: OrderEvent | Ack | Alert | DeadLetter, entry_id: str | None) -> None:
        self._rows.append({"stream": stream, "entry_id": entry_id, "body": encode(event).decode()})


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
                    select(
                        AccountRow.last_event_ms,
                        AccountRow.last_event_n,
                        func.set_config(AUDITED_AS, AccountRow.name, True),
                    )
                    .where(AccountRow.name == self.account, AccountRow.token == self.token)
                    .with_for_update()
                )
            ).one_or_none()
            if row is None:
                raise Fenced("FENCED_OWNER", f"account {self.account}")
            writing = Writing(session, StreamId(row.last_event_ms, row.last_event_n))
            yield writing
            if writing.rows:
                await session.execute(insert(OutboxRow), writing.rows)
                await session.execute(
                    update(AccountRow)
                    .where(AccountRow.name == self.account)
                    .values(last_event_ms=writing.last.ms, last_event_n=writing.last.seq)
                )
        if writing.rows:
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
            AsyncSession(self.engine) as session,
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
