"""One active executor an account: a session lock that a dead process cannot hold, and a token that fences the rest.

The lock belongs to one connection; Postgres frees it the moment that connection is gone, so a restart takes over at
once. A process that lost its connection without noticing is stopped by the token, which every write proves.
"""

import asyncio
import uuid
from hashlib import blake2b
from typing import Final

import structlog
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from phoenix95.common.errors import ConfigError, Fenced, TransientError
from phoenix95.common.health import Health
from phoenix95.common.modes import Mode
from phoenix95.common.retry import StopRequested, backoff, pause
from phoenix95.executor.ledger.connect import answering, translated
from phoenix95.executor.ledger.models import SCHEMA, AccountRow

STANDBY_S: Final = 0.25
WATCH_S: Final = 1.0
AGAIN_MAX_S: Final = 0.5
# after a restart of Postgres nobody holds the lock: who held it, and protects positions, comes before a standby
STANDBY_AFTER_LOSS_S: Final = 3.0


class Ownership:
    """Held while the connection lives. Release it to let a standby take over.

    `lost` says why the lock is not ours at the moment (None: it is), and `losses` counts how often that came about.
    What is under way goes on meanwhile: every write proves the token, so nothing is written beside another executor.
    """

    def __init__(self, engine: AsyncEngine, account: str, connection: AsyncConnection, token: str) -> None:
        self._engine, self._account = engine, account
        self._connection = connection
        self.token = token
        self.lost: str | None = None
        self.losses = 0

    async def watch(self, stop: asyncio.Event) -> None:
        """See that the lock is ours, and take it again when its connection was lost. Raises Fenced as soon as another
        executor has the account."""
        while not await pause(stop, WATCH_S):
            try:
                await self._prove(self._connection)
            except TransientError as error:
                self.lost, self.losses = str(error), self.losses + 1
                structlog.get_logger().warning("account_lock_lost", reason=self.lost)
                await _drop(self._connection)
                await self._take_again(stop)

    async def _take_again(self, stop: asyncio.Event) -> None:
        for wait_s in backoff(cap_s=AGAIN_MAX_S):
            if await pause(stop, wait_s):
                return
            connection = None
            try:
                connection = await _connected(self._engine)
                locked = await _locked(connection, self._account)
                await self._prove(connection)  # behind the lock: whoever held it meanwhile has changed the token
            except (TransientError, Fenced) as error:
                await _drop(connection)
                if isinstance(error, Fenced):
                    raise
                continue
            if locked:
                self._connection, self.lost = connection, None
                structlog.get_logger().info("account_lock_taken_again")
                return
            await _drop(connection)

    async def _prove(self, connection: AsyncConnection) -> None:
        async with translated("the account's lock"), answering(connection):
            token = await connection.scalar(select(AccountRow.token).where(AccountRow.name == self._account))
        if token != self.token:
            raise Fenced("FENCED_OWNER", f"account {self._account}")

    async def release(self) -> None:
        """Give the lock back. A broken connection has given it back already."""
        await _drop(self._connection)


async def take(
    engine: AsyncEngine, account: str, *, stop: asyncio.Event, mode: Mode = "paper", health: Health | None = None
) -> Ownership:
    """Wait until the account is ours.

    Raises StopRequested, or ConfigError when the tables are missing or the account was begun in another mode: its
    trades are then those of another exchange.
    """
    log, waits, told, wait_s = structlog.get_logger(), backoff(), "", 0.0
    connection: AsyncConnection | None = None
    try:
        while not await pause(stop, wait_s):
            try:
                if connection is None:
                    connection = await _connected(engine)
                if await _locked(connection, account):
                    token = await _new_token(connection, account, mode)
                    if health is not None:
                        health.set("account", None)
                    held, connection = connection, None
                    return Ownership(engine, account, held, token)
                news, reason, wait_s = "standby", f"another executor is active for account {account}", STANDBY_S
            except TransientError as error:
                await _drop(connection)
                connection = None
                wait_s = STANDBY_AFTER_LOSS_S if told == "standby" else next(waits)
                news, reason = "waiting_for_postgres", f"waiting for postgres: {error}"
            if news != told:
                log.warning(news, account=account, reason=reason)
            told = news
            if health is not None:
                health.set("account", reason)
    finally:
        await _drop(connection)
    raise StopRequested(f"stopped before account {account} was ours")


async def _connected(engine: AsyncEngine) -> AsyncConnection:
    async with translated("connecting"):
        connection = await engine.connect()
        return await connection.execution_options(isolation_level="AUTOCOMMIT")


async def _locked(connection: AsyncConnection, account: str) -> bool:
    async with translated("taking the account's lock"), answering(connection):
        return bool(await connection.scalar(select(func.pg_try_advisory_lock(_lock_key(account)))))


async def _new_token(connection: AsyncConnection, account: str, mode: Mode) -> str:
    """From now on nobody who held the account before can write."""
    token = uuid.uuid4().hex
    try:
        async with translated("taking over"), answering(connection):
            ours = await connection.scalar(
                insert(AccountRow)
                .values(name=account, token=token, mode=mode)
                .on_conflict_do_update(index_elements=["name"], set_={"token": token}, where=AccountRow.mode == mode)
                .returning(AccountRow.name)
            )
            begun = mode if ours else await connection.scalar(select(AccountRow.mode).where(AccountRow.name == account))
    except ProgrammingError as error:
        raise ConfigError(f"schema {SCHEMA} is not there: run `python -m phoenix95.executor migrate` first") from error
    if begun != mode:
        raise ConfigError(
            f"P95_MODE is {mode}, but P95_EXECUTOR_ACCOUNT {account} was begun in {begun} in this ledger:"
            " use a database of its own"
        )
    return token


async def _drop(connection: AsyncConnection | None) -> None:
    """Close for good, so that the server frees what it held; not back into the pool."""
    if connection is not None and not connection.closed:
        await connection.invalidate()
        await connection.close()


def _lock_key(account: str) -> int:
    return int.from_bytes(blake2b(f"phoenix95:{account}".encode(), digest_size=8).digest(), "big", signed=True)
