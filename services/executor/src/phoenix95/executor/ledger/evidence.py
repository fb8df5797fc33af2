"""What the ledger says of itself, for the audit. Reads only, each in one consistent look."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import func, select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from phoenix95.common.errors import ConfigError
from phoenix95.executor.core.chain import Head, Record
from phoenix95.executor.core.group import Fill, Group
from phoenix95.executor.core.intents import Intent
from phoenix95.executor.ledger import chained
from phoenix95.executor.ledger.connect import translated
from phoenix95.executor.ledger.history import PositionRow
from phoenix95.executor.ledger.models import AccountRow, ControlRow, FillRow, IntentRow, OffsetRow, SignalRow, TradeRow
from phoenix95.executor.ledger.rows import group_of
from phoenix95.executor.ledger.scope import session_of

SHOWN: Final = 50  # differences of one kind that are read: a person looks at the first
OTHER_SCHEMA: Final = ("3F000", "42P01", "42703")  # no such schema, table, column
NOT_MIGRATED: Final = "schema ledger is of another version: run `python -m phoenix95.executor migrate` of this one"
PATIENCE: Final = "SELECT set_config('statement_timeout', '600s', true), set_config('jit', 'off', true)"

# For each kind of record: its table, what names a row, its time, and the columns whose change alone has no record.
FACTS: Final[dict[str, tuple[str, str, str, str]]] = {
    "decision": ("signals", "analysis_id", "decided_ms", ""),
    "order": ("intents", "client_id", "updated_ms", "not_found,updated_ms"),
    "fill": ("fills", "symbol || ':' || trade_id", "time_ms", ""),
    "trade": (
        "trades", "analysis_id", "(extract(epoch FROM greatest(created, filled, closed)) * 1000)::bigint",
        "naked_since_ms,fee,execution_time_ms,best_price",
    ),
    "control": ("control", "scope", "0", ""),
}  # fmt: skip
MODELS: Final[dict[str, Any]] = {
    "decision": SignalRow, "order": IntentRow, "fill": FillRow, "trade": TradeRow, "control": ControlRow,
}  # fmt: skip
OWN: Final = frozenset({"decision", "order", "fill", "trade"})  # tables that know which account a row is of
_KEYS: Final = {
    "decision": "told ->> 'analysis_id'",
    "order": "told ->> 'client_id'",
    "fill": "(told ->> 'symbol') || ':' || (told ->> 'trade_id')",
    "trade": "told ->> 'analysis_id'",
    "control": "told ->> 'scope'",
}
# Columns that came or went with a migration are no difference: only what both sides have is compared.
_COMPARE: Final = """
WITH read AS (
    SELECT n, body::jsonb AS told FROM ledger.audit WHERE account = :account AND kind = :kind
), last AS (
    SELECT DISTINCT ON (key) key, n, told FROM (SELECT n, told, {key} AS key FROM read) AS named ORDER BY key, n DESC
), facts AS (
    SELECT {name} AS key, {at} AS at, to_jsonb(one) AS row FROM ledger.{table} AS one {where}
), differing AS (
    SELECT f.key, e.key AS column, f.row -> e.key AS is, e.value AS was, l.n
    FROM facts AS f JOIN last AS l USING (key) CROSS JOIN LATERAL jsonb_each(l.told) AS e
    WHERE f.at >= :since AND f.row ? e.key AND e.key <> ALL(string_to_array(:ignored, ','))
      AND f.row -> e.key IS DISTINCT FROM e.value
)
SELECT key, format('%s is %s, its record %s says %s', "column", "is", n, was) AS words FROM differing
UNION ALL
SELECT f.key, 'it has no record in the chain' FROM facts AS f LEFT JOIN last AS l USING (key)
WHERE l.key IS NULL AND f.at >= :since
UNION ALL
SELECT l.key, format('record %s tells of it, and it is not there', l.n) FROM last AS l LEFT JOIN facts AS f USING (key)
WHERE f.key IS NULL
ORDER BY 1 LIMIT :shown
"""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """One row of signals, as far as it must agree with the streams. `cause` is empty where a poison has none."""

    analysis_id: str
    symbol: str
    cause: str
    request: str | None
    decided_ms: int


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """A closed trade as it was booked, with its fills. `realized`, `fees` are the position's own."""

    analysis_id: str
    symbol: str
    position_side: str
    quote: str
    pnl: Decimal | None
    fee: Decimal
    realized: Decimal | None
    fees: Decimal | None
    size: Decimal | None
    fills: tuple[Fill, ...]


class Evidence:
    """One account's ledger. Raises TransientError when Postgres does not answer, ConfigError without its tables."""

    def __init__(self, engine: AsyncEngine, account: str) -> None:
        self.engine, self.account = engine, account

    async def accounts(self) -> tuple[str, ...]:
        """Every account that an executor has ever taken."""
        async with self._look("accounts") as session:
            there = await session.scalar(text("SELECT to_regclass('ledger.audit') IS NOT NULL"))
            if not there:
                raise ConfigError(NOT_MIGRATED)
            return tuple((await session.scalars(select(AccountRow.name).order_by(AccountRow.name))).all())

    async def head(self) -> Head:
        return await chained.head(self.engine, self.account)

    async def start_of(self, since_ms: int) -> Head:
        return await chained.start_of(self.engine, self.account, since_ms)

    def records(self, after: int, until: int) -> AsyncIterator[list[Record]]:
        return chained.records(self.engine, self.account, after, until)

    async def count(self, kind: str) -> int:
        """How many rows the table of a kind of facts has."""
        table = FACTS[kind][0]
        async with self._look(table) as session:
            rows = select(func.count()).select_from(MODELS[kind])
            if kind in OWN:
                rows = rows.where(MODELS[kind].account == self.account)
            return await session.scalar(rows) or 0

    async def unlike_records(self, kind: str, since_ms: int) -> list[tuple[str, str]]:
        """Rows of a table that differ from their last record in the chain: which, and how. The first fifty."""
        table, name, at, ignored = FACTS[kind]
        query = _COMPARE.format(
            key=_KEYS[kind], name=name, at=at, table=table, where="WHERE account = :account" if kind in OWN else ""
        )
        values = {**self._of(), "kind": kind, "since": since_ms, "ignored": ignored, "shown": SHOWN}
        async with self._look(table) as session:
            return [(row.key, row.words) for row in await session.execute(text(query), values)]

    async def offsets(self) -> dict[str, str]:
        """How far each stream was read."""
        async with self._look("offsets") as session:
            return {
                row.stream: row.last_id for row in await session.execute(select(OffsetRow.stream, OffsetRow.last_id))
            }

    async def decided(self) -> dict[str, Decided]:
        """All decisions by analysis id."""
        columns = (
            SignalRow.analysis_id, SignalRow.symbol, SignalRow.details["cause"].astext.label("cause"),
            SignalRow.request, SignalRow.decided_ms,
        )  # fmt: skip
        async with self._look("signals") as session:
            rows = (await session.execute(select(*columns))).all()
        return {
            row.analysis_id: Decided(
                analysis_id=row.analysis_id, symbol=row.symbol, cause=row.cause or "", request=row.request,
                decided_ms=row.decided_ms,
            )
            for row in rows
        }  # fmt: skip

    async def sent(self, since_ms: int) -> tuple[Intent, ...]:
        """Every order whose request was signed from a time on."""
        async with self._look("intents") as session:
            rows = await session.scalars(
                select(IntentRow)
                .where(IntentRow.account == self.account, IntentRow.signed_ms >= since_ms)
                .order_by(IntentRow.signed_ms)
            )
            return tuple(_struct(Intent, row) for row in rows.all())

    async def fills(self, since_ms: int) -> tuple[Fill, ...]:
        """Every fill from a time on."""
        async with self._look("fills") as session:
            rows = await session.scalars(
                select(FillRow).where(FillRow.account == self.account, FillRow.time_ms >= since_ms)
            )
            return tuple(_struct(Fill, row) for row in rows.all())

    async def active(self) -> tuple[Group, ...]:
        """Every trade that is under way."""
        async with self._look("active trades") as session:
            trades = await session.scalars(
                select(TradeRow).where(TradeRow.account == self.account, TradeRow.status.in_(("pending", "filled")))
            )
            return tuple([await _group(session, trade) for trade in trades.all()])

    async def closed(self, since_ms: int) -> tuple[Closed, ...]:
        """Every trade that was closed from a time on."""
        since = text("extract(epoch FROM ledger.trades.closed) * 1000 >= :since").bindparams(since=since_ms)
        async with self._look("closed trades") as session:
            rows = await session.execute(
                select(TradeRow, PositionRow)
                .join(PositionRow, PositionRow.analysis_id == TradeRow.analysis_id, isouter=True)
                .where(TradeRow.account == self.account, TradeRow.status == "closed", since)
                .order_by(TradeRow.id)
            )
            fills: dict[str, list[Fill]] = {}
            for row in (await session.scalars(select(FillRow).where(FillRow.account == self.account))).all():
                fills.setdefault(row.analysis_id, []).append(_struct(Fill, row))
            return tuple(_closed(trade, position, fills.get(trade.analysis_id, ())) for trade, position in rows.all())

    def _of(self) -> dict[str, Any]:
        return {"account": self.account}

    @asynccontextmanager
    async def _look(self, what: str) -> AsyncIterator[AsyncSession]:
        try:
            async with translated(what), session_of(self.engine, self.account) as session, session.begin():
                await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
                await session.execute(text(PATIENCE))
                yield session
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) not in OTHER_SCHEMA:
                raise
            raise ConfigError(NOT_MIGRATED) from error


def _closed(trade: TradeRow, position: PositionRow | None, fills: Sequence[Fill]) -> Closed:
    return Closed(
        analysis_id=trade.analysis_id, symbol=trade.symbol, position_side=trade.position_side, quote=trade.quote,
        pnl=trade.pnl, fee=trade.fee, realized=None if position is None else position.realized_pnl,
        fees=None if position is None else position.fees, size=None if position is None else position.size,
        fills=tuple(fills),
    )  # fmt: skip


async def _group(session: AsyncSession, trade: TradeRow) -> Group:
    intents = await session.scalars(select(IntentRow).where(IntentRow.analysis_id == trade.analysis_id))
    fills = await session.scalars(select(FillRow).where(FillRow.analysis_id == trade.analysis_id))
    return group_of(trade, list(intents.all()), list(fills.all()))


def _struct(kind: type[Any], row: IntentRow | FillRow) -> Any:
    return kind(**{name: getattr(row, name) for name in kind.__struct_fields__})
