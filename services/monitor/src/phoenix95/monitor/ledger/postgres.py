"""Rows into Postgres, with a deadline that also holds when the server hangs.

By psycopg alone: SQLAlchemy would take 19 MB more than these two statements are worth (docs/adr/0004). A
connection for each write: at one a minute it costs nothing, and a server that was restarted is no special case.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from phoenix95.common.errors import BadMessage, ConfigError, TransientError
from phoenix95.common.settings import Secret

DEADLINE_S: Final = 3.0  # with what it takes to let go well inside a service's drain
ROWS_MAX: Final = 5_000  # in one call: some hundred a service are usual
SILENT: Final = "Postgres does not answer"
_CONNECT_S: Final = 2
_SERVER_DEADLINE_MS: Final = 2_500  # the server gives up first, so that it does not write what we gave up
_LET_GO_S: Final = 1.0
_NOT_MIGRATED: Final = "Postgres has not got the ledger's tables yet"
# By SQLSTATE; everything else that goes wrong is an answer that did not come.
REASONS: Final = {
    "3F000": _NOT_MIGRATED,  # no such schema
    "42P01": _NOT_MIGRATED,  # no such table
    "42703": _NOT_MIGRATED,  # no such column
    "42501": "Postgres refuses the monitor its tables",
    "28P01": "Postgres refuses the monitor's password",
    "3D000": "Postgres has no such database",
    "57014": "Postgres took too long",
}

Row = tuple[Any, ...]


class Postgres:
    """Writes one batch at a time."""

    def __init__(self, url: Secret) -> None:
        """Raises ConfigError when `url` cannot be one."""
        try:
            conninfo_to_dict(url.reveal())
        except psycopg.Error:
            # Without its cause: that would show the address, and the password in it.
            raise ConfigError("P95_POSTGRES_URL is no address like postgresql://user:password@host:port/name") from None
        self._url = url

    async def insert(self, statement: str, rows: Sequence[Row]) -> None:
        """Store all rows or none, in one transaction.

        Raises TransientError (the rows may be stored all the same when the commit's answer was lost) and
        BadMessage for a value that the table does not take.
        """
        if not rows:
            return
        if len(rows) > ROWS_MAX:
            raise BadMessage("rows", f"{len(rows)} at once, more than {ROWS_MAX}")
        held = _Held()
        writing = asyncio.create_task(self._insert(statement, rows, held))
        try:
            await asyncio.wait({writing}, timeout=DEADLINE_S)
        finally:
            if not writing.done():
                await _end(writing, held)
        if writing.cancelled() or not writing.done():
            raise TransientError(SILENT)
        writing.result()

    async def _insert(self, statement: str, rows: Sequence[Row], held: "_Held") -> None:
        try:
            connection = await psycopg.AsyncConnection.connect(
                self._url.reveal(),
                connect_timeout=_CONNECT_S,
                application_name="p95-monitor",
                options=f"-c statement_timeout={_SERVER_DEADLINE_MS}",
            )
            async with connection:
                with held.holding(connection):
                    await connection.cursor().executemany(statement, rows)
                    await connection.commit()
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise BadMessage("rows", str(error.diag.message_primary or error)) from error
        except (psycopg.Error, OSError) as error:
            raise TransientError(REASONS.get(getattr(error, "sqlstate", None) or "", SILENT)) from error


async def _end(writing: "asyncio.Task[None]", held: "_Held") -> None:
    # Cancelling a statement waits for the server's word, which may never come: so the socket is cut instead.
    if not held.cut():
        writing.cancel()
    await asyncio.wait({writing}, timeout=_LET_GO_S)
    if writing.done() and not writing.cancelled():
        writing.exception()  # has been seen


class _Held:
    """The socket of a running write."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    @contextlib.contextmanager
    def holding(self, connection: "psycopg.AsyncConnection[Any]") -> Iterator[None]:
        """Hold a connection's socket for the length of the block."""
        # A copy of the descriptor: the driver closes its own when it likes.
        with socket.socket(fileno=os.dup(connection.fileno())) as self._socket:
            yield
        self._socket = None

    def cut(self) -> bool:
        """End the write now. False when there is no connection, or not yet."""
        if self._socket is None:
            return False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        return True
