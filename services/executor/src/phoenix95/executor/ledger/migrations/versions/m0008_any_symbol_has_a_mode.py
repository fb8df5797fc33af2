"""Control modes for whatever the exchange lists: symbols are not all of capital letters and digits."""

from typing import Final

from alembic import op

from phoenix95.executor.ledger.migrations.versions.m0003_control_and_income import SET_CONTROL

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BEFORE: Final = "'^(account|[A-Z0-9_]{1,32})$'"
NOW: Final = r"'^[^\s\u0001-\u001f\u007f-\u009f]{1,40}$'"  # `account` is the whole account, as before


def upgrade() -> None:
    op.execute(_replacing(SET_CONTROL.replace(BEFORE, NOW)))


def downgrade() -> None:
    op.execute(_replacing(SET_CONTROL))


def _replacing(made: str) -> str:
    """In place: who may call it may go on doing so, and nobody else."""
    return made.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
