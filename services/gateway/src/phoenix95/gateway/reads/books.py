"""The ledger's lists: decisions with their verdicts, orders, positions; newest first, each with a limit."""

from typing import Final

import msgspec
from sqlalchemy import Connection, Select, TableClause, column, select, table

from phoenix95.gateway.reads.rows import DecisionRow, OrderRow, PositionRow, R, as_row
from phoenix95.gateway.reads.tables import SCHEMA


class JournalRow(DecisionRow, frozen=True, kw_only=True):
    """A decision with what was analysed; None where an analysis had no such number. `request` is the id of the request
    or command that asked for it, None for the engine's own."""

    confidence: float | None
    phoenix95_score: float | None
    risk_level: str | None
    price: float | None
    position_size: float | None
    stop_loss: float | None
    take_profit: float | None
    leverage: int | None
    reasoning: tuple[str, ...]
    request: str | None


class PlacedRow(OrderRow, frozen=True, kw_only=True):
    """An order with its symbol and the analysis that it belongs to."""

    symbol: str
    analysis_id: str


def _table(name: str, row: type[msgspec.Struct], *further: str) -> TableClause:
    names = dict.fromkeys((*row.__struct_fields__, *further))
    return table(name, *(column(each) for each in names), schema=SCHEMA)


_SIGNALS: Final = _table("signals", JournalRow, "id")
_INTENTS: Final = _table("intents", PlacedRow, "signed_ms")
_POSITIONS: Final = _table("positions", PositionRow, "id")


def decisions(
    connection: Connection, *, limit: int, symbol: str | None, accepted: bool | None, action: str | None
) -> tuple[JournalRow, ...]:
    """The last decisions; those that were not accepted say why."""
    query = _rows(_SIGNALS, JournalRow, symbol).order_by(_SIGNALS.c.id.desc())
    if accepted is not None:
        query = query.where(_SIGNALS.c.accepted == accepted)
    if action is not None:
        query = query.where(_SIGNALS.c.action == action)
    return _all(connection, query.limit(limit), JournalRow)


def orders(connection: Connection, *, limit: int, symbol: str | None, state: str | None) -> tuple[PlacedRow, ...]:
    """The orders that were sent, by their last change."""
    query = _rows(_INTENTS, PlacedRow, symbol).where(_INTENTS.c.signed_ms.is_not(None))
    if state is not None:
        query = query.where(_INTENTS.c.state == state)
    newest = query.order_by(_INTENTS.c.updated_ms.desc(), _INTENTS.c.client_id)
    return _all(connection, newest.limit(limit), PlacedRow)


def positions(
    connection: Connection, *, limit: int, symbol: str | None, active: bool | None
) -> tuple[PositionRow, ...]:
    """What is held (`active` True), was held (False), or both (None)."""
    query = _rows(_POSITIONS, PositionRow, symbol).order_by(_POSITIONS.c.id.desc())
    if active is not None:
        query = query.where(_POSITIONS.c.is_active == active)
    return _all(connection, query.limit(limit), PositionRow)


def _rows(source: TableClause, kind: type[R], symbol: str | None) -> Select[tuple[object, ...]]:
    query: Select[tuple[object, ...]] = select(*(source.c[name] for name in kind.__struct_fields__))
    return query if symbol is None else query.where(source.c.symbol == symbol)


def _all(connection: Connection, query: Select[tuple[object, ...]], kind: type[R]) -> tuple[R, ...]:
    return tuple(as_row(kind, row) for row in connection.execute(query).mappings())
