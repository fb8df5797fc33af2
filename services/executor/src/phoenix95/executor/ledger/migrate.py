"""Bring the schema up to date."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError

from phoenix95.common.errors import TransientError
from phoenix95.executor.ledger.connect import driver_url


def upgrade(postgres_url: str, to: str = "head") -> None:
    """Run every migration that is missing, up to a revision. Raises TransientError when Postgres cannot be reached."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["url"] = driver_url(postgres_url)
    try:
        command.upgrade(config, to)
    except DBAPIError as error:
        raise TransientError(f"Postgres, migrating: {error.orig}") from error
