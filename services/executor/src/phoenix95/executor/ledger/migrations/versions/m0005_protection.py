"""Options of a trade beyond stop and target, and what a moved stop or an exit by strategy needs to know."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trades", sa.Column("strategy", sa.Text(), server_default="", nullable=False), schema="ledger")
    op.add_column(
        "trades",
        sa.Column(
            "options",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        schema="ledger",
    )
    op.add_column("trades", sa.Column("best_price", sa.Numeric(), nullable=True), schema="ledger")
    op.add_column("intents", sa.Column("slot", sa.BigInteger(), server_default="0", nullable=False), schema="ledger")
    op.add_column("intents", sa.Column("callback_rate", sa.Numeric(), nullable=True), schema="ledger")
    # the best price follows from the market, and what it decides has records of its own
    _keep("'naked_since_ms', 'fee', 'execution_time_ms', 'best_price'")
    # trades under way can be ended by the strategy that began them
    op.execute(
        "UPDATE ledger.trades SET strategy = coalesce(signals.metadata ->> 'strategy', '')"
        " FROM ledger.signals WHERE signals.analysis_id = trades.analysis_id"
    )


def downgrade() -> None:
    _keep("'naked_since_ms', 'fee', 'execution_time_ms'")
    op.drop_column("intents", "callback_rate", schema="ledger")
    op.drop_column("intents", "slot", schema="ledger")
    op.drop_column("trades", "best_price", schema="ledger")
    op.drop_column("trades", "options", schema="ledger")
    op.drop_column("trades", "strategy", schema="ledger")


def _keep(no_facts: str) -> None:
    op.execute("DROP TRIGGER kept ON ledger.trades")
    op.execute(
        "CREATE TRIGGER kept AFTER INSERT OR UPDATE ON ledger.trades"
        f" FOR EACH ROW EXECUTE FUNCTION ledger.keep_trade({no_facts})"
    )
