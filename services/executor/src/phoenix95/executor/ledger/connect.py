"""Connections to Postgres, and the one seam where the driver's errors become ours."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, TimeoutError  # noqa: A004
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from phoenix95.common.errors import ConfigError, TransientError

POOL_SIZE: Final = 4  # the account's row serialises writes anyway
CONNECT_S: Final = 5
STATEMENT_MS: Final = 10_000


def driver_url(postgres_url: str) -> URL:
    """The address for SQLAlchemy with psycopg. Raises ConfigError that does not show it: it holds a password."""
    try:
        url = make_url(postgres_url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError("P95_POSTGRES_URL is no address of the form postgresql://user:password@host/db") from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigError(f"P95_POSTGRES_URL must start with postgresql://, not {url.drivername}://")
    return url.set(drivername="postgresql+psycopg")


def connect(postgres_url: str) -> AsyncEngine:
    """An engine; nothing is asked before the first use."""
    return create_async_engine(
        driver_url(postgres_url),
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_S,
            "application_name": "phoenix95-executor",
            "options": f"-c statement_timeout={STATEMENT_MS} -c synchronous_commit=on",
        },
    )


@asynccontextmanager
async def translated(what: str) -> AsyncIterator[None]:
    """TransientError for a Postgres that is away or too slow; everything else is a fault of ours and passes."""
    try:
        yield
    except (OperationalError, InterfaceError, TimeoutError, OSError) as error:
        raise TransientError(f"Postgres, {what}: {_short(error)}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise TransientError(f"Postgres, {what}: {_short(error)}") from error
        raise


def _short(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(error).__name__
