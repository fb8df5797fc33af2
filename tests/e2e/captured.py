"""What a stopped system left behind, read back from its own append-only file and database."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from phoenix95.common.bus import connect
from phoenix95.common.bus.reader import entries_between
from phoenix95.stack.postgres_server import PostgresServer
from phoenix95.stack.redis_server import RedisServer

CHUNK = 5000

Entry = tuple[str, dict[bytes, bytes]]


@contextmanager
def redis_of(data: Path) -> Iterator[RedisServer]:
    """The Redis of a stopped system, started again without users."""
    server = RedisServer(data / "redis")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def stream(server: RedisServer, key: str) -> list[Entry]:
    """All entries of one stream, in order."""

    async def read() -> list[Entry]:
        redis = connect(server.url, name="captured")
        found: list[Entry] = []
        try:
            while part := await entries_between(redis, key, f"({found[-1][0]}" if found else "-", "+", CHUNK):
                found += part
        finally:
            await redis.aclose()
        return found

    return asyncio.run(read())


def hash_fields(server: RedisServer, key: str) -> dict[bytes, bytes]:
    """All fields of a hash."""

    async def read() -> dict[bytes, bytes]:
        redis = connect(server.url, name="captured")
        try:
            fields: dict[bytes, bytes] = await redis.hgetall(key)
            return fields
        finally:
            await redis.aclose()

    return asyncio.run(read())


def rows(data: Path, sql: str) -> list[tuple[Any, ...]]:
    """What a query answers in the Postgres of a stopped system."""
    password = (data / "secrets" / "postgres").read_text().strip()
    server = PostgresServer(data / "postgres", password=password)
    server.start()
    try:
        with psycopg.connect(server.url("phoenix95")) as connection:
            return connection.execute(sql).fetchall()
    finally:
        server.stop()
