"""GET /api/streams/{stream}: every stream that the gateway may read, forwards, backwards and as it grows."""

import asyncio
import time

import pytest

from phoenix95.common import keys
from phoenix95.common.bus.append import append
from phoenix95.common.events import Alert, Request
from phoenix95.gateway.api.streams_read import FOLLOWERS_MAX, readable_streams

P = 16


def an_alert(number):
    return Alert(ts_wall_ms=number, service="monitor", severity="info", kind="test", message=f"number {number}")


async def test_the_newest_and_then_what_is_behind(gateway, redis):
    for number in range(5):
        await append(redis, keys.ALERT, an_alert(number), id=f"{number + 1}-0")
    got = (await gateway.http.get("/api/streams/alert?limit=2")).json()
    assert [entry["event"]["message"] for entry in got["entries"]] == ["number 3", "number 4"]
    assert (got["stream"], got["symbol"], got["count"], got["last"]) == ("alert", None, 2, "5-0")
    got = (await gateway.http.get("/api/streams/alert?after=2-0&limit=2")).json()
    assert [entry["id"] for entry in got["entries"]] == ["3-0", "4-0"]
    got = (await gateway.http.get("/api/streams/alert?after=5")).json()
    assert (got["entries"], got["last"]) == ([], "5-0")


async def test_a_symbols_stream(gateway, redis):
    await append(redis, keys.request("BTCUSDT", P), Request(symbol="BTCUSDT", requested_at=7))
    got = (await gateway.http.get("/api/streams/request?symbol=btcusdt")).json()
    assert (got["symbol"], got["entries"][0]["event"]["requested_at"]) == ("BTCUSDT", 7)
    assert (await gateway.http.get("/api/streams/tick?symbol=ETHUSDT")).json()["last"] is None


async def test_who_waits_gets_the_next_entry_at_once(gateway, redis):
    waiting = asyncio.create_task(gateway.http.get("/api/streams/alert?after=0&wait_ms=10000"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await append(redis, keys.ALERT, an_alert(1))
    began = time.monotonic()
    assert (await waiting).json()["count"] == 1
    assert time.monotonic() - began < 2


async def test_who_waits_in_vain_gets_nothing_in_time(gateway):
    began = time.monotonic()
    got = (await gateway.http.get("/api/streams/order?after=7-7&wait_ms=300")).json()
    assert 0.3 <= time.monotonic() - began < 2
    assert (got["entries"], got["last"]) == ([], "7-7")


async def test_followers_have_a_limit_that_takes_no_place_from_trades(gateway):
    gateway_url = "/api/streams/order?after=0&wait_ms=3000"
    waiting = [asyncio.create_task(gateway.http.get(gateway_url)) for _ in range(FOLLOWERS_MAX)]
    await asyncio.sleep(1)
    got = await gateway.http.get(gateway_url)
    assert (got.status_code, got.headers["Retry-After"]) == (429, "1")
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
    assert (await gateway.http.get("/api/streams/order?after=0&wait_ms=1")).status_code == 200


async def test_an_entry_that_is_no_event_is_shown_as_it_stands(gateway, redis):
    await redis.xadd(keys.ALERT, {"d": b'{"half":'})
    await redis.xadd(keys.ALERT, {"other": b"\xff"})
    got = (await gateway.http.get("/api/streams/alert")).json()
    assert [(entry["event"], entry["raw"]) for entry in got["entries"]] == [(None, '{"half":'), (None, "")]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("nothing", 404, "tick, request, analysis"),
        ("p95:meta", 404, "there are"),
        ("dlq:SERVICE", 404, "there are"),
        ("tick", 422, "add ?symbol="),
        ("tick?symbol=BTC/USDT", 422, "symbol"),
        ("tick?symbol=DOGEUSDT", 404, "unknown symbol DOGEUSDT"),
        ("alert?symbol=BTCUSDT", 422, "one for all symbols"),
        ("alert?after=now", 422, "1721385600000-0"),
        ("alert?after=-1", 422, "after"),
        ("alert?after=99999999999999999999", 422, "after"),
        ("alert?after=9999999999999999999-9999999999999999999", 200, ""),
        ("alert?limit=0", 422, "limit"),
        ("alert?limit=1001", 422, "limit"),
        ("alert?wait_ms=10001", 422, "wait_ms"),
        ("alert?wait=1", 422, "wait_ms"),
        ("alert?after=0&after=1", 422, "2 times"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_sentence(gateway, path, status, words):
    got = await gateway.http.get(f"/api/streams/{path}")
    assert got.status_code == status, got.text
    assert words in got.text


async def test_every_readable_stream_can_be_read_and_is_described(gateway):
    described = (await gateway.http.get("/openapi.json")).json()["paths"]["/api/streams/{stream}"]["get"]
    assert described["x-scope"] == "read"
    assert {"symbol", "after", "limit", "wait_ms"} <= {each["name"] for each in described["parameters"]}
    for name, row in readable_streams().items():
        query = "?symbol=BTCUSDT" if "SYM" in row.name else ""
        assert (await gateway.http.get(f"/api/streams/{name}{query}")).status_code == 200, name
