"""HALT, FLATTEN and resume: stored by one function of the database, under the gateway's own role, without Redis."""

import asyncio

import psycopg
import pytest

from phoenix95.common.settings import Secret
from phoenix95.gateway.reads.keys import add_key

DEAD_REDIS = "redis://127.0.0.1:1/0"


@pytest.fixture
async def alone(serve, migrated_url, exchange_time):
    """A gateway without Redis."""
    async with serve(
        redis_url=DEAD_REDIS, postgres_url=migrated_url, exchange_rest_url=exchange_time, wait_ms=200
    ) as gateway:
        gateway.postgres_url = migrated_url
        yield gateway


def rows(url, query):
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


async def demand(gateway, what, **body):
    return await gateway.act.post(f"/api/control/{what}", json=body)


async def test_a_halt_is_stored_without_redis_and_only_a_person_with_a_reason_loosens_it(alone):
    got = await demand(alone, "halt", reason="the moon is full")
    assert got.status_code == 202, got.text  # no executor has confirmed it
    change = got.json()["change"]
    assert (change["scope"], change["previous"], change["mode"]) == ("account", "RUN", "HALT")
    assert (change["reason"], change["changed_by"]) == ("the moon is full", "P95_GATEWAY_API_KEY")
    assert (await demand(alone, "flatten", reason="now", symbol="btcusdt")).json()["change"]["scope"] == "BTCUSDT"
    kept = (await demand(alone, "halt", reason="less", symbol="BTCUSDT")).json()["change"]
    assert (kept["asked"], kept["mode"]) == ("HALT", "FLATTEN")
    for body in ({"reason": " "}, {}, {"reason": "x" * 501}, {"reason": "a", "symbol": "no symbol!"}):
        assert (await demand(alone, "resume", **body)).status_code == 422
    assert (await demand(alone, "resume", reason="better", mode="FLATTEN")).status_code == 422
    assert (await demand(alone, "resume", reason="checked all")).json()["change"]["mode"] == "RUN"
    told = (await alone.http.get("/api/control")).json()
    assert [(one["scope"], one["mode"]) for one in told["modes"]] == [("account", "RUN"), ("BTCUSDT", "FLATTEN")]
    assert [one["reason"] for one in told["history"]] == ["checked all", "less", "now", "the moon is full"]


async def test_the_executors_confirmation_is_waited_for(alone):
    asking = asyncio.create_task(demand(alone, "halt", reason="confirm me"))
    for _ in range(100):
        done = await asyncio.to_thread(
            rows, alone.postgres_url, "UPDATE ledger.control_history SET applied = now() RETURNING id"
        )
        if done:
            break
    got = await asking
    assert (got.status_code, got.json()["confirmed"]) == (200, True)


async def test_a_key_that_may_trade_halts_but_does_not_resume(alone):
    key = await asyncio.to_thread(add_key, Secret(alone.postgres_url), "trader", "trade")
    mine = {"X-API-Key": key}

    async def known():
        return (await alone.http.post("/api/control/halt", json={"reason": "x"}, headers=mine)).status_code == 202

    await alone.until(known)
    got = await alone.http.post("/api/control/resume", json={"reason": "x"}, headers=mine)
    assert got.status_code == 403
    assert rows(alone.postgres_url, "SELECT changed_by FROM ledger.control") == [("trader",)]


async def test_the_gateways_role_may_call_the_function_and_nothing_else(postgres_server, migrate_now, run_sql):
    """As deploy/make-secrets makes the roles: the grant comes with the migration."""
    postgres_server.run_sql("CREATE ROLE gateway LOGIN PASSWORD 'x'")
    postgres_server.run_sql("CREATE DATABASE granted TEMPLATE template0")
    url = postgres_server.url("granted")
    try:
        await asyncio.to_thread(migrate_now, url)
        with psycopg.connect(url) as connection:
            connection.execute("SET ROLE gateway")
            call = "SELECT mode FROM ledger.set_control('account', 'HALT', 'why', 'me', 'command', false)"
            assert connection.execute(call).fetchall() == [("HALT",)]
            for forbidden in ("UPDATE ledger.control SET mode = 'RUN'", "DELETE FROM ledger.control_history"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                    connection.execute(forbidden)
            for broken in (
                "SELECT ledger.set_control('account', 'GO', 'why', 'me', 'command', true)",
                "SELECT ledger.set_control('account', 'RUN', ' ', 'me', 'command', true)",
                "SELECT ledger.set_control('a b', 'RUN', 'why', 'me', 'command', true)",
            ):
                with pytest.raises(psycopg.errors.InvalidParameterValue), connection.transaction():
                    connection.execute(broken)
            connection.execute("RESET ROLE")
            connection.execute("CREATE ROLE somebody")
            connection.execute("GRANT USAGE ON SCHEMA ledger TO somebody")
            connection.execute("SET ROLE somebody")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(call)
    finally:
        postgres_server.run_sql("DROP DATABASE granted WITH (FORCE)")
        postgres_server.run_sql("DROP ROLE gateway")
