"""Connections to Postgres that only read unless they are told, with a deadline that also holds when the server hangs.

The synchronous engine in two threads of its own: the asynchronous one would import the whole ORM, which costs
more memory than everything else here.
"""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings import Secret
from phoenix95.gateway.away import POSTGRES, Away

THREADS: Final = 2
DEADLINE_S: Final = 2.0
_SERVER_DEADLINE_MS: Final = 1_500  # the server gives up first, so that the connection survives
_CONNECT_S: Final = 2
SILENT: Final = "Postgres does not answer"
_NOT_MIGRATED: Final = "Postgres has not got the ledger's tables yet"
# By SQLSTATE; everything else that goes wrong in a read is an answer that did not come.
REASONS: Final = {
    "3F000": _NOT_MIGRATED,  # no such schema
    "42P01": _NOT_MIGRATED,  # no such table
    "42703": _NOT_MIGRATED,  # no such column
    "42883": _NOT_MIGRATED,  # no such function
    "42501": "Postgres refuses the gateway its tables",
    "28P01": "Postgres refuses the gateway's password",
    "57014": "Postgres took too long",
}

T = TypeVar("T")


class Postgres:
    """Runs one read at a time in each of its threads. Raises Away when there is no answer in time."""

    def __init__(self, url: Secret) -> None:
        self._engine = _engine(url)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="postgres")

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Ask within one read-only transaction, so that all its answers are of one moment."""
        return await self._in_time(lambda held: self._ask(question, held))

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Change something in one transaction, once: when this raises Away, it may have been done.

        A look comes first, so that connections which a restart of the server broke are not what it fails for.
        """
        await self.read(_look)
        return await self._in_time(lambda held: self._change(change, held))

    async def _in_time(self, work: "Callable[[_Held], T]") -> T:
        held = _Held()
        asking = asyncio.get_running_loop().run_in_executor(self._threads, work, held)
        try:
            done, _ = await asyncio.wait({asking}, timeout=DEADLINE_S)
        finally:
            if not asking.done():
                asking.cancel()  # takes it out of the queue if it never began
                held.give_up()
        if not done:
            raise Away(POSTGRES, SILENT)
        return asking.result()

    def close(self) -> None:
        """Close all connections. A read that still hangs is cut off."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()

    def _ask(self, question: Callable[[Connection], T], held: "_Held") -> T:
        try:
            return self._once(question, held)
        except DBAPIError as error:
            # A restart of the server breaks every connection of the pool at once; only the first caller sees it.
            if not error.connection_invalidated or held.given_up:
                raise _away(error) from error
        except (PoolTimeout, OSError) as error:
            raise Away(POSTGRES, SILENT) from error
        try:
            return self._once(question, held)
        except (DBAPIError, PoolTimeout, OSError) as error:
            raise _away(error) from error

    def _change(self, change: Callable[[Connection], T], held: "_Held") -> T:
        try:
            with self._engine.connect() as connection:
                writing = connection.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=False)
                held.take(writing)
                try:
                    done = change(writing)
                    writing.commit()
                    return done
                finally:
                    held.release()
        except (DBAPIError, PoolTimeout, OSError) as error:
            raise _away(error) from error

    def _once(self, question: Callable[[Connection], T], held: "_Held") -> T:
        with self._engine.connect() as connection:
            held.take(connection)
            try:
                return question(connection)
            finally:
                held.release()


class _Held:
    """The socket of a running read, so that another thread can cut it off when the server hangs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.given_up = False

    def take(self, connection: Connection) -> None:
        """Hold the socket behind a connection. Raises OSError when the caller has given up already."""
        driver = connection.connection.driver_connection
        with self._lock:
            if driver is None or self.given_up:
                raise OSError("nobody waits for this any more")
            # A copy of the descriptor: the driver keeps its own, and may close it at any time.
            self._socket = socket.socket(fileno=os.dup(driver.fileno()))

    def give_up(self) -> None:
        """End the read now, wherever it hangs, and let it not begin again."""
        with self._lock:
            self.given_up = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Let go of the socket; the connection goes back to the pool."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


def _look(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))


def _away(error: Exception) -> Away:
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return Away(POSTGRES, REASONS.get(state or "", SILENT))


def _engine(url: Secret) -> Engine:
    try:
        parsed = make_url(url.reveal())
    except ArgumentError as error:
        raise ConfigError("P95_POSTGRES_URL is no address like postgresql://user:password@host:port/name") from error
    if parsed.get_backend_name() != "postgresql":
        raise ConfigError(f"P95_POSTGRES_URL: {parsed.get_backend_name()} is not postgresql")
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=THREADS,
        max_overflow=0,
        pool_timeout=DEADLINE_S,
        use_native_hstore=False,  # saves a query at each connect, and we have none
        isolation_level="REPEATABLE READ",
        hide_parameters=True,
        connect_args={
            "connect_timeout": _CONNECT_S,
            "application_name": "p95-gateway",
            "options": f"-c default_transaction_read_only=on -c statement_timeout={_SERVER_DEADLINE_MS}",
        },
    )
