"""The table of API keys, `gateway.api_keys`: our own schema, the only one that we write."""

import secrets
from base64 import b32encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, column, select, table, text

from phoenix95.common.errors import ConfigError, TransientError
from phoenix95.common.settings import Secret
from phoenix95.gateway.core.keys import NAME, SCOPES, ApiKey, Scope, key_of
from phoenix95.gateway.reads.postgres import REASONS, SILENT

KEYS_MAX: Final = 1_000  # all are held in memory
_CONNECT_S: Final = 5
_STATEMENT_MS: Final = 10_000
_LOCK: Final = 95_006  # two migrations at once would both find nothing there
_ID_BYTES: Final = 5
_SECRET_BYTES: Final = 32
# Asked first, because CREATE SCHEMA wants a right even where the schema is there already.
_SCHEMA: Final = "SELECT to_regnamespace('gateway') IS NOT NULL"
_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS gateway.api_keys (
        id text PRIMARY KEY,
        name text NOT NULL,
        scope text NOT NULL CHECK (scope IN ('read', 'trade', 'admin')),
        digest bytea NOT NULL CHECK (octet_length(digest) = 32),
        created timestamptz NOT NULL DEFAULT now(),
        revoked timestamptz
    );
    CREATE UNIQUE INDEX IF NOT EXISTS one_living_name ON gateway.api_keys (name) WHERE revoked IS NULL;
"""
_TABLE: Final = text("SELECT to_regclass('gateway.api_keys') IS NOT NULL")
_KEYS: Final = table(
    "api_keys", *(column(name) for name in (*ApiKey.__struct_fields__, "created", "revoked")), schema="gateway"
)


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key as `key list` and `GET /api/keys` show it; `revoked` is None while it works."""

    id: str
    name: str
    scope: Scope
    created: datetime
    revoked: datetime | None


def living_keys(connection: Connection) -> tuple[ApiKey, ...]:
    """All keys that work; none before the table was made."""
    if not _made(connection):
        return ()
    query = select(*(_KEYS.c[name] for name in ApiKey.__struct_fields__)).where(_KEYS.c.revoked.is_(None))
    rows = connection.execute(query.limit(KEYS_MAX)).mappings()
    return tuple(ApiKey(**{**row, "digest": bytes(row["digest"])}) for row in rows)


def key_rows(connection: Connection) -> tuple[KeyRow, ...]:
    """All keys that ever were, oldest first; none before the table was made."""
    if not _made(connection):
        return ()
    query = select(*(_KEYS.c[name] for name in KeyRow.__struct_fields__)).order_by(_KEYS.c.created).limit(KEYS_MAX)
    return tuple(KeyRow(**row) for row in connection.execute(query).mappings())


def _made(connection: Connection) -> bool:
    return bool(connection.execute(_TABLE).scalar_one())


def migrate(url: Secret) -> None:
    """Make the schema and its table where they are missing; may be repeated. Raises TransientError."""
    with _connected(url) as connection:
        _migrate(connection)


def add_key(url: Secret, name: str, scope: str) -> str:
    """Make up a key and return it: nobody can tell it again. Raises ConfigError, TransientError."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for a key: 1 to 64 letters, digits, spaces and any of . _ @ -")
    if scope not in SCOPES:
        raise ConfigError(f"{scope!r} is no scope; there are {', '.join(SCOPES)}")
    key = key_of(_base32(_ID_BYTES), _base32(_SECRET_BYTES))
    with _connected(url) as connection:
        _migrate(connection)
        if connection.execute("SELECT count(*) FROM gateway.api_keys").fetchall()[0][0] >= KEYS_MAX:
            raise ConfigError(f"there are {KEYS_MAX} keys already; delete old rows of gateway.api_keys first")
        try:
            connection.execute(
                "INSERT INTO gateway.api_keys (id, name, scope, digest) VALUES (%s, %s, %s, %s)",
                (key.split("_")[1], name, scope, sha256(key.encode()).digest()),
            )
        except psycopg.errors.UniqueViolation as error:
            raise ConfigError(f"there is a key {name!r} already; revoke it first, or take another name") from error
    return key


def revoke_key(url: Secret, name_or_id: str) -> KeyRow:
    """Make a key work no longer. Raises ConfigError when there is no such living key, and TransientError."""
    with _connected(url) as connection:
        _migrate(connection)
        found = connection.execute(
            "UPDATE gateway.api_keys SET revoked = now() WHERE revoked IS NULL AND (name = %s OR id = %s)"
            " RETURNING id, name, scope, created, revoked",
            (name_or_id, name_or_id),
        ).fetchall()
    if not found:
        raise ConfigError(f"there is no living key {name_or_id!r}")
    return _row(found[0])


def list_keys(url: Secret) -> tuple[KeyRow, ...]:
    """All keys that ever were, oldest first. Raises TransientError."""
    with _connected(url) as connection:
        _migrate(connection)
        rows = connection.execute(
            "SELECT id, name, scope, created, revoked FROM gateway.api_keys ORDER BY created, id"
        ).fetchall()
    return tuple(_row(row) for row in rows)


def _row(values: tuple[Any, ...]) -> KeyRow:
    return KeyRow(**dict(zip(KeyRow.__struct_fields__, values, strict=True)))


def _migrate(connection: "psycopg.Connection[Any]") -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    if not connection.execute(_SCHEMA).fetchall()[0][0]:
        connection.execute("CREATE SCHEMA gateway")
    if not connection.execute("SELECT to_regclass('gateway.api_keys') IS NOT NULL").fetchall()[0][0]:
        connection.execute(_TABLES)


@contextmanager
def _connected(url: Secret) -> Iterator["psycopg.Connection[Any]"]:
    """One transaction, committed at the end."""
    try:
        conninfo_to_dict(url.reveal())
    except psycopg.Error:
        # Without its cause: that would show the address, and the password in it.
        raise ConfigError("P95_POSTGRES_URL is no address like postgresql://user:password@host:port/name") from None
    try:
        with psycopg.connect(
            url.reveal(),
            connect_timeout=_CONNECT_S,
            application_name="p95-gateway-keys",
            options=f"-c statement_timeout={_STATEMENT_MS}",
        ) as connection:
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigError(f"Postgres refuses the gateway: {error.diag.message_primary}") from error
    except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
        raise TransientError(REASONS.get(getattr(error, "sqlstate", None) or "", SILENT)) from error


def _base32(count: int) -> str:
    return b32encode(secrets.token_bytes(count)).decode().rstrip("=").lower()
