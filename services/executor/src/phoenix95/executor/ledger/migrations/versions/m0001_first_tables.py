"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("last_event_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_event_n", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("peak_equity", sa.Numeric(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name"),
        schema="ledger",
    )
    op.create_table(
        "control",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
        schema="ledger",
    )
    op.create_table(
        "fills",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("analysis_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("position_side", sa.Text(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("fee", sa.Numeric(), nullable=False),
        sa.Column("fee_asset", sa.Text(), nullable=False),
        sa.Column("realized_pnl", sa.Numeric(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "symbol", "trade_id"),
        schema="ledger",
    )
    op.create_index(op.f("ix_ledger_fills_analysis_id"), "fills", ["analysis_id"], unique=False, schema="ledger")
    op.create_table(
        "intents",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("analysis_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("position_side", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("trigger_price", sa.Numeric(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("signed_ms", sa.BigInteger(), nullable=True),
        sa.Column("deadline_ms", sa.BigInteger(), nullable=True),
        sa.Column("venue_id", sa.Text(), nullable=True),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("filled", sa.Numeric(), nullable=False),
        sa.Column("average_price", sa.Numeric(), nullable=True),
        sa.Column("not_found", sa.BigInteger(), nullable=False),
        sa.Column("refusal", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id"),
        schema="ledger",
    )
    op.create_index("one_attempt", "intents", ["analysis_id", "role", "attempt"], unique=True, schema="ledger")
    op.create_index(
        "one_open_entry",
        "intents",
        ["account", "symbol"],
        unique=True,
        schema="ledger",
        postgresql_where=sa.text(
            "role = 'entry' AND state NOT IN ('FILLED', 'CANCELED', 'REJECTED', 'ABSENT', 'EXPIRED')"
        ),
    )
    op.create_table(
        "offsets",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("last_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("stream"),
        schema="ledger",
    )
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("published", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        schema="ledger",
    )
    op.create_index(
        "unpublished", "outbox", ["seq"], unique=False, schema="ledger", postgresql_where=sa.text("NOT published")
    )
    op.create_table(
        "performance_metrics",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column(
            "tags", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=True),
        sa.Column("min", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("max", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("avg", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("p50", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("p95", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("p99", sa.DOUBLE_PRECISION(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="ledger",
    )
    op.create_index(
        op.f("ix_ledger_performance_metrics_created"), "performance_metrics", ["created"], unique=False, schema="ledger"
    )
    op.create_index(
        op.f("ix_ledger_performance_metrics_name"), "performance_metrics", ["name"], unique=False, schema="ledger"
    )
    op.create_table(
        "portfolio",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("total_balance", sa.Numeric(), nullable=False),
        sa.Column("available_balance", sa.Numeric(), nullable=False),
        sa.Column("used_margin", sa.Numeric(), nullable=False),
        sa.Column("unrealized_pnl", sa.Numeric(), nullable=False),
        sa.Column("total_risk", sa.Numeric(), nullable=False),
        sa.Column("max_drawdown", sa.Numeric(), nullable=False),
        sa.Column("sharpe_ratio", sa.Numeric(), nullable=True),
        sa.Column("active_positions", sa.BigInteger(), nullable=False),
        sa.Column("total_exposure", sa.Numeric(), nullable=False),
        sa.Column("daily_pnl", sa.Numeric(), nullable=False),
        sa.Column("daily_pnl_percent", sa.Numeric(), nullable=False),
        sa.Column("daily_trades", sa.BigInteger(), nullable=False),
        sa.Column("daily_wins", sa.BigInteger(), nullable=False),
        sa.Column("daily_losses", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="ledger",
    )
    op.create_index(op.f("ix_ledger_portfolio_created"), "portfolio", ["created"], unique=False, schema="ledger")
    op.create_table(
        "positions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("analysis_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("size", sa.Numeric(), nullable=False),
        sa.Column("entry_price", sa.Numeric(), nullable=False),
        sa.Column("leverage", sa.BigInteger(), nullable=False),
        sa.Column("current_price", sa.Numeric(), nullable=True),
        sa.Column("unrealized_pnl", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("unrealized_pnl_percent", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("stop_loss", sa.Numeric(), nullable=False),
        sa.Column("take_profit", sa.Numeric(), nullable=True),
        sa.Column("max_loss", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("max_profit", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("protected", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fees", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("realized_pnl", sa.Numeric(), nullable=True),
        sa.Column("realized_pnl_percent", sa.Numeric(), nullable=True),
        sa.Column("exit_price", sa.Numeric(), nullable=True),
        sa.Column("exit_reason", sa.Text(), nullable=True),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("analysis_id"),
        schema="ledger",
    )
    op.create_index(op.f("ix_ledger_positions_created"), "positions", ["created"], unique=False, schema="ledger")
    op.create_index(op.f("ix_ledger_positions_is_active"), "positions", ["is_active"], unique=False, schema="ledger")
    op.create_table(
        "signals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("analysis_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=True),
        sa.Column("confidence", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("phoenix95_score", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("rsi", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("macd", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("volume", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("price", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("position_size", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("stop_loss", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("take_profit", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("leverage", sa.BigInteger(), nullable=True),
        sa.Column("risk_level", sa.Text(), nullable=True),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("executed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "verdicts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column(
            "reasoning", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("request", sa.Text(), nullable=True),
        sa.Column("execution_time_ms", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("processing_time_ms", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column("cache_hit", sa.Boolean(), nullable=True),
        sa.Column("ts_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("analysis_id"),
        schema="ledger",
    )
    op.create_index(op.f("ix_ledger_signals_created"), "signals", ["created"], unique=False, schema="ledger")
    op.create_index(op.f("ix_ledger_signals_request"), "signals", ["request"], unique=False, schema="ledger")
    op.create_table(
        "system_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("component", sa.Text(), nullable=True),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("user", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="ledger",
    )
    op.create_index(
        op.f("ix_ledger_system_events_created"), "system_events", ["created"], unique=False, schema="ledger"
    )
    op.create_table(
        "trades",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("analysis_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("position_side", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=False),
        sa.Column("leverage", sa.BigInteger(), nullable=False),
        sa.Column("confidence", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("phoenix95_score", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("risk_level", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("filled_amount", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("filled_price", sa.Numeric(), nullable=True),
        sa.Column("fee", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("stop_loss", sa.Numeric(), nullable=False),
        sa.Column("take_profit", sa.Numeric(), nullable=True),
        sa.Column("pnl", sa.Numeric(), nullable=True),
        sa.Column("pnl_percent", sa.Numeric(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("hold_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=True),
        sa.Column("naked_since_ms", sa.BigInteger(), nullable=True),
        sa.Column("close_reason", sa.Text(), nullable=True),
        sa.Column("request", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("filled", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "reasoning", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("execution_time_ms", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("analysis_id"),
        schema="ledger",
    )
    op.create_index(op.f("ix_ledger_trades_closed"), "trades", ["closed"], unique=False, schema="ledger")
    op.create_index(op.f("ix_ledger_trades_created"), "trades", ["created"], unique=False, schema="ledger")
    op.create_index(
        "one_active_trade",
        "trades",
        ["account", "symbol"],
        unique=True,
        schema="ledger",
        postgresql_where=sa.text("status IN ('pending', 'filled')"),
    )


def downgrade() -> None:
    op.drop_index(
        "one_active_trade",
        table_name="trades",
        schema="ledger",
        postgresql_where=sa.text("status IN ('pending', 'filled')"),
    )
    op.drop_index(op.f("ix_ledger_trades_created"), table_name="trades", schema="ledger")
    op.drop_index(op.f("ix_ledger_trades_closed"), table_name="trades", schema="ledger")
    op.drop_table("trades", schema="ledger")
    op.drop_index(op.f("ix_ledger_system_events_created"), table_name="system_events", schema="ledger")
    op.drop_table("system_events", schema="ledger")
    op.drop_index(op.f("ix_ledger_signals_request"), table_name="signals", schema="ledger")
    op.drop_index(op.f("ix_ledger_signals_created"), table_name="signals", schema="ledger")
    op.drop_table("signals", schema="ledger")
    op.drop_index(op.f("ix_ledger_positions_is_active"), table_name="positions", schema="ledger")
    op.drop_index(op.f("ix_ledger_positions_created"), table_name="positions", schema="ledger")
    op.drop_table("positions", schema="ledger")
    op.drop_index(op.f("ix_ledger_portfolio_created"), table_name="portfolio", schema="ledger")
    op.drop_table("portfolio", schema="ledger")
    op.drop_index(op.f("ix_ledger_performance_metrics_name"), table_name="performance_metrics", schema="ledger")
    op.drop_index(op.f("ix_ledger_performance_metrics_created"), table_name="performance_metrics", schema="ledger")
    op.drop_table("performance_metrics", schema="ledger")
    op.drop_index("unpublished", table_name="outbox", schema="ledger", postgresql_where=sa.text("NOT published"))
    op.drop_table("outbox", schema="ledger")
    op.drop_table("offsets", schema="ledger")
    op.drop_index(
        "one_open_entry",
        table_name="intents",
        schema="ledger",
        postgresql_where=sa.text(
            "role = 'entry' AND state NOT IN ('FILLED', 'CANCELED', 'REJECTED', 'ABSENT', 'EXPIRED')"
        ),
    )
    op.drop_index("one_attempt", table_name="intents", schema="ledger")
    op.drop_table("intents", schema="ledger")
    op.drop_index(op.f("ix_ledger_fills_analysis_id"), table_name="fills", schema="ledger")
    op.drop_table("fills", schema="ledger")
    op.drop_table("control", schema="ledger")
    op.drop_table("accounts", schema="ledger")
