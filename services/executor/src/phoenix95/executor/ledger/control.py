"""The control modes: one database function changes them, and keeps who, when and why."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from phoenix95.common.errors import ConfigError
from phoenix95.executor.core.candidate import Mode
from phoenix95.executor.ledger.connect import translated
from phoenix95.executor.ledger.history import ControlHistoryRow

BY_COMMAND: Final = "command"
ITSELF: Final = "executor"
_SET: Final = text("SELECT * FROM ledger.set_control(:scope, :mode, :reason, :who, :cause, :loosen)")


class Changed(NamedTuple):
    """`mode` is what is in force now. `news`: it, or its cause, is another than before."""

    previous: str
    mode: str
    news: bool


class Seen(NamedTuple):
    """A change that no executor has confirmed yet."""

    id: int
    scope: str
    previous: str
    mode: str
    reason: str
    changed_by: str
    cause: str


async def set_control(
    session: AsyncSession, scope: str, mode: Mode, reason: str, *, who: str, cause: str, loosen: bool = False
) -> Changed:
    """Change a mode within the caller's transaction. Without `loosen` what is stricter already stays."""
    values = {"scope": scope, "mode": mode, "reason": reason[:1000], "who": who, "cause": cause, "loosen": loosen}
    row = (await session.execute(_SET, values)).one()
    return Changed(row.previous, row.mode, row.news)


async def set_by_person(engine: AsyncEngine, scope: str, mode: Mode, reason: str, who: str) -> Changed:
    """A person's word. It needs no running executor. Raises ConfigError for a scope or a reason that is none."""
    async with translated("control"), AsyncSession(engine) as session, session.begin():
        try:
            return await set_control(session, scope, mode, reason, who=who, cause=BY_COMMAND, loosen=True)
        except DataError as error:
            raise ConfigError(str(error.orig).splitlines()[0]) from error


async def unconfirmed(session: AsyncSession) -> tuple[Seen, ...]:
    """What changed and was not seen by an executor yet, oldest first."""
    row = ControlHistoryRow
    columns = (row.id, row.scope, row.previous, row.mode, row.reason, row.changed_by, row.cause)
    found = await session.execute(select(*columns).where(row.applied.is_(None)).order_by(row.id))
    return tuple(Seen(*one) for one in found)


async def confirm(session: AsyncSession, ids: Sequence[int]) -> None:
    """Say that an executor obeys these."""
    await session.execute(update(ControlHistoryRow).where(ControlHistoryRow.id.in_(ids)).values(applied=func.now()))


async def fired_since(session: AsyncSession, cause: str, moment: datetime) -> bool:
    """Whether a trigger has fired since a moment (by the database's clock): a person who resumed is not overruled."""
    row = ControlHistoryRow
    found = await session.scalar(select(row.id).where(row.cause == cause, row.changed >= moment).limit(1))
    return found is not None
