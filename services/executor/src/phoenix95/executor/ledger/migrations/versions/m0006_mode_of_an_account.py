"""Each account belongs to one mode: what was traded on paper is never taken up with real money."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # nothing but paper could be traded before
    op.add_column("accounts", sa.Column("mode", sa.Text(), server_default="paper", nullable=False), schema="ledger")


def downgrade() -> None:
    op.drop_column("accounts", "mode", schema="ledger")
