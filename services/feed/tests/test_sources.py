"""Sources: every installed one keeps the port's promises; Binance's refusals and silences."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import pytest

from phoenix95.common.errors import ConfigError, TransientError, VenueRejected
from phoenix95.feed.config import FeedSettings
from phoenix95.feed.sources import Source, build, source_names
from phoenix95.feed.sources.binance import rest, route

StartFeed = Callable[..., Awaitable[Any]]
Until = Callable[..., Awaitable[None]]


@pytest.mark.parametrize("name", source_names())
async def test_an_installed_source_keeps_the_port(name: str) -> None:
    source = build(FeedSettings(source=name))
    try:
        assert isinstance(source, Source)
        source.follow(["BTCUSDT"])
        assert source.reason(), "not connected, and does not say so"
        assert all(isinstance(value, int | float) for value in source.facts().values())
    finally:
        await source.aclose()


def test_an_unknown_source_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"P95_FEED_SOURCE.*binance"):
        build(FeedSettings(source="nowhere"))


@pytest.fixture
async def client(exchange: Any) -> Any:
    client = rest.BinanceRest(f"http://127.0.0.1:{exchange.port}", trust_env=False)
    yield client
    await client.aclose()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (HTTPStatus.BAD_REQUEST, {"code": -1121, "msg": "Invalid symbol."}, VenueRejected),
        (HTTPStatus.BAD_REQUEST, {"code": -1003, "msg": "Too many requests."}, TransientError),
        (HTTPStatus.TOO_MANY_REQUESTS, {"code": -1003, "msg": "Too many requests."}, TransientError),
        (HTTPStatus.SERVICE_UNAVAILABLE, {"msg": "Service Unavailable."}, TransientError),
        (HTTPStatus.INTERNAL_SERVER_ERROR, {"code": -1000, "msg": "unknown"}, TransientError),
        (HTTPStatus.OK, {"unexpected": 1}, TransientError),
        (HTTPStatus.OK, [{"a": "1"}], TransientError),
    ],
)
async def test_a_refusal_is_told_from_a_failure(
    exchange: Any, client: Any, status: HTTPStatus, body: Any, error: type[Exception]
) -> None:
    exchange.rest_down, exchange.rest_status, exchange.rest_body = True, status, body
    with pytest.raises(error):
        await client.newest("BTCUSDT")


async def test_a_limit_is_waited_out(exchange: Any, client: Any) -> None:
    exchange.rest_down, exchange.rest_status, exchange.retry_after = True, HTTPStatus.TOO_MANY_REQUESTS, "1"
    with pytest.raises(TransientError):
        await client.exchange_ms()
    exchange.rest_down = False
    began = time.monotonic()
    await client.exchange_ms()
    assert time.monotonic() - began > 0.9


async def test_an_exchange_away_is_transient() -> None:
    client = rest.BinanceRest("http://127.0.0.1:9", trust_env=False)
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9"):
        await client.exchange_ms()
    await client.aclose()


async def test_a_trade_of_history_that_cannot_be_believed_is_left_out(exchange: Any, client: Any) -> None:
    trades = exchange.happen("BTCUSDT", 3)
    trades[1]["p"] = "-5"
    assert [trade.id for trade in await client.trades_from("BTCUSDT", 1001)] == [1001, 1003]


async def test_a_silent_connection_is_made_anew(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "SILENT_S", 0.6)
    await start_feed()
    await exchange.trade("BTCUSDT", 1)
    [old] = [socket for socket, streams in exchange.subscriptions.items() if "btcusdt@aggTrade" in streams]
    exchange.happen("BTCUSDT", 5)
    await eventually(lambda: old not in exchange.subscriptions and exchange.subscribed("BTCUSDT"))
    await eventually(lambda: _last_is(stream, 1006))


async def test_a_request_that_is_not_answered_ends_the_connection(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "ACK_TIMEOUT_S", 0.5)
    exchange.deaf = True
    feed = await start_feed(subscribed=False)
    await eventually(lambda: "BTCUSDT" in (feed.context.health.reasons().get("exchange") or ""))
    await eventually(lambda: "no answer" in (feed.context.health.reasons().get("exchange") or ""))
    exchange.deaf = False
    await eventually(lambda: feed.context.health.ready and exchange.subscribed("BTCUSDT"))
    await exchange.trade("BTCUSDT", 1)
    await eventually(lambda: _last_is(stream, 1001))


async def test_the_exchange_away_at_start_is_waited_for_and_named(
    exchange: Any, start_feed: StartFeed, stream: Any, eventually: Until
) -> None:
    await exchange.stop()
    feed = await start_feed(subscribed=False)
    await eventually(lambda: "market" in (feed.context.health.reasons().get("exchange") or ""))
    await asyncio.sleep(0.3)
    assert not feed.task.done()
    await exchange.start()
    await eventually(lambda: feed.context.health.ready and exchange.subscribed("BTCUSDT"), within_s=15)
    await exchange.trade("BTCUSDT", 2)
    await eventually(lambda: _last_is(stream, 1002))


async def _last_is(stream: Any, expected: int) -> bool:
    return bool((await stream.ids() or [0])[-1] == expected)
