"""Accounts side by side in one ledger: decisions, offsets and the outbox are an account's own, the ids on the order
stream everybody's."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# until now a ledger was one account's; a ledger that nobody has taken yet has no rows
OWNER: Final = "(SELECT coalesce(min(name), 'main') FROM ledger.accounts)"
UNIQUE: Final = {"signals": "one_decision", "trades": "one_trade", "positions": "one_position"}


def upgrade() -> None:
    for table in ("signals", "offsets", "outbox"):
        op.add_column(table, sa.Column("account", sa.Text(), nullable=True), schema="ledger")
        # what is already recorded does not change by it: no trigger is to make a record of it
        op.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER USER")
        op.execute(sa.table(table, sa.column("account"), schema="ledger").update().values(account=sa.text(OWNER)))
        op.execute(f"ALTER TABLE ledger.{table} ENABLE TRIGGER USER")
        default = "main" if table == "signals" else None
        op.alter_column(table, "account", nullable=False, server_default=default, schema="ledger")
    op.drop_constraint("offsets_pkey", "offsets", schema="ledger")
    op.create_primary_key("offsets_pkey", "offsets", ["account", "stream"], schema="ledger")
    for table, name in UNIQUE.items():
        op.drop_constraint(f"{table}_analysis_id_key", table, schema="ledger")
        op.create_index(name, table, ["analysis_id", "account"], unique=True, schema="ledger")
    op.drop_index("one_attempt", "intents", schema="ledger")
    op.create_index(
        "one_attempt", "intents", ["analysis_id", "account", "role", "attempt"], unique=True, schema="ledger"
    )
    op.create_table(
        "streams",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        schema="ledger",
    )
    op.execute(
        "INSERT INTO ledger.streams (name, last_ms, last_n)"
        " SELECT 'p95:order', coalesce(max(last_event_ms), 0), coalesce(max(last_event_n), 0) FROM ledger.accounts"
    )
    op.drop_column("accounts", "last_event_ms", schema="ledger")
    op.drop_column("accounts", "last_event_n", schema="ledger")


def downgrade() -> None:
    for name in ("last_event_ms", "last_event_n"):
        op.add_column("accounts", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False), schema="ledger")
    op.execute(
        "UPDATE ledger.accounts SET last_event_ms = last_ms, last_event_n = last_n"
        " FROM ledger.streams WHERE streams.name = 'p95:order'"
    )
    op.drop_table("streams", schema="ledger")
    op.drop_index("one_attempt", "intents", schema="ledger")
    op.create_index("one_attempt", "intents", ["analysis_id", "role", "attempt"], unique=True, schema="ledger")
    for table, name in UNIQUE.items():
        op.drop_index(name, table, schema="ledger")
        op.create_unique_constraint(f"{table}_analysis_id_key", table, ["analysis_id"], schema="ledger")
    op.drop_constraint("offsets_pkey", "offsets", schema="ledger")
    op.create_primary_key("offsets_pkey", "offsets", ["stream"], schema="ledger")
    for table in ("outbox", "offsets", "signals"):
        op.drop_column(table, "account", schema="ledger")
