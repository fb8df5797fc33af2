"""Connections to Redis, and the one seam where the driver's errors become ours.

Command clients never retry by themselves: the driver repeats writes too, and a lost reply then doubles an
append. What may be repeated is decided by the caller, and all scripts here may.
"""

from types import TracebackType
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,  # noqa: A004  the driver's own name
    MaxConnectionsError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,  # noqa: A004  the driver's own name
    TryAgainError,
)

from phoenix95.common.bus.packing import pack_in_c
from phoenix95.common.errors import ConfigError, InvariantBroken, Phoenix95Error, TransientError

Connection = Redis

SOCKET_TIMEOUT_S: Final = 2.0  # a command that takes longer means a server in trouble
READER_GRACE_S: Final = 3.0  # a blocking read answers within its block time, plus this

_CREDENTIALS: Final = (AuthenticationError, AuthorizationError, NoPermissionError)
_TRANSIENT: Final = (
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    MaxConnectionsError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,
    TryAgainError,
    OSError,
)
# Errors that the driver does not give a class of their own, by the first word of the reply.
_TRANSIENT_WORDS: Final = frozenset({"BUSY", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "UNKILLABLE"})

_DENIED_IN_SCRIPT: Final = ("The user executing the script", "ACL failure in script")  # Redis 7.0, and 7.2 on


def connect(url: str, *, name: str, username: str | None = None, password: str | None = None) -> Connection:
    """A client for commands; nothing is sent before the first one. `name` shows in CLIENT LIST.

    Raises ConfigError when `url` is none that Redis knows (redis://, rediss:// or unix://).
    """
    return _client(url, name, username, password, SOCKET_TIMEOUT_S)


def connect_reader(
    url: str, *, name: str, block_ms: int, username: str | None = None, password: str | None = None
) -> Connection:
    """A client of its own for one blocking reader, so that a blocked read holds up nobody else."""
    return _client(url, name, username, password, block_ms / 1000 + READER_GRACE_S)


def _client(url: str, name: str, username: str | None, password: str | None, timeout_s: float) -> Connection:
    # What the URL itself carries wins in the driver; None must not be passed, or it would win over the URL.
    credentials: dict[str, Any] = {
        key: value for key, value in (("username", username), ("password", password)) if value
    }
    try:
        client = Redis.from_url(
            url,
            client_name=name,
            protocol=2,
            decode_responses=False,
            driver_info=None,  # CLIENT SETINFO is unknown to Redis 7.0, and our users may not call it
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout_s,
            socket_connect_timeout=SOCKET_TIMEOUT_S,
            **credentials,
        )
    except ValueError as error:
        raise ConfigError(f"P95_REDIS_URL: {error}") from error
    pack_in_c(client.connection_pool)
    return client


class translated:  # noqa: N801  reads as a verb: `with translated("publish"):`
    """Turn the driver's errors into ours, by table; anything else passes unchanged.

    Works as `with` and as `async with`. `what` names the key or the work in the message. Raises
    TransientError (away, slow, loading, busy, read-only, full), ConfigError (wrong password, or a right
    that the user lacks) and InvariantBroken (a key of another kind than the table of streams says).
    """

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            ours = translate(self.what, error)
            if ours is not None:
                raise ours from error

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def translate(what: str, error: BaseException) -> Phoenix95Error | None:
    """Our error for one of the driver's; None when it is not in the table."""
    # Refused credentials are a ConnectionError to the driver, and on connecting only the cause of one.
    denied = isinstance(error, ResponseError) and any(words in str(error) for words in _DENIED_IN_SCRIPT)
    if denied or isinstance(error, _CREDENTIALS) or isinstance(error.__cause__, _CREDENTIALS):
        return ConfigError(f"P95_REDIS_USERNAME, P95_REDIS_PASSWORD: Redis refused {what}: {error}")
    if isinstance(error, _TRANSIENT):
        return TransientError(f"Redis, {what}: {error}")
    if isinstance(error, ResponseError):
        word = str(error).partition(" ")[0]
        if word in _TRANSIENT_WORDS:
            return TransientError(f"Redis, {what}: {error}")
        if "WRONGTYPE" in str(error):
            return InvariantBroken(f"{what}: a key is not of the kind that the table of streams says: {error}")
    return None


async def execute(redis: Connection, *command: str | bytes | int) -> Any:
    """Send one command. The driver's own methods type their answers too widely to be of use."""
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]


async def ping(redis: Connection) -> None:
    """Ask whether Redis answers us. Raises TransientError or ConfigError, as `translated` does."""
    with translated("ping"):
        await execute(redis, "PING")
