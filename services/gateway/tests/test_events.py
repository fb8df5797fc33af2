"""`GET /api/events`: everything at once, then what changes; and nobody who hangs can hold anything up."""

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager

import pytest

from phoenix95.common import keys
from phoenix95.common.bus.append import append
from phoenix95.common.bus.prices import write_price
from phoenix95.common.events import Alert
from phoenix95.gateway.api import sse

SECTIONS = {"services", "account", "equity", "positions", "decisions", "alerts", "host", "pipeline", "prices"}
STOP_S_MAX = 4


class Events:
    """Reads a stream of events; `latest` has each kind's last data."""

    def __init__(self, answer):
        self.answer = answer
        self.latest = {}
        self.comments = 0
        self._lines = answer.aiter_lines()

    async def until(self, holds):
        """Read until `holds()` is true."""
        async with asyncio.timeout(15):
            name = None
            while not holds():
                line = await anext(self._lines)
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    self.latest[name] = json.loads(line[6:])
                elif line.startswith(":"):
                    self.comments += 1


@asynccontextmanager
async def following(gateway, query=""):
    async with gateway.http.stream("GET", f"/api/events{query}") as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        yield Events(answer)


def alert(message):
    return Alert(ts_wall_ms=1, service="feed", severity="warning", kind="test", message=message)


async def test_a_new_viewer_gets_every_section_then_what_changes(gateway, redis):
    await write_price(redis, "BTCUSDT", 16, {"symbol": "BTCUSDT", "price": "100.5", "timestamp": "7"})
    async with following(gateway) as events:
        await events.until(lambda: events.latest.keys() >= SECTIONS)
        assert events.latest["prices"] == {"BTCUSDT": {"price": "100.5", "timestamp": "7"}, "ETHUSDT": {}}
        assert events.latest["alerts"] == []
        assert events.latest["services"]["components"]["redis"]["healthy"]
        assert "candles" not in events.latest
        await write_price(redis, "BTCUSDT", 16, {"price": "101"})
        await append(redis, keys.ALERT, alert("a line\nwith a break"))
        await events.until(lambda: events.latest["alerts"])
        assert events.latest["alerts"][0]["message"] == "a line\nwith a break"
        assert events.latest["prices"]["BTCUSDT"]["price"] == "101"


async def test_what_nobody_can_read_hides_nothing_else(gateway, redis):
    await redis.xadd(keys.ALERT, {"d": b"{"})
    await redis.xadd(keys.ALERT, {"x": b"1"})
    await append(redis, keys.ALERT, alert("well"))
    await redis.set(keys.HOST_NOW, b"no json")
    async with following(gateway) as events:
        await events.until(lambda: events.latest.keys() >= SECTIONS)
        assert [one["message"] for one in events.latest["alerts"]] == ["well"]
        assert events.latest["host"] is None


async def test_candles_come_for_the_symbol_asked_for(gateway, redis):
    async with following(gateway, "?symbol=btcusdt") as events:
        await events.until(lambda: "candles" in events.latest)
        assert events.latest["candles"] == {"symbol": "BTCUSDT", "whole": True, "rows": []}
        d = b'{"t":"trade","p":"10","q":"2","m":false,"rx":0}'
        await redis.xadd(keys.tick("BTCUSDT", 16), {"d": d}, id="60001-1")
        await events.until(lambda: events.latest["candles"]["rows"])
        assert events.latest["candles"] == {
            "symbol": "BTCUSDT", "whole": False, "rows": [[60000, 10.0, 10.0, 10.0, 10.0, 2.0]],
        }  # fmt: skip


async def test_nothing_is_gathered_when_nobody_looks(gateway, redis):
    async def asked():
        return (await redis.info("commandstats")).get("cmdstat_hmget", {"calls": 0})["calls"]

    async with following(gateway) as events:
        await events.until(lambda: "prices" in events.latest)
    await asyncio.sleep(1.2)  # the turn that was running may end
    before = await asked()
    await asyncio.sleep(1.2)
    assert await asked() == before


async def test_silence_is_filled_with_heartbeats(gateway, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.05)
    async with following(gateway) as events:
        await events.until(lambda: events.comments >= 3)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("?symbol=DOGEUSDT", 404, "not subscribed"),
        ("?symbol=no!", 422, "symbol"),
        ("?symbol=", 422, "symbol"),
    ],
)
async def test_a_wrong_symbol_is_refused(gateway, query, status, words):
    got = await gateway.http.get(f"/api/events{query}")
    assert got.status_code == status
    assert words in got.json()["detail"]


async def test_no_more_than_so_many_follow_and_a_place_is_free_again_when_one_leaves(gateway, monkeypatch):
    monkeypatch.setattr(sse, "VIEWERS_MAX", 1)
    async with following(gateway) as events:
        await events.until(lambda: "services" in events.latest)
        got = await gateway.http.get("/api/events")
        assert got.status_code == 429
        assert got.headers["retry-after"]

    async def free():
        async with gateway.http.stream("GET", "/api/events") as answer:
            return answer.status_code == 200

    assert await gateway.until(free)


async def test_one_that_reads_nothing_loses_its_place(gateway, redis, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse, "VIEWERS_MAX", 1)
    monkeypatch.setattr(sse, "SEND_S", 1.0)
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.2)  # what finds the connection blocked
    for _ in range(30):  # more than the buffers of a connection hold
        await append(redis, keys.ALERT, alert("x" * 400_000))

    async def taken():
        async with gateway.http.stream("GET", "/api/events") as answer:
            return answer.status_code == 429

    async def free():
        return not await taken()

    with socket.create_connection(("127.0.0.1", gateway.context.settings.port)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        deaf.sendall(b"GET /api/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        assert await asyncio.to_thread(deaf.recv, 12) == b"HTTP/1.1 200"
        assert await taken()
        assert await gateway.until(free)


async def test_viewers_do_not_hold_up_the_stop_even_one_that_reads_nothing(
    serve, redis_url, migrated_url, exchange_time
):
    async with serve(redis_url=redis_url, postgres_url=migrated_url, exchange_rest_url=exchange_time) as gateway:
        await gateway.until_ready()
        with socket.create_connection(("127.0.0.1", gateway.context.settings.port)) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            deaf.sendall(b"GET /api/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            async with following(gateway) as events:
                await events.until(lambda: "services" in events.latest)
                started_s = time.monotonic()
                gateway.context.stop.set()
                with pytest.raises(StopAsyncIteration):
                    await events.until(lambda: False)
    assert time.monotonic() - started_s < STOP_S_MAX


async def test_redis_away_is_said_and_its_return_too(gateway, redis_server):
    async with following(gateway) as events:
        await events.until(lambda: "services" in events.latest)
        redis_server.command("CLIENT", "PAUSE", "5000", "ALL")
        await events.until(lambda: "redis" in events.latest["services"]["unhealthy"])
        await events.until(lambda: "redis" not in events.latest["services"]["unhealthy"])
