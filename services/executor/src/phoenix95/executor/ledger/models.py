"""The tables of schema `ledger`. Money is NUMERIC; `*_ms` are exchange time; `created` and its like are the same
exchange time as timestamps. The attribute `details` is the column `metadata`, a name that SQLAlchemy reserves."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final

from sqlalchemy import BigInteger, DateTime, Identity, Index, MetaData, Numeric, Text, text
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from phoenix95.executor.core.chain import GENESIS

SCHEMA: Final = "ledger"
TERMINAL_SQL: Final = "('FILLED', 'CANCELED', 'REJECTED', 'ABSENT', 'EXPIRED')"


class Base(DeclarativeBase):
    """`int` is BIGINT everywhere: ids and times of the exchange need it."""

    metadata = MetaData(schema=SCHEMA)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInteger,
        str: Text,
        float: DOUBLE_PRECISION,
        Decimal: Numeric,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


class AccountRow(Base):
    """One account: its mode for life, the token of its active executor, the chain's head."""

    __tablename__ = "accounts"
    name: Mapped[str] = mapped_column(primary_key=True)
    mode: Mapped[str] = mapped_column(server_default="paper")
    token: Mapped[str]
    peak_equity: Mapped[Decimal] = mapped_column(server_default="0")
    audit_n: Mapped[int] = mapped_column(server_default="0")
    audit_hash: Mapped[str] = mapped_column(server_default=GENESIS)


class ControlRow(Base):
    """`scope` is `account` or a symbol; `mode` is RUN, REDUCE_ONLY, HALT or FLATTEN. Only a person sets RUN."""

    __tablename__ = "control"
    scope: Mapped[str] = mapped_column(primary_key=True)
    mode: Mapped[str]
    reason: Mapped[str]
    changed_by: Mapped[str]
    changed: Mapped[datetime] = mapped_column(server_default=text("now()"))


class StreamRow(Base):
    """The last id given out on a stream that all accounts write."""

    __tablename__ = "streams"
    name: Mapped[str] = mapped_column(primary_key=True)
    last_ms: Mapped[int]
    last_n: Mapped[int]


class OffsetRow(Base):
    """How far an account's executor has read a stream, written with what was done about it."""

    __tablename__ = "offsets"
    account: Mapped[str] = mapped_column(primary_key=True)
    stream: Mapped[str] = mapped_column(primary_key=True)
    last_id: Mapped[str]


class SignalRow(Base):
    """One row for every analysis and reply, with what was decided and why."""

    __tablename__ = "signals"
    __table_args__ = (Index("one_decision", "analysis_id", "account", unique=True),)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    account: Mapped[str] = mapped_column(server_default="main")
    analysis_id: Mapped[str]
    symbol: Mapped[str]
    action: Mapped[str]
    side: Mapped[str | None]
    confidence: Mapped[float | None]
    phoenix95_score: Mapped[float | None]
    rsi: Mapped[float | None]
    macd: Mapped[float | None]
    volume: Mapped[float | None]
    price: Mapped[float | None]
    position_size: Mapped[float | None]
    stop_loss: Mapped[float | None]
    take_profit: Mapped[float | None]
    leverage: Mapped[int | None]
    risk_level: Mapped[str | None]
    accepted: Mapped[bool]
    executed: Mapped[bool] = mapped_column(server_default=text("false"))
    reason: Mapped[str]
    verdicts: Mapped[list[Any]] = mapped_column(server_default=text("'[]'::jsonb"))
    reasoning: Mapped[list[Any]] = mapped_column(server_default=text("'[]'::jsonb"))
    request: Mapped[str | None] = mapped_column(index=True)
    execution_time_ms: Mapped[float | None]
    processing_time_ms: Mapped[float | None]
    cache_hit: Mapped[bool | None]
    ts_ms: Mapped[int]
    decided_ms: Mapped[int]
    created: Mapped[datetime] = mapped_column(index=True)
    details: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'::jsonb"))


class TradeRow(Base):
    """A trade that passed the gates, or a position that was adopted (its `risk_level` says so).

    `status`: pending, filled, cancelled, closed; `stage`: the order protocol's. `pnl` is after `fee`; `funding` is
    apart from both: what was received (or paid, negative) while the position was held.

    `options` are the trade's own (`core.options.Options`), numbers as texts; `best_price` is the most favourable seen.
    """

    __tablename__ = "trades"
    __table_args__ = (
        Index("one_trade", "analysis_id", "account", unique=True),
        Index(
            "one_active_trade",
            "account",
            "symbol",
            "position_side",
            unique=True,
            postgresql_where=text("status IN ('pending', 'filled')"),
        ),
    )
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    analysis_id: Mapped[str]
    account: Mapped[str]
    symbol: Mapped[str]
    side: Mapped[str]
    position_side: Mapped[str]
    amount: Mapped[Decimal]
    price: Mapped[Decimal]
    leverage: Mapped[int]
    confidence: Mapped[float]
    phoenix95_score: Mapped[float]
    risk_level: Mapped[str]
    order_id: Mapped[str | None]
    filled_amount: Mapped[Decimal] = mapped_column(server_default="0")
    filled_price: Mapped[Decimal | None]
    fee: Mapped[Decimal] = mapped_column(server_default="0")
    stop_loss: Mapped[Decimal]
    take_profit: Mapped[Decimal | None]
    pnl: Mapped[Decimal | None]
    pnl_percent: Mapped[Decimal | None]
    funding: Mapped[Decimal] = mapped_column(server_default="0")
    status: Mapped[str]
    stage: Mapped[str]
    hold_ms: Mapped[int]
    expires_ms: Mapped[int]
    opened_ms: Mapped[int | None]
    naked_since_ms: Mapped[int | None]
    close_reason: Mapped[str | None]
    quote: Mapped[str] = mapped_column(server_default="USDT")
    strategy: Mapped[str] = mapped_column(server_default="")
    options: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    best_price: Mapped[Decimal | None]
    request: Mapped[str | None]
    created: Mapped[datetime] = mapped_column(index=True)
    filled: Mapped[datetime | None]
    closed: Mapped[datetime | None] = mapped_column(index=True)
    reasoning: Mapped[list[Any]] = mapped_column(server_default=text("'[]'::jsonb"))
    execution_time_ms: Mapped[float | None]
    details: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'::jsonb"))


class IntentRow(Base):
    """An order that we mean to place, stored before its request leaves."""

    __tablename__ = "intents"
    __table_args__ = (
        Index("one_attempt", "analysis_id", "account", "role", "attempt", unique=True),
        Index(
            "one_open_entry", "account", "symbol", unique=True,
            postgresql_where=text(f"role = 'entry' AND state NOT IN {TERMINAL_SQL}"),
        ),
    )  # fmt: skip
    client_id: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str]
    analysis_id: Mapped[str]
    symbol: Mapped[str]
    role: Mapped[str]
    attempt: Mapped[int]
    side: Mapped[str]
    position_side: Mapped[str]
    quantity: Mapped[Decimal]
    trigger_price: Mapped[Decimal | None]
    slot: Mapped[int] = mapped_column(server_default="0")
    callback_rate: Mapped[Decimal | None]
    state: Mapped[str]
    signed_ms: Mapped[int | None]
    deadline_ms: Mapped[int | None]
    venue_id: Mapped[str | None]
    order_id: Mapped[str | None]
    filled: Mapped[Decimal]
    average_price: Mapped[Decimal | None]
    filled_ms: Mapped[int | None]
    not_found: Mapped[int]
    refusal: Mapped[int | None]
    reason: Mapped[str | None]
    updated_ms: Mapped[int]


class FillRow(Base):
    """One trade of the exchange's own list. `fee` is a cost in `fee_asset`; `realized_pnl` is the exchange's figure;
    `client_id` is its order's, looked up where the order is none of ours."""

    __tablename__ = "fills"
    account: Mapped[str] = mapped_column(primary_key=True)
    symbol: Mapped[str] = mapped_column(primary_key=True)
    trade_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    analysis_id: Mapped[str] = mapped_column(index=True)
    order_id: Mapped[str]
    side: Mapped[str]
    position_side: Mapped[str]
    price: Mapped[Decimal]
    quantity: Mapped[Decimal]
    fee: Mapped[Decimal]
    fee_asset: Mapped[str]
    realized_pnl: Mapped[Decimal]
    time_ms: Mapped[int]
    client_id: Mapped[str | None]


class OutboxRow(Base):
    """An entry for a stream, in the order of `seq`. `entry_id` None lets Redis give the id."""

    __tablename__ = "outbox"
    __table_args__ = (Index("unpublished", "seq", postgresql_where=text("NOT published")),)
    seq: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    account: Mapped[str]
    stream: Mapped[str]
    entry_id: Mapped[str | None]
    body: Mapped[str]
    published: Mapped[bool] = mapped_column(server_default=text("false"))


class AuditRow(Base):
    """One record of the chain, see `core.chain.Record`. The database appends it by itself, with each fact, and refuses
    every change."""

    __tablename__ = "audit"
    account: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ts_ms: Mapped[int]
    kind: Mapped[str]
    analysis_id: Mapped[str | None] = mapped_column(index=True)
    body: Mapped[str]
    prev_hash: Mapped[str]
    hash: Mapped[str]
