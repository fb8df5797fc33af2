"""Rows that wait for their stream, in the order in which they were written."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from phoenix95.common import keys
from phoenix95.common.ids import StreamId
from phoenix95.executor.ledger.connect import translated
from phoenix95.executor.ledger.models import OutboxRow, StreamRow


class Waiting(NamedTuple):
    """`entry_id` None: Redis gives the id."""

    seq: int
    stream: str
    entry_id: StreamId | None
    body: bytes


class Outbox:
    """Needs no fence: publishing under a given id is harmless to repeat.

    The order stream is everybody's: each executor publishes all of it, in order. The rest is published by its own.
    """

    def __init__(self, engine: AsyncEngine, account: str) -> None:
        self._engine = engine
        self._account = account

    async def waiting(self, at_most: int) -> list[Waiting]:
        # ended by a commit: a rollback would have the driver forget every statement that it has prepared
        async with translated("outbox"), AsyncSession(self._engine) as session, session.begin():
            rows = await session.scalars(
                select(OutboxRow)
                .where(~OutboxRow.published, or_(OutboxRow.stream == keys.ORDER, OutboxRow.account == self._account))
                .order_by(OutboxRow.seq)
                .limit(at_most)
            )
            return [
                Waiting(row.seq, row.stream, StreamId.parse(row.entry_id) if row.entry_id else None, row.body.encode())
                for row in rows.all()
            ]

    async def published(self, seqs: Sequence[int]) -> None:
        async with translated("outbox"), AsyncSession(self._engine) as session, session.begin():
            await session.execute(update(OutboxRow).where(OutboxRow.seq.in_(seqs)).values(published=True))

    async def follow(self, stream: str, top: StreamId) -> int:
        """Agree with a stream whose last id is `top`. Returns how many entries must be published again.

        A stream that went back (restore, failover) lost entries that we had published: they wait again. One that is
        ahead of us (another database) moves our next id behind it.
        """
        behind = text(
            "(split_part(entry_id, '-', 1)::bigint, split_part(entry_id, '-', 2)::bigint) > (:ms, :seq)"
        ).bindparams(ms=top.ms, seq=top.seq)
        async with translated("outbox"), AsyncSession(self._engine) as session, session.begin():
            again = await session.scalars(
                update(OutboxRow)
                .where(OutboxRow.stream == stream, OutboxRow.published, behind)
                .values(published=False)
                .returning(OutboxRow.seq)
                .execution_options(synchronize_session=False)
            )
            count = len(again.all())
            ours = tuple_(StreamRow.last_ms, StreamRow.last_n)
            await session.execute(
                update(StreamRow)
                .where(StreamRow.name == stream, ours < tuple_(top.ms, top.seq))
                .values(last_ms=top.ms, last_n=top.seq)
                .execution_options(synchronize_session=False)
            )
        return count
