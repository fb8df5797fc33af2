"""Fixtures for the tests of all members: a real Redis and a real Postgres.

In order of preference: the servers that `P95_TEST_REDIS_URL` and `P95_TEST_POSTGRES_URL` name (they will be
emptied), containers where an engine answers and has the image, this machine's own binaries.
"""

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from phoenix95.stack import address, containers
from phoenix95.stack.external import ExternalPostgres, ExternalRedis
from phoenix95.stack.postgres_server import PostgresServer
from phoenix95.stack.redis_server import RedisServer

PASSWORD = "only-for-tests"  # noqa: S105 - of a server that lives as long as the test run
_numbers = itertools.count(1)


class SessionRedis(Protocol):
    """What tests may ask of the session's Redis; its default user may do everything."""

    @property
    def url(self) -> str: ...

    def command(self, *words: str) -> bytes: ...


class SessionPostgres(Protocol):
    """What tests may ask of the session's Postgres; the URL's user is a superuser."""

    def url(self, database: str = ...) -> str: ...

    def run_sql(self, sql: str) -> str: ...


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder with a short path: pytest's own are too long for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="p95-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def redis_server(server_folder: Path) -> Iterator[SessionRedis]:
    """The Redis of the test run. Tests share it; take `redis_url` for an empty one."""
    if url := os.environ.get("P95_TEST_REDIS_URL"):
        yield ExternalRedis(url)
    elif containers.has_image(containers.REDIS_IMAGE):
        with containers.redis_container() as server:
            yield server
    else:
        local = RedisServer(server_folder / "redis")
        local.start()
        yield local
        local.stop()


@pytest.fixture
def redis_url(redis_server: SessionRedis) -> str:
    """The session's Redis, emptied."""
    redis_server.command("FLUSHALL")
    return redis_server.url


@pytest.fixture
def make_redis() -> Iterator[Callable[..., RedisServer]]:
    """Makes Redis servers of the test's own, to be killed or to try ACL files on: `make_redis(acl=...)`."""
    with tempfile.TemporaryDirectory(prefix="p95-") as folder:
        made: list[RedisServer] = []

        def make(*, acl: str | None = None) -> RedisServer:
            server = RedisServer(Path(folder) / str(len(made)), acl=acl)
            made.append(server)
            server.start()
            return server

        yield make
        for server in made:
            server.kill()


@pytest.fixture(scope="session")
def postgres_server(server_folder: Path) -> Iterator[SessionPostgres]:
    """The Postgres of the test run. Tests share it; take `postgres_url` for an empty database."""
    if url := os.environ.get("P95_TEST_POSTGRES_URL"):
        yield ExternalPostgres(url)
    elif containers.has_image(containers.POSTGRES_IMAGE):
        with containers.postgres_container(PASSWORD) as server:
            yield server
    else:
        local = PostgresServer(server_folder / "postgres", password=PASSWORD, durable=False)
        local.start()
        yield local
        local.stop()


@pytest.fixture
def postgres_url(postgres_server: SessionPostgres) -> Iterator[str]:
    """An empty database of the test's own."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    postgres_server.run_sql(f"CREATE DATABASE {name} TEMPLATE template0")
    yield postgres_server.url(name)
    postgres_server.run_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def make_postgres() -> Iterator[Callable[[], PostgresServer]]:
    """Makes Postgres servers of the test's own, to be stopped and killed."""
    with tempfile.TemporaryDirectory(prefix="p95-") as folder:
        made: list[PostgresServer] = []

        def make() -> PostgresServer:
            server = PostgresServer(Path(folder) / str(len(made)), password=PASSWORD, durable=False)
            made.append(server)
            server.start()
            return server

        yield make
        for server in made:
            server.stop()


@pytest.fixture
def free_port() -> int:
    """A loopback port that nobody listens on."""
    return address.free_port()
