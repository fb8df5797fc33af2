"""The ledger at a glance, for the dashboard: the account, what is held, the last decisions, the equity curve."""

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, column, select, table

from phoenix95.gateway.reads.rows import DecisionRow, PortfolioRow, PositionRow, as_row
from phoenix95.gateway.reads.tables import PORTFOLIO, POSITIONS, SCHEMA

DECISIONS_SHOWN: Final = 30
POSITIONS_SHOWN: Final = 50
CURVE_POINTS: Final = 720  # a row at each reconciliation: two hours


class JudgedRow(DecisionRow, frozen=True, kw_only=True):
    """A decision with what the engine had thought of it; None where an analysis had no such number."""

    confidence: float | None
    phoenix95_score: float | None
    price: float | None
    reasoning: tuple[str, ...]
    request: str | None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one moment. Decisions are newest first; `account` is None before the first reconciliation."""

    account: PortfolioRow | None
    positions: tuple[PositionRow, ...]
    decisions: tuple[JudgedRow, ...]


_JUDGED: Final = table("signals", column("id"), *(column(name) for name in JudgedRow.__struct_fields__), schema=SCHEMA)


def overview(connection: Connection) -> Overview:
    """One look, within one transaction."""
    newest = select(*(PORTFOLIO.c[name] for name in PortfolioRow.__struct_fields__)).order_by(PORTFOLIO.c.id.desc())
    account = connection.execute(newest.limit(1)).mappings().first()
    held = select(*(POSITIONS.c[name] for name in PositionRow.__struct_fields__)).where(POSITIONS.c.is_active)
    positions = connection.execute(held.order_by(POSITIONS.c.id).limit(POSITIONS_SHOWN)).mappings()
    judged = select(*(_JUDGED.c[name] for name in JudgedRow.__struct_fields__)).order_by(_JUDGED.c.id.desc())
    decisions = connection.execute(judged.limit(DECISIONS_SHOWN)).mappings()
    return Overview(
        account=None if account is None else as_row(PortfolioRow, account),
        positions=tuple(as_row(PositionRow, row) for row in positions),
        decisions=tuple(as_row(JudgedRow, row) for row in decisions),
    )


def equity_curve(connection: Connection) -> list[tuple[datetime, str]]:
    """When (exchange time) and how much, in quote currency; oldest first."""
    points = select(PORTFOLIO.c.created, PORTFOLIO.c.total_balance).order_by(PORTFOLIO.c.id.desc()).limit(CURVE_POINTS)
    return [(created, str(balance)) for created, balance in reversed(connection.execute(points).all())]
