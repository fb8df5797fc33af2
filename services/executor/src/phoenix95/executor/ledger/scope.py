"""Accounts share the tables: a session of one account sees and changes its rows alone, whatever it asks for."""

from functools import lru_cache
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from phoenix95.executor.ledger.history import IncomeRow, PortfolioRow, PositionRow
from phoenix95.executor.ledger.models import FillRow, IntentRow, OffsetRow, SignalRow, TradeRow

OF_ACCOUNT: Final[tuple[Any, ...]] = (
    FillRow, IncomeRow, IntentRow, OffsetRow, PortfolioRow, PositionRow, SignalRow, TradeRow,
)  # fmt: skip


class _OneAccount(Session):
    """The synchronous half of what `session_of` gives out."""


def session_of(engine: AsyncEngine, account: str) -> AsyncSession:
    """A session whose selects, updates and deletes through the models concern this account only. Rows that it inserts
    must name the account, and statements written as text must ask for it themselves."""
    return AsyncSession(engine, sync_session_class=_OneAccount, info={"account": account})


@event.listens_for(_OneAccount, "do_orm_execute")
def _narrow(state: ORMExecuteState) -> None:
    if state.is_select or state.is_update or state.is_delete:
        state.statement = state.statement.options(*_criteria(state.session.info["account"]))


@lru_cache
def _criteria(account: str) -> tuple[Any, ...]:
    return tuple(with_loader_criteria(kind, kind.account == account, include_aliases=True) for kind in OF_ACCOUNT)
