"""Keys with scopes: how they are made, what each allows, and when they stop working."""

import os
import re
import subprocess
import sys

import pytest

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings import Secret
from phoenix95.gateway.core.keys import SCOPES, allows, key_id
from phoenix95.gateway.reads.keys import add_key, list_keys, migrate, revoke_key

READ_WITH_KEY = ("POST", "/api/analyze")
TRADES = [
    ("POST", "/api/execute"),
    ("POST", "/api/manual_trade"),
    ("POST", "/api/notify"),
    ("POST", "/api/subscribe/BTCUSDT"),
    ("DELETE", "/api/subscribe/NOPEUSDT"),
    ("POST", "/api/positions/BTC.USDT/close"),
]
ADMIN = ("GET", "/api/keys")


def test_a_scope_allows_what_those_below_it_do():
    assert [[allows(has, needs) for needs in SCOPES] for has in SCOPES] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


@pytest.mark.parametrize("text", ["", "p95_", "p95_abcdefgh_", "p95_abcdefgh_" + "a" * 51, "P95_abcdefgh_" + "a" * 52])
def test_what_is_no_key_has_no_id(text):
    assert key_id(text) is None


def test_a_key_is_told_once_and_stored_as_a_digest(migrated_url, postgres_server):
    url = Secret(migrated_url)
    migrate(url)
    migrate(url)
    key = add_key(url, "laptop", "trade")
    assert re.fullmatch(r"p95_[a-z2-7]{8}_[a-z2-7]{52}", key)
    (row,) = list_keys(url)
    assert (row.id, row.name, row.scope, row.revoked) == (key_id(key), "laptop", "trade", None)
    for name, scope in (("laptop", "read"), ("", "read"), ("a\n", "read"), ("x" * 65, "read"), ("other", "root")):
        with pytest.raises(ConfigError):
            add_key(url, name, scope)
    assert revoke_key(url, "laptop").revoked is not None
    with pytest.raises(ConfigError, match="no living key 'laptop'"):
        revoke_key(url, "laptop")
    add_key(url, "laptop", "read")  # the name is free again


async def test_each_scope_opens_its_own_doors(gateway, migrated_url):
    url = Secret(migrated_url)
    keys = {scope: add_key(url, scope, scope) for scope in SCOPES}

    async def status(scope, method, path):
        got = await gateway.http.request(method, path, headers={"X-API-Key": keys[scope]}, content=b"{")
        if got.status_code == 403:
            assert got.json()["detail"].endswith(f"{scope} has the scope {scope}")
        return got.status_code

    async def known():
        return await status("read", *READ_WITH_KEY) != 401

    await gateway.until(known)
    for method, path in TRADES:
        assert await status("read", method, path) == 403, path
    opened = {path: await status("trade", method, path) for method, path in TRADES[:3]}
    assert opened == dict.fromkeys(("/api/execute", "/api/manual_trade", "/api/notify"), 400)
    assert [await status(scope, *ADMIN) for scope in SCOPES] == [403, 403, 200]
    assert (await gateway.act.get("/api/keys")).json()["count"] == 3  # the key of the settings may do everything
    body = (await gateway.act.get("/api/keys")).text
    assert not any(key.split("_")[2] in body for key in keys.values())

    revoke_key(url, "admin")

    async def gone():
        return await status("admin", *ADMIN) == 401

    await gateway.until(gone)


async def test_a_right_id_with_a_wrong_secret_is_refused(gateway, migrated_url):
    key = add_key(Secret(migrated_url), "mine", "admin")

    async def known():
        return (await gateway.http.get("/api/keys", headers={"X-API-Key": key})).status_code == 200

    await gateway.until(known)
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    for given in (wrong, key.upper(), key + " x", f"p95_{'a' * 8}_{'a' * 52}", "p95__"):
        assert (await gateway.http.get("/api/keys", headers={"X-API-Key": given})).status_code == 401


async def test_a_key_of_the_table_is_enough_where_the_settings_have_none(serve, redis_url, migrated_url, exchange_time):
    key = add_key(Secret(migrated_url), "only", "trade")
    settings = {"redis_url": redis_url, "postgres_url": migrated_url, "exchange_rest_url": exchange_time}
    async with serve(api_key=Secret(), **settings) as gateway:

        async def known():
            return (await gateway.http.post("/api/notify", headers={"X-API-Key": key}, content=b"{")).status_code == 400

        await gateway.until(known)
        assert (await gateway.http.post("/api/notify")).status_code == 401


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["migrate"], 0, ""),
        (["key", "add", "desk", "--scope", "trade"], 0, "p95_"),
        (["key", "list"], 0, ""),
        (["key", "revoke", "nobody"], 2, "no living key 'nobody'"),
        (["key", "add", "x", "--scope", "root"], 2, "invalid choice"),
        (["key"], 2, "required"),
    ],
)
def test_the_command_says_what_it_did_in_one_line(migrated_url, words, code, said):
    env = {name: value for name, value in os.environ.items() if not name.startswith("P95_")}
    env |= {"P95_REDIS_URL": "unix:///not/needed", "P95_POSTGRES_URL": migrated_url}
    command = [sys.executable, "-m", "phoenix95.gateway", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_postgres_that_is_away_is_named(tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("P95_")}
    env |= {"P95_REDIS_URL": "unix:///x", "P95_POSTGRES_URL": "postgresql://u:hunter2@127.0.0.1:1/d"}
    command = [sys.executable, "-m", "phoenix95.gateway", "key", "list"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Postgres does not answer" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
