"""One active executor an account: a session lock that a dead process cannot hold, and a token that fences the rest.

The lock belongs to one connection; Postgres frees it the moment that connection is gone, so a restart takes over at
once. A process that lost its connection without noticing is stopped by the token, which every write proves.
"""

import asyncio
import uuid
from hashlib import blake2b
from typing import Final

import structlog
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from phoenix95.common.errors import ConfigError
from phoenix95.common.health import Health
from phoenix95.common.modes import Mode
from phoenix95.common.retry import StopRequested, forever, pause
from phoenix95.executor.ledger.connect import translated
from phoenix95.executor.ledger.models import SCHEMA, AccountRow

STANDBY_S: Final = 0.25
WATCH_S: Final = 1.0


class Ownership:
    """Held while the connection lives. Close it to let a standby take over."""

    def __init__(self, connection: AsyncConnection, token: str) -> None:
        self._connection = connection
        self.token = token

    async def watch(self, stop: asyncio.Event) -> None:
        """Raise TransientError as soon as the lock's connection is lost: somebody else may be active by now."""
        while not await pause(stop, WATCH_S):
            async with translated("the account's lock was lost"):
                await self._connection.execute(text("SELECT 1"))

    async def release(self) -> None:
        """Give the lock back. A broken connection has given it back already."""
        if not self._connection.closed:
            await self._connection.invalidate()
            await self._connection.close()


async def take(
    engine: AsyncEngine, account: str, *, stop: asyncio.Event, mode: Mode = "paper", health: Health | None = None
) -> Ownership:
    """Wait until the account is ours.

    Raises StopRequested, or ConfigError when the tables are missing or the account was begun in another mode: its
    trades are then those of another exchange.
    """

    async def attempt() -> AsyncConnection:
        async with translated("connecting"):
            connection = await engine.connect()
            return await connection.execution_options(isolation_level="AUTOCOMMIT")

    connection = await forever(attempt, name="postgres", stop=stop, health=health)
    waiting = False
    while True:
        async with translated("taking the account's lock"):
            if await connection.scalar(select(func.pg_try_advisory_lock(_lock_key(account)))):
                break
        if not waiting:
            structlog.get_logger().info("standby", account=account)
            waiting = True
        if health is not None:
            health.set("account", f"another executor is active for account {account}")
        if await pause(stop, STANDBY_S):
            await connection.close()
            raise StopRequested(f"stopped while another executor was active for account {account}")
    if health is not None:
        health.set("account", None)
    token = uuid.uuid4().hex
    try:
        async with translated("taking over"):
            ours = await connection.scalar(
                insert(AccountRow)
                .values(name=account, token=token, mode=mode)
                .on_conflict_do_update(index_elements=["name"], set_={"token": token}, where=AccountRow.mode == mode)
                .returning(AccountRow.name)
            )
            begun = mode if ours else await connection.scalar(select(AccountRow.mode).where(AccountRow.name == account))
    except ProgrammingError as error:
        await connection.close()
        raise ConfigError(f"schema {SCHEMA} is not there: run `python -m phoenix95.executor migrate` first") from error
    if begun != mode:
        await connection.close()
        raise ConfigError(
            f"P95_MODE is {mode}, but P95_EXECUTOR_ACCOUNT {account} was begun in {begun} in this ledger:"
            " use a database of its own"
        )
    return Ownership(connection, token)


def _lock_key(account: str) -> int:
    return int.from_bytes(blake2b(f"phoenix95:{account}".encode(), digest_size=8).digest(), "big", signed=True)
