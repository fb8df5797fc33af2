"""A gateway in the test's own loop, on real sockets, with a real Redis and a real Postgres."""

import asyncio
import itertools
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import httpx
import psycopg
import pytest

from phoenix95.common.bus import connect
from phoenix95.common.bus.symbols import add_symbol
from phoenix95.common.serve import Context
from phoenix95.common.settings import Secret
from phoenix95.gateway.config import GatewaySettings
from phoenix95.gateway.service import main

API_KEY = "a-key-for-tests-only"
POLL_S = 0.02
WAIT_S = 15
_numbers = itertools.count(1)


class Gateway:
    """The running gateway and a client for it. `act` carries the key, `http` does not."""

    def __init__(self, context, url):
        self.context = context
        self.url = url
        self.http = httpx.AsyncClient(base_url=url, trust_env=False, timeout=20)
        self.act = httpx.AsyncClient(base_url=url, trust_env=False, timeout=20, headers={"X-API-Key": API_KEY})

    async def until(self, holds):
        """Ask until `holds` is true; it may be a coroutine function."""
        for _ in range(int(WAIT_S / POLL_S)):
            found = holds()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(POLL_S)
        raise AssertionError(f"did not hold within {WAIT_S} s; {self.context.health.reasons()}")

    async def until_ready(self):
        await self.until(lambda: self.context.health.ready)


@pytest.fixture
async def exchange_time():
    """An exchange that knows the time and nothing else; yields its address."""

    async def answer(reader, writer):
        while (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /paper/v1/clock "):
            now_ms = time.time_ns() // 1_000_000
            body = b'{"serverTime":%d,"rate":1.0,"originMs":0}' % now_ms
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()

    def closed(_loop, _context):
        """The client hangs up when the gateway stops."""

    asyncio.get_running_loop().set_exception_handler(closed)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.fixture(scope="session")
def ledger_template(postgres_server):
    """A database with the ledger's tables, made once as an operator makes them; tests get copies."""
    name = f"gateway_template_{os.getpid()}"
    postgres_server.run_sql(f"CREATE DATABASE {name} TEMPLATE template0")
    migrate(postgres_server.url(name))
    yield name
    postgres_server.run_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def migrated_url(postgres_server, ledger_template):
    """A database of the test's own with the ledger's tables, empty."""
    name = f"gateway_{os.getpid()}_{next(_numbers)}"
    postgres_server.run_sql(f"CREATE DATABASE {name} TEMPLATE {ledger_template}")
    yield postgres_server.url(name)
    postgres_server.run_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def migrate_now():
    """Migrates a database, as an operator does."""
    return migrate


def migrate(postgres_url):
    env = {**os.environ, "P95_POSTGRES_URL": postgres_url, "P95_REDIS_URL": "unix:///not/needed"}
    command = [sys.executable, "-m", "phoenix95.executor", "migrate"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def run_sql():
    """Runs SQL in a database: `run_sql(url, sql)`."""

    def run(url, sql):
        with psycopg.connect(url) as connection:
            connection.execute(sql)

    return run


@pytest.fixture
def serve(free_port):
    """Makes gateways: `async with serve(redis_url=..., postgres_url=..., ...) as gateway`."""

    @asynccontextmanager
    async def running(**settings):
        settings.setdefault("api_key", Secret(API_KEY))
        postgres_url = Secret(settings.pop("postgres_url"))
        context = Context("gateway", GatewaySettings(postgres_url=postgres_url, port=free_port, **settings))
        gateway = Gateway(context, f"http://127.0.0.1:{free_port}")
        task = asyncio.create_task(main(context))
        await gateway.until(lambda: task.done() or listens(gateway))
        try:
            yield gateway
        finally:
            context.stop.set()
            await gateway.http.aclose()
            await gateway.act.aclose()
            await task

    return running


async def listens(gateway):
    try:
        return await gateway.http.get("/nothing")
    except httpx.TransportError:
        return None


@pytest.fixture
async def gateway(serve, redis_url, migrated_url, exchange_time):
    """One with everything there, and BTCUSDT and ETHUSDT subscribed."""
    redis = connect(redis_url, name="test")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        await add_symbol(redis, symbol)
    await redis.aclose()
    async with serve(redis_url=redis_url, postgres_url=migrated_url, exchange_rest_url=exchange_time) as running:
        await running.until_ready()
        await running.until(lambda: exchange_answers(running))
        yield running


async def exchange_answers(gateway):
    return (await gateway.http.get("/health")).json()["components"]["exchange_time"]["healthy"]


@pytest.fixture
async def redis(redis_url):
    """A connection of the test's own."""
    connection = connect(redis_url, name="test")
    yield connection
    await connection.aclose()
