"""When an order was first filled, whose order a foreign fill belongs to, and what a result is counted in."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("intents", sa.Column("filled_ms", sa.BigInteger(), nullable=True), schema="ledger")
    op.add_column("fills", sa.Column("client_id", sa.Text(), nullable=True), schema="ledger")
    op.add_column("trades", sa.Column("quote", sa.Text(), server_default="USDT", nullable=False), schema="ledger")


def downgrade() -> None:
    op.drop_column("trades", "quote", schema="ledger")
    op.drop_column("fills", "client_id", schema="ledger")
    op.drop_column("intents", "filled_ms", schema="ledger")
