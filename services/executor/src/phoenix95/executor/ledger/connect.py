"""Connections to Postgres, and the one seam where the driver's errors become ours."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    TimeoutError,  # noqa: A004
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from phoenix95.common.errors import ConfigError, TransientError

POOL_SIZE: Final = 4  # the account's row serialises writes anyway
CONNECT_S: Final = 3
ANSWER_S: Final = 3.0  # a server that hangs counts as away: what protects a position goes on without it
STATEMENT_MS: Final = 10_000
HUNG_UP: Final = "-c client_connection_check_interval=500"  # the server lets go of who hung up, locks and all


def driver_url(postgres_url: str) -> URL:
    """The address for SQLAlchemy with psycopg. Raises ConfigError that does not show it: it holds a password."""
    try:
        url = make_url(postgres_url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError("P95_POSTGRES_URL is no address of the form postgresql://user:password@host/db") from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigError(f"P95_POSTGRES_URL must start with postgresql://, not {url.drivername}://")
    return url.set(drivername="postgresql+psycopg")


def connect(postgres_url: str, *, prove: bool = True) -> AsyncEngine:
    """An engine; nothing is asked before the first use. `prove` asks an idle connection whether it lives before it is
    used, for as long as a server that hangs lets it wait; without it a dead one fails its user once."""
    return create_async_engine(
        driver_url(postgres_url),
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_pre_ping=prove,
        connect_args={
            "connect_timeout": CONNECT_S,
            "application_name": "phoenix95-executor",
            "options": f"-c statement_timeout={STATEMENT_MS} -c synchronous_commit=on {HUNG_UP}",
        },
    )


@asynccontextmanager
async def answering(connection: AsyncConnection) -> AsyncIterator[None]:
    """Hang up on a server that has not answered in time: what waits for it then fails like a lost connection.

    A cancellation would not do: the driver would ask the same server to cancel, and wait for its answer.
    """
    driver = (await connection.get_raw_connection()).driver_connection
    timer = asyncio.get_running_loop().call_later(ANSWER_S, _hang_up, driver)
    try:
        yield
    except (OperationalError, InterfaceError):
        await connection.invalidate()  # the driver does not always notice at once that its line is dead
        raise
    finally:
        timer.cancel()


def _hang_up(driver: Any) -> None:
    if not driver.closed:
        with socket.socket(fileno=os.dup(driver.fileno())) as line, contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


@asynccontextmanager
async def translated(what: str) -> AsyncIterator[None]:
    """TransientError for a Postgres that is away, too slow, or that takes no writes (a standby, a damaged one);
    everything else is a fault of ours and passes."""
    try:
        yield
    except (OperationalError, InternalError, InterfaceError, TimeoutError, OSError) as error:
        raise TransientError(f"Postgres, {what}: {_short(error)}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise TransientError(f"Postgres, {what}: {_short(error)}") from error
        raise


def _short(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(error).__name__
