"""What the API tells from the ledger: counts, the account, positions, and what became of a request."""

import asyncio
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import ColumnElement, Connection, Select, TableClause, func, select

from phoenix95.common.ids import command_analysis_id
from phoenix95.common.retry import pause
from phoenix95.common.settings import Secret
from phoenix95.gateway.away import Away
from phoenix95.gateway.core.asking import RequestName
from phoenix95.gateway.core.control import Mode
from phoenix95.gateway.core.keys import ApiKey
from phoenix95.gateway.core.story import Story
from phoenix95.gateway.reads import books
from phoenix95.gateway.reads.control import Control, ControlChange, change, control, set_control
from phoenix95.gateway.reads.keys import KeyRow, key_rows, living_keys
from phoenix95.gateway.reads.overview import Overview, equity_curve, overview
from phoenix95.gateway.reads.postgres import SILENT, Postgres
from phoenix95.gateway.reads.rows import (
    Counts,
    DecisionRow,
    OrderRow,
    Outcome,
    PortfolioRow,
    PositionRow,
    R,
    as_row,
)
from phoenix95.gateway.reads.statistics import EquityPoint, Statistics, equity, newest, statistics
from phoenix95.gateway.reads.tables import FILLS, INTENTS, PORTFOLIO, POSITIONS, SIGNALS
from phoenix95.gateway.reads.trades import TradeRow, trades
from phoenix95.gateway.reads.why import NoSuch, why

EVERY_S: Final = 2.0
POSITIONS_MAX: Final = 500  # held at once; the gates allow ten


class Ledger:
    """Reads, and demands control modes. Raises Away while Postgres does not answer or has no tables yet."""

    def __init__(self, url: Secret) -> None:
        self._postgres = Postgres(url)
        self.reason: str | None = SILENT
        """Why Postgres was of no use at the last look, or None; for /readyz."""

    async def counts(self) -> Counts:
        """How much was done since the ledger began."""
        return await self._postgres.read(_counts)

    async def portfolio(self) -> PortfolioRow | None:
        """The account as last reconciled; None before the first time."""
        newest = _rows(PORTFOLIO, PortfolioRow).order_by(PORTFOLIO.c.id.desc()).limit(1)
        found = await self._postgres.read(lambda connection: _all(connection, newest, PortfolioRow))
        return found[0] if found else None

    async def active_positions(self) -> tuple[PositionRow, ...]:
        """What is held now, oldest first."""
        held = _rows(POSITIONS, PositionRow).where(POSITIONS.c.is_active).order_by(POSITIONS.c.id).limit(POSITIONS_MAX)
        return await self._postgres.read(lambda connection: _all(connection, held, PositionRow))

    async def outcome(self, name: RequestName) -> Outcome | None:
        """What became of a request; None while the gates have not decided on it."""
        return await self._postgres.read(lambda connection: _outcome(connection, name))

    async def overview(self) -> Overview:
        """The account, what is held and the last decisions, all of one moment."""
        return await self._postgres.read(overview)

    async def equity_curve(self) -> list[tuple[datetime, str]]:
        """Equity by exchange time, oldest first."""
        return await self._postgres.read(equity_curve)

    async def outcome_of(self, analysis_id: str) -> Outcome | None:
        """What became of a trade by the id of its analysis; None while the gates have not decided."""
        return await self._postgres.read(lambda connection: _outcome_of(connection, analysis_id))

    async def trades(self, since: datetime | None, until: datetime | None) -> tuple[TradeRow, ...]:
        """Every trade decided in `[since, until)`, the oldest first."""
        return await self._postgres.read(lambda connection: trades(connection, since, until))

    async def why(self, name: str) -> Story | NoSuch:
        """The whole story of an analysis, found by any of its names."""
        return await self._postgres.read(lambda connection: why(connection, name))

    async def decisions(
        self, *, limit: int, symbol: str | None = None, accepted: bool | None = None, action: str | None = None
    ) -> tuple[books.JournalRow, ...]:
        """The last decisions with their verdicts, newest first."""
        return await self._postgres.read(
            lambda connection: books.decisions(connection, limit=limit, symbol=symbol, accepted=accepted, action=action)
        )

    async def orders(
        self, *, limit: int, symbol: str | None = None, state: str | None = None
    ) -> tuple[books.PlacedRow, ...]:
        """The orders that were sent, newest first."""
        return await self._postgres.read(
            lambda connection: books.orders(connection, limit=limit, symbol=symbol, state=state)
        )

    async def positions(
        self, *, limit: int, symbol: str | None = None, active: bool | None = None
    ) -> tuple[PositionRow, ...]:
        """What is or was held, newest first; `active` None: both."""
        return await self._postgres.read(
            lambda connection: books.positions(connection, limit=limit, symbol=symbol, active=active)
        )

    async def statistics(self, since: datetime | None = None) -> Statistics:
        """Analyses and trades from exchange time `since` on; None: ever."""
        return await self._postgres.read(lambda connection: statistics(connection, since))

    async def equity(self, since: datetime, hours: float) -> tuple[EquityPoint, ...]:
        """The equity curve of so many hours from `since` on, oldest first."""
        return await self._postgres.read(lambda connection: equity(connection, since, hours))

    async def newest(self) -> datetime | None:
        """The exchange time of the last reconciliation; None before the first."""
        return await self._postgres.read(newest)

    async def keys(self) -> tuple[ApiKey, ...]:
        """All API keys that work; none before the table was made."""
        return await self._postgres.read(living_keys)

    async def key_rows(self) -> tuple[KeyRow, ...]:
        """All API keys that ever were, without their secrets."""
        return await self._postgres.read(key_rows)

    async def control(self) -> Control:
        """The control modes in force, and how they came to be."""
        return await self._postgres.read(control)

    async def set_control(self, *, scope: str, mode: Mode, reason: str, who: str, loosen: bool) -> int:
        """Demand a control mode and return the id of the change. When this raises, it may have been stored."""
        return await self._postgres.write(
            lambda connection: set_control(connection, scope=scope, mode=mode, reason=reason, who=who, loosen=loosen)
        )

    async def control_change(self, change_id: int) -> ControlChange:
        """One change of a control mode, as it is by now."""
        return await self._postgres.read(lambda connection: change(connection, change_id))

    async def check(self) -> str | None:
        """Look whether the ledger can be read: None, or why not."""
        try:
            await self._postgres.read(_look)
        except Away as error:
            self.reason = error.reason
        else:
            self.reason = None
        return self.reason

    async def watch(self, stop: asyncio.Event) -> None:
        """Look every two seconds until `stop`; log once when Postgres is away and once when it is back."""
        log = structlog.get_logger()
        told: str | None = None
        while not stop.is_set():
            reason = await self.check()
            if reason is not None and reason != told:
                log.warning("postgres_away", reason=reason)
            if reason is None and told is not None:
                log.info("postgres_back")
            told = reason
            await pause(stop, EVERY_S)

    def close(self) -> None:
        """Close all connections."""
        self._postgres.close()


def _rows(source: TableClause, kind: type[R]) -> Select[tuple[object, ...]]:
    return select(*(source.c[name] for name in kind.__struct_fields__))


def _all(connection: Connection, query: Select[tuple[object, ...]], kind: type[R]) -> tuple[R, ...]:
    return tuple(as_row(kind, row) for row in connection.execute(query).mappings())


def _look(connection: Connection) -> None:
    """One row of each table, so that a missing column is noticed here and not by a caller."""
    for source in (SIGNALS, INTENTS, POSITIONS, PORTFOLIO):
        connection.execute(select(source).limit(1)).first()


def _counts(connection: Connection) -> Counts:
    signals = select(
        func.count().label("decisions"),
        func.count().filter(SIGNALS.c.request.is_(None)).label("analyses"),
        func.count().filter(SIGNALS.c.request.is_not(None)).label("replies"),
        func.count().filter(SIGNALS.c.accepted).label("accepted"),
    ).select_from(SIGNALS)
    orders = select(func.count().label("orders")).select_from(INTENTS).where(INTENTS.c.signed_ms.is_not(None))
    fills = select(func.count().label("fills")).select_from(FILLS)
    positions = select(
        func.count().label("positions"), func.count().filter(POSITIONS.c.is_active).label("active_positions")
    ).select_from(POSITIONS)
    found: dict[str, int] = {}
    for query in (signals, orders, fills, positions):
        found.update(connection.execute(query).mappings().one())
    return Counts(**found)


def _outcome(connection: Connection, name: RequestName) -> Outcome | None:
    # Stream ids are unique within a stream only, so the symbol is asked by too, and trades by command are left out.
    asked = (SIGNALS.c.symbol == name.symbol) & (SIGNALS.c.request == name.entry_id)
    manual = SIGNALS.c.analysis_id == command_analysis_id(name.symbol, name.entry_id)
    return _decided(connection, asked & ~manual)


def _outcome_of(connection: Connection, analysis_id: str) -> Outcome | None:
    return _decided(connection, SIGNALS.c.analysis_id == analysis_id)


def _decided(connection: Connection, which: ColumnElement[bool]) -> Outcome | None:
    decisions = _all(connection, _rows(SIGNALS, DecisionRow).where(which).limit(1), DecisionRow)
    if not decisions:
        return None
    analysis_id = decisions[0].analysis_id
    orders = _rows(INTENTS, OrderRow).where(INTENTS.c.analysis_id == analysis_id)
    positions = _rows(POSITIONS, PositionRow).where(POSITIONS.c.analysis_id == analysis_id)
    return Outcome(
        decision=decisions[0],
        orders=_all(connection, orders.order_by(INTENTS.c.role, INTENTS.c.attempt), OrderRow),
        positions=_all(connection, positions, PositionRow),
    )
