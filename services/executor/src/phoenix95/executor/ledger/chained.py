"""The chain as it is stored: read in pages, so that a long one does not fill the memory."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from phoenix95.executor.core.chain import Head, Record
from phoenix95.executor.ledger.connect import translated
from phoenix95.executor.ledger.models import AccountRow, AuditRow

PAGE: Final = 2_000


async def head(engine: AsyncEngine, account: str) -> Head:
    """Where the account's chain ends, as the account itself says; the beginning for one that was never taken."""
    async with translated("chain"), AsyncSession(engine) as session:
        found = (
            await session.execute(select(AccountRow.audit_n, AccountRow.audit_hash).where(AccountRow.name == account))
        ).one_or_none()
    return Head() if found is None else Head(found.audit_n, found.audit_hash)


async def records(engine: AsyncEngine, account: str, after: int, until: int) -> AsyncIterator[list[Record]]:
    """The records with `after` < n <= `until`, in pages and in order."""
    while after < until:
        async with translated("chain"), AsyncSession(engine) as session:
            rows = await session.scalars(
                select(AuditRow)
                .where(AuditRow.account == account, AuditRow.n > after, AuditRow.n <= until)
                .order_by(AuditRow.n)
                .limit(PAGE)
            )
            page = [_record(row) for row in rows.all()]
        if not page:
            return
        yield page
        after = page[-1].n


async def start_of(engine: AsyncEngine, account: str, since_ms: int) -> Head:
    """The link behind which the records from exchange time `since_ms` on begin."""
    async with translated("chain"), AsyncSession(engine) as session:
        first = await session.scalar(
            select(AuditRow)
            .where(AuditRow.account == account, AuditRow.ts_ms >= since_ms)
            .order_by(AuditRow.n)
            .limit(1)
        )
    return Head() if first is None or first.n == 1 else Head(first.n - 1, first.prev_hash)


def _record(row: AuditRow) -> Record:
    return msgspec.convert({name: getattr(row, name) for name in Record.__struct_fields__}, Record)
