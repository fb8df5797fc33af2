"""The tables that are read by people more than by the protocol: positions, portfolio, events, metrics."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Date, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from phoenix95.executor.ledger.models import Base


class PositionRow(Base):
    """What a trade holds or held. `side` is long or short; amounts in the quote currency are after fees."""

    __tablename__ = "positions"
    __table_args__ = (Index("one_position", "analysis_id", "account", unique=True),)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    analysis_id: Mapped[str]
    account: Mapped[str]
    symbol: Mapped[str]
    side: Mapped[str]
    size: Mapped[Decimal]
    entry_price: Mapped[Decimal]
    leverage: Mapped[int]
    current_price: Mapped[Decimal | None]
    unrealized_pnl: Mapped[Decimal] = mapped_column(server_default="0")
    unrealized_pnl_percent: Mapped[Decimal] = mapped_column(server_default="0")
    stop_loss: Mapped[Decimal]
    take_profit: Mapped[Decimal | None]
    max_loss: Mapped[Decimal] = mapped_column(server_default="0")
    max_profit: Mapped[Decimal] = mapped_column(server_default="0")
    protected: Mapped[bool] = mapped_column(server_default=text("false"))
    is_active: Mapped[bool] = mapped_column(index=True)
    created: Mapped[datetime] = mapped_column(index=True)
    updated: Mapped[datetime]
    closed: Mapped[datetime | None]
    fees: Mapped[Decimal] = mapped_column(server_default="0")
    realized_pnl: Mapped[Decimal | None]
    realized_pnl_percent: Mapped[Decimal | None]
    exit_price: Mapped[Decimal | None]
    exit_reason: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'::jsonb"))


class PortfolioRow(Base):
    """The account at one moment. Shares (`total_risk`, `max_drawdown`, `daily_pnl_percent`) say what they are of."""

    __tablename__ = "portfolio"
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    account: Mapped[str]
    total_balance: Mapped[Decimal]
    available_balance: Mapped[Decimal]
    used_margin: Mapped[Decimal]
    unrealized_pnl: Mapped[Decimal]
    total_risk: Mapped[Decimal]
    max_drawdown: Mapped[Decimal]
    sharpe_ratio: Mapped[Decimal | None]
    active_positions: Mapped[int]
    total_exposure: Mapped[Decimal]
    daily_pnl: Mapped[Decimal]
    daily_pnl_percent: Mapped[Decimal]
    daily_trades: Mapped[int]
    daily_wins: Mapped[int]
    daily_losses: Mapped[int]
    created: Mapped[datetime] = mapped_column(index=True)
    date: Mapped[date] = mapped_column(Date)
    details: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'::jsonb"))


class SystemEventRow(Base):
    """Something that happened to the system; `severity` is info, warning, error or critical."""

    __tablename__ = "system_events"
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    event_type: Mapped[str]
    severity: Mapped[str]
    message: Mapped[str]
    component: Mapped[str | None]
    symbol: Mapped[str | None]
    user: Mapped[str | None]
    created: Mapped[datetime] = mapped_column(server_default=text("now()"), index=True)
    details: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'::jsonb"))


class PerformanceMetricRow(Base):
    """A figure of the system's own performance; `type` is counter, gauge or histogram."""

    __tablename__ = "performance_metrics"
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    value: Mapped[float | None]
    type: Mapped[str]
    tags: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    created: Mapped[datetime] = mapped_column(server_default=text("now()"), index=True)
    timestamp: Mapped[datetime]
    count: Mapped[int | None]
    min: Mapped[float | None]
    max: Mapped[float | None]
    avg: Mapped[float | None]
    p50: Mapped[float | None]
    p95: Mapped[float | None]
    p99: Mapped[float | None]


class ControlHistoryRow(Base):
    """One change of a control mode, or one demand for it. `mode` is what came into force, `asked` what was asked for.

    `cause` is `command` for a person and the trigger's name otherwise; `db_role` is who asked as Postgres knows it;
    `applied` is when an executor had seen it, None while none has.
    """

    __tablename__ = "control_history"
    __table_args__ = (Index("control_not_applied", "id", postgresql_where=text("applied IS NULL")),)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    scope: Mapped[str]
    previous: Mapped[str]
    mode: Mapped[str]
    asked: Mapped[str]
    reason: Mapped[str]
    changed_by: Mapped[str]
    cause: Mapped[str]
    db_role: Mapped[str]
    changed: Mapped[datetime] = mapped_column(server_default=text("now()"))
    applied: Mapped[datetime | None]


class IncomeRow(Base):
    """One row of the exchange's income history, as it is. `analysis_id` is the trade that it was booked to, if any.

    `amount` is signed as the exchange signs it: a commission is negative.
    """

    __tablename__ = "income"
    account: Mapped[str] = mapped_column(primary_key=True)
    income_type: Mapped[str] = mapped_column(primary_key=True)
    tran_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    symbol: Mapped[str] = mapped_column(primary_key=True)
    asset: Mapped[str]
    amount: Mapped[Decimal]
    time_ms: Mapped[int] = mapped_column(index=True)
    trade_id: Mapped[int | None]
    analysis_id: Mapped[str | None] = mapped_column(index=True)
