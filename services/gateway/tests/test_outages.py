"""Redis, Postgres and the exchange away, before and while the gateway runs: 503 by name, and back by itself."""

import asyncio
import contextlib
import time

import psutil

from phoenix95.common.bus import connect
from phoenix95.common.bus.acl import acl_file
from phoenix95.common.bus.symbols import add_symbol
from phoenix95.common.settings import Secret

EXECUTE = {"symbol": "BTCUSDT", "action": "buy"}
NEEDS_REDIS = ["/api/info", "/api/price/BTCUSDT", "/api/metrics"]
NEEDS_POSTGRES = ["/api/info", "/api/portfolio", "/api/metrics"]


async def is_away(gateway, path, component):
    got = await gateway.http.get(path)
    return got.status_code == 503 and got.json().get("component") == component


async def answers(gateway, path):
    return (await gateway.http.get(path)).status_code == 200


async def well(gateway, component):
    return (await gateway.http.get("/health")).json()["components"][component]["healthy"]


async def test_redis_away_at_start_and_again_later(serve, make_redis, migrated_url, exchange_time):
    server = make_redis()
    server.kill()
    settings = {"redis_url": server.url, "postgres_url": migrated_url, "exchange_rest_url": exchange_time}
    async with serve(**settings) as gateway:
        await gateway.until(lambda: well(gateway, "exchange_time"))
        for path in NEEDS_REDIS:
            assert await is_away(gateway, path, "redis"), path
        got = await gateway.act.post("/api/execute", json=EXECUTE)
        assert (got.status_code, got.json()["component"]) == (503, "redis")
        unhealthy = (await gateway.http.get("/health")).json()["unhealthy"]
        assert unhealthy == ["redis", "feed", "engine", "executor", "monitor"]
        assert not gateway.context.health.ready
        for _ in range(2):
            server.start()
            await gateway.until(lambda: answers(gateway, "/api/metrics"))
            await gateway.until_ready()
            server.kill()
            await gateway.until(lambda: is_away(gateway, "/api/metrics", "redis"))


async def test_postgres_away_at_start_and_again_later(serve, redis_url, make_postgres, exchange_time, migrate_now):
    server = make_postgres()
    migrate_now(server.url())
    server.stop()
    settings = {"redis_url": redis_url, "postgres_url": server.url(), "exchange_rest_url": exchange_time}
    async with serve(**settings) as gateway:
        for path in NEEDS_POSTGRES:
            await gateway.until(lambda path=path: is_away(gateway, path, "postgres"))
        assert "postgres" in (await gateway.http.get("/health")).json()["unhealthy"]
        assert not gateway.context.health.ready
        for _ in range(2):
            server.start()
            await gateway.until(lambda: answers(gateway, "/api/portfolio"))
            await gateway.until_ready()
            server.stop()
            await gateway.until(lambda: is_away(gateway, "/api/portfolio", "postgres"))


async def test_a_restart_of_postgres_is_not_noticed_by_the_next_caller(
    serve, redis_url, make_postgres, exchange_time, migrate_now
):
    server = make_postgres()
    migrate_now(server.url())
    settings = {"redis_url": redis_url, "postgres_url": server.url(), "exchange_rest_url": exchange_time}
    async with serve(**settings) as gateway:
        await gateway.until_ready()
        server.stop()
        server.start()
        assert (await gateway.http.get("/api/portfolio")).status_code == 200


async def test_a_postgres_that_hangs_costs_a_bounded_time_and_no_stop(
    serve, redis_url, make_postgres, exchange_time, migrate_now
):
    server = make_postgres()
    migrate_now(server.url())
    settings = {"redis_url": redis_url, "postgres_url": server.url(), "exchange_rest_url": exchange_time}
    async with serve(**settings) as gateway:
        await gateway.until_ready()
        with frozen(server.process.pid):
            started = time.monotonic()
            many = await asyncio.gather(*(gateway.http.get("/api/portfolio") for _ in range(10)))
            assert {got.status_code for got in many} == {503}
            assert time.monotonic() - started < 5
            assert (await gateway.http.get("/api/price/BTCUSDT")).status_code == 404  # what needs no Postgres goes on
        await gateway.until(lambda: answers(gateway, "/api/portfolio"))
        with frozen(server.process.pid):
            await asyncio.sleep(0.1)
            gateway.context.stop.set()
            started = time.monotonic()
    assert time.monotonic() - started < 7


@contextlib.contextmanager
def frozen(pid):
    """The server and all its sessions stand still."""
    root = psutil.Process(pid)
    family = [root, *root.children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in reversed(family):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


async def test_before_the_migrations_the_tables_are_named(serve, redis_url, postgres_url, exchange_time, migrate_now):
    settings = {"redis_url": redis_url, "postgres_url": postgres_url, "exchange_rest_url": exchange_time}
    async with serve(**settings) as gateway:
        got = await gateway.http.get("/api/portfolio")
        assert got.status_code == 503
        assert got.json()["detail"] == "postgres: Postgres has not got the ledger's tables yet"
        assert not gateway.context.health.ready
        await asyncio.to_thread(migrate_now, postgres_url)
        await gateway.until_ready()


async def test_without_exchange_time_nothing_is_ordered(serve, redis_url, migrated_url, redis):
    await add_symbol(redis, "BTCUSDT")
    settings = {"redis_url": redis_url, "postgres_url": migrated_url, "exchange_rest_url": "http://127.0.0.1:1"}
    async with serve(**settings) as gateway:
        await gateway.until_ready()
        got = await gateway.act.post("/api/execute", json=EXECUTE)
        assert (got.status_code, got.json()["component"]) == (503, "exchange_time")
        assert "exchange_time" in (await gateway.http.get("/health")).json()["unhealthy"]
        assert (await gateway.http.get("/api/info")).json()["exchange_ms"] is None


async def test_its_own_redis_user_is_enough(serve, make_redis, migrated_url, exchange_time):
    server = make_redis(acl=acl_file({"gateway": "only-for-tests", "feed": "only-for-tests"}))
    feed = connect(server.url, name="test", username="feed", password="only-for-tests")
    await add_symbol(feed, "BTCUSDT")
    await feed.aclose()
    settings = {"redis_url": server.url, "postgres_url": migrated_url, "exchange_rest_url": exchange_time}
    async with serve(redis_username="gateway", redis_password=Secret("only-for-tests"), **settings) as gateway:
        await gateway.until_ready()
        await gateway.until(lambda: well(gateway, "exchange_time"))
        for path in ("/api/info", "/api/metrics", "/api/portfolio"):
            assert (await gateway.http.get(path)).status_code == 200, path
        assert (await gateway.http.get("/api/price/BTCUSDT")).status_code == 404
        got = await gateway.act.post("/api/execute", json=EXECUTE)
        assert got.status_code == 202
        assert (await gateway.act.get(got.headers["location"])).json()["state"] == "waiting"
        assert (await gateway.act.post("/api/subscribe/ETHUSDT")).status_code == 202
