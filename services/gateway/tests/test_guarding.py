"""Who may call what, and that nothing a caller sends becomes a 5xx."""

import asyncio
import socket

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phoenix95.common import keys
from phoenix95.common.settings import Secret

ACTS = [
    ("POST", "/api/execute"),
    ("GET", "/api/execute/BTCUSDT-1-0"),
    ("POST", "/api/subscribe/BTCUSDT"),
    ("DELETE", "/api/subscribe/BTCUSDT"),
    ("POST", "/api/positions/BTCUSDT/close"),
    ("POST", "/api/analyze"),
    ("POST", "/api/manual_trade"),
    ("POST", "/api/notify"),
    ("POST", "/api/control/halt"),
    ("POST", "/api/control/flatten"),
    ("POST", "/api/control/resume"),
    ("GET", "/api/keys"),
]
READS = [
    "/api/info",
    "/api/price/BTCUSDT",
    "/api/prices/BTCUSDT/history",
    "/api/portfolio",
    "/api/metrics",
    "/api/performance",
    "/api/positions",
    "/api/orders",
    "/api/decisions",
    "/api/alerts",
    "/api/host",
    "/api/feed",
    "/api/control",
    "/api/commands/1-0",
    "/openapi.json",
]
WRONG_KEYS = ["", "a-key-for-tests-onlY", "a-key-for-tests-onl", "a-key-for-tests-only1", "x" * 8000]


def is_problem(got, status):
    assert got.status_code == status, got.text
    assert got.headers["content-type"] == "application/problem+json"
    body = got.json()
    assert (body["status"], body["type"]) == (status, "about:blank")
    assert body["detail"]
    return body


async def test_acting_needs_the_key_whatever_the_body(gateway):
    for method, path in ACTS:
        for content in (b"", b"{", b'{"symbol":"BTCUSDT","action":"buy"}'):
            got = await gateway.http.request(method, path, content=content)
            assert "X-API-Key is missing" in is_problem(got, 401)["detail"]
            assert got.headers["www-authenticate"] == "ApiKey"


async def test_a_wrong_key_is_refused_and_nothing_is_written(gateway, redis):
    for key in WRONG_KEYS:
        got = await gateway.http.post("/api/execute", headers={"X-API-Key": key}, json={"symbol": "BTCUSDT"})
        is_problem(got, 401)
    raw = await gateway.http.post("/api/execute", headers=[(b"X-API-Key", b"\xff\xfe\x80")], content=b"{}")
    is_problem(raw, 401)
    assert await redis.exists(keys.request("BTCUSDT", 16)) == 0


async def test_two_keys_are_no_key(gateway):
    twice = [("X-API-Key", "a-key-for-tests-only"), ("X-API-Key", "a-key-for-tests-only")]
    is_problem(await gateway.http.post("/api/execute", headers=twice), 401)


async def test_reading_is_free_on_this_machine(gateway):
    for path in READS:
        assert (await gateway.http.get(path)).status_code in {200, 404}, path


async def test_a_page_of_the_web_cannot_read_through_a_name_of_its_own(gateway):
    for path in READS:
        is_problem(await gateway.http.get(path, headers={"Host": "evil.example"}), 401)
        assert (await gateway.act.get(path, headers={"Host": "evil.example"})).status_code in {200, 404}
    for host in ("localhost:8103", "[::1]:8103", "127.0.0.1"):
        assert (await gateway.http.get("/api/info", headers={"Host": host})).status_code == 200


async def test_served_beyond_this_machine_reading_needs_the_key(serve, redis_url, migrated_url, exchange_time):
    settings = {"redis_url": redis_url, "postgres_url": migrated_url, "exchange_rest_url": exchange_time}
    async with serve(host="0.0.0.0", **settings) as gateway:  # noqa: S104
        for path in READS:
            is_problem(await gateway.http.get(path), 401)
        assert (await gateway.http.get("/health")).status_code in {200, 503}


async def test_without_a_configured_key_nothing_acts(serve, redis_url, migrated_url, exchange_time):
    settings = {"redis_url": redis_url, "postgres_url": migrated_url, "exchange_rest_url": exchange_time}
    async with serve(api_key=Secret(), **settings) as gateway:
        for method, path in ACTS:
            got = await gateway.act.request(method, path, json={"symbol": "BTCUSDT", "action": "buy"})
            assert "P95_GATEWAY_API_KEY" in is_problem(got, 403)["detail"]


BAD_BODIES = [
    (b"", 400),
    (b"{", 400),
    (b"\xff\xfe", 400),
    (b"null", 422),
    (b"[]", 422),
    (b'"BTCUSDT"', 422),
    (b"{}", 422),
    (b'{"symbol":"BTCUSDT"}', 422),
    (b'{"symbol":1,"action":"buy"}', 422),
    (b'{"symbol":"BTCUSDT","action":"hodl"}', 422),
    (b'{"symbol":"BTCUSDT","action":"buy","leverge":20}', 422),
    (b'{"symbol":"BTCUSDT","action":"buy","price":1e999}', 422),
    (b'{"symbol":"BTCUSDT","action":"buy","price":NaN}', 400),
    (b'{"symbol":"BTCUSDT","action":"buy","price":-1}', 422),
    (b'{"symbol":"BTCUSDT","action":"buy","price":"100"}', 422),
    (b'{"symbol":"BTCUSDT","action":"buy","confidence":1.5}', 422),
    (b'{"symbol":"BTCUSDT","action":"buy","hold_ms":1' + b"0" * 400 + b"}", 422),
    (b'{"symbol":"BTCUSDT","action":"buy","price":1' + b"0" * 400 + b"}", 422),
    (b'{"symbol":"BTC\\ud800USDT","action":"buy"}', 400),
    (b'{"symbol":"BTC\\u0000USDT","action":"buy"}', 422),
    (b'{"symbol":"NOPEUSDT","action":"buy"}', 404),
    (b'{"a":' * 3000, 422),
    (b"[" * 16_000, 422),
    (b'{"symbol":' + b"[" * 9000 + b"]" * 9000 + b"}", 413),
    (b'{"symbol":' + b"[" * 4000 + b"]" * 4000 + b"}", 422),
    (b" " * 20_000, 413),
]


async def test_a_bad_body_is_the_callers_mistake(gateway, redis):
    for content, status in BAD_BODIES:
        got = await gateway.act.post("/api/execute", content=content)
        assert got.status_code == status, (content[:80], got.text)
        is_problem(got, status)
    assert await redis.exists(keys.request("BTCUSDT", 16)) == 0


async def test_the_unknown_symbol_is_named_with_those_that_are_there(gateway):
    body = is_problem(await gateway.act.post("/api/execute", json={"symbol": "nopeusdt", "action": "buy"}), 404)
    assert "NOPEUSDT" in body["detail"]
    assert body["subscribed"] == ["BTCUSDT", "ETHUSDT"]


async def test_the_field_that_is_wrong_is_named(gateway):
    wrong = {"symbol": "BTCUSDT", "action": "sell", "price": 100, "stop_loss": 99}
    body = is_problem(await gateway.act.post("/api/execute", json=wrong), 422)
    assert (body["field"], body["detail"]) == ("stop_loss", "stop_loss: must be above the price")


BAD_ADDRESSES = [
    ("GET", "/nothing", 404),
    ("GET", "/api/price/", 404),
    ("GET", "/api/price/a%2Fb", 404),
    ("GET", "/api/price/%00", 422),
    ("GET", "/api/price/%FF%FE", 422),
    ("GET", "/api/price/NOPEUSDT", 404),
    ("GET", "/api/price/" + "A" * 5000, 422),
    ("GET", "/api/execute/none", 422),
    ("GET", "/api/execute/BTCUSDT-99-0", 404),
    ("GET", "/api/execute/BTCUSDT-18446744073709551615-18446744073709551615", 422),
    ("POST", "/api/subscribe/...", 422),
    ("DELETE", "/api/subscribe/NOPEUSDT", 404),
    ("PUT", "/api/execute", 405),
    ("DELETE", "/health", 405),
    ("TRACE", "/health", 405),
]


async def test_a_bad_address_is_the_callers_mistake(gateway):
    for method, path, status in BAD_ADDRESSES:
        got = await gateway.act.request(method, gateway.url + path)
        assert got.status_code == status, (method, path, got.text)
        is_problem(got, status)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["symbol", "action", "price", "x"]), inner, max_size=4)
        ),
        max_leaves=8,
    ).map(lambda value: repr(value).replace("'", '"').encode("utf-8", "replace"))
)
async def test_no_body_is_a_server_error(gateway, content):
    got = await gateway.act.post("/api/execute", content=content)
    assert 400 <= got.status_code < 500, (content, got.text)


async def test_a_caller_that_hangs_up_breaks_nothing(gateway, capsys):
    port = httpx.URL(gateway.url).port
    head = b"POST /api/execute HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: a-key-for-tests-only\r\n"
    for rest in (b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + rest)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(b"\x16\x03\x01 not http\r\n\r\n")
    await asyncio.sleep(0.2)
    assert (await gateway.http.get("/api/info")).status_code == 200
    assert "crashed" not in capsys.readouterr().out
