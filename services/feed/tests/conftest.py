"""An exchange that misbehaves on request, and the feed run against it and a real Redis."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from phoenix95.common import keys
from phoenix95.common.bus import Connection, connect
from phoenix95.common.bus.reader import entries_between
from phoenix95.common.serve import Context
from phoenix95.common.wire import tick_decoder
from phoenix95.feed.__main__ import main
from phoenix95.feed.config import FeedSettings

MINUTE_MS = 60_000
START_MS = 1_721_347_200_000  # a full minute
PARTITIONS = 16


class ScriptedExchange:
    """Binance's protocol with faults: history that forgets, sockets that die, frames that lie."""

    def __init__(self) -> None:
        self.now_ms = START_MS + 10_000
        self.symbols = {"BTCUSDT", "ETHUSDT"}
        self.trades: dict[str, list[dict[str, Any]]] = {}
        self.forgotten: dict[str, set[int]] = {}  # ids that REST does not supply
        self.bars = 0  # minutes of history before START_MS
        self.rest_down = False
        self.rest_status = HTTPStatus.SERVICE_UNAVAILABLE  # what it answers while it is down
        self.rest_body: Any = {"msg": "Service Unavailable."}
        self.retry_after = ""
        self.deaf = False  # requests on sockets are not answered
        self.asked: list[str] = []
        self.subscriptions: dict[ServerConnection, set[str]] = {}
        self._server: Any = None
        self.port = 0

    async def start(self, port: int = 0) -> None:
        self._server = await serve(
            self._talk, "127.0.0.1", port or self.port, process_request=self._rest, compression=None
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    def cut(self) -> None:
        """All sockets die without a goodbye."""
        for socket in list(self.subscriptions):
            socket.transport.abort()

    def happen(self, symbol: str, count: int = 1, *, price: str = "100.5", step_ms: int = 10) -> list[dict[str, Any]]:
        """Trades take place; nobody is told yet."""
        book = self.trades.setdefault(symbol, [])
        new = []
        for _ in range(count):
            self.now_ms += step_ms
            trade_id = book[-1]["a"] + 1 if book else 1001
            new.append(
                {"e": "aggTrade", "E": self.now_ms, "s": symbol, "a": trade_id, "p": price, "q": "0.5", "nq": "0.5"}
                | {"f": trade_id, "l": trade_id, "T": self.now_ms, "m": False, "st": 1}
            )
            book.append(new[-1])
        return new

    async def tell(self, trades: list[dict[str, Any]]) -> None:
        """Send trades to who is subscribed."""
        for trade in trades:
            await self.send(f"{trade['s'].lower()}@aggTrade", trade)

    async def trade(self, symbol: str, count: int = 1, **how: Any) -> None:
        await self.tell(self.happen(symbol, count, **how))

    async def send(self, stream: str, data: dict[str, Any]) -> None:
        await self.send_raw(json.dumps({"stream": stream, "data": data}), stream)

    async def send_raw(self, frame: str | bytes, stream: str | None = None) -> None:
        for socket, streams in list(self.subscriptions.items()):
            if (stream in streams) if stream else any("aggTrade" in one for one in streams):
                await socket.send(frame)

    def subscribed(self, *symbols: str) -> bool:
        streams = set().union(*self.subscriptions.values())
        return all(f"{symbol.lower()}@aggTrade" in streams for symbol in symbols)

    async def _talk(self, socket: ServerConnection) -> None:
        streams = self.subscriptions.setdefault(socket, set())
        route = socket.request.path.split("/")[1] if socket.request else ""
        try:
            async for text in socket:
                if self.deaf:
                    continue
                message = json.loads(text)
                # As the real one: a stream of another route is acknowledged, and nothing ever comes.
                params = {one for one in message["params"] if ("bookTicker" in one) == (route == "public")}
                streams.update(params) if message["method"] == "SUBSCRIBE" else streams.difference_update(params)
                await socket.send(json.dumps({"result": None, "id": message["id"]}))
        except ConnectionClosed:
            pass
        finally:
            self.subscriptions.pop(socket, None)

    def _rest(self, _socket: ServerConnection, request: Request) -> Response | None:
        if "Upgrade" in request.headers:
            return None
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.asked.append(request.path)
        if self.rest_down:
            return _answer(self.rest_status, self.rest_body, self.retry_after)
        return _answer(HTTPStatus.OK, self._page(url.path, query))

    def _page(self, path: str, query: dict[str, str]) -> Any:
        if path == "/paper/v1/clock":
            return {"serverTime": self.now_ms, "rate": 1.0, "originMs": START_MS}
        if path == "/fapi/v1/time":
            return {"serverTime": self.now_ms}
        if path == "/fapi/v1/exchangeInfo":
            halted = [{"symbol": "OLDUSDT", "status": "SETTLING"}]
            return {"symbols": [{"symbol": symbol, "status": "TRADING"} for symbol in self.symbols] + halted}
        if path == "/fapi/v1/klines":
            ends = min(int(query["endTime"]), self.now_ms)
            opens = range(START_MS - self.bars * MINUTE_MS, ends + 1, MINUTE_MS)
            rows = [[at, "10", "12", "9", "11", "5", at + MINUTE_MS - 1, "55", 3, "1", "1", "0"] for at in opens]
            return rows[-int(query["limit"]) :]
        gone = self.forgotten.get(query["symbol"], set())
        known = [trade for trade in self.trades.get(query["symbol"], []) if trade["a"] not in gone]
        limit = int(query["limit"])
        if "fromId" in query:
            known = [trade for trade in known if trade["a"] >= int(query["fromId"])][:limit]
        elif "startTime" in query:
            window = range(int(query["startTime"]), int(query["endTime"]) + 1)
            known = [trade for trade in known if trade["T"] in window][:limit]
        else:
            known = known[-limit:]
        return [{key: trade[key] for key in ("a", "p", "q", "f", "l", "T", "m")} for trade in known]


def _answer(status: HTTPStatus, body: Any, retry_after: str = "") -> Response:
    raw = json.dumps(body).encode()
    headers = Headers([("Content-Type", "application/json"), ("Content-Length", str(len(raw)))])
    headers["X-MBX-USED-WEIGHT-1M"] = "1"
    headers["Connection"] = "close"
    if retry_after:
        headers["Retry-After"] = retry_after
    return Response(status.value, status.phrase, headers, raw)


class Stream:
    """Reads a symbol's tick stream back."""

    def __init__(self, redis: Connection) -> None:
        self.redis = redis

    async def entries(self, symbol: str = "BTCUSDT") -> list[tuple[str, Any]]:
        key = keys.tick(symbol, PARTITIONS)
        found = await entries_between(self.redis, key, "-", "+", 1_000_000)
        return [(entry_id, tick_decoder.decode(fields[b"d"])) for entry_id, fields in found]

    async def ids(self, symbol: str = "BTCUSDT") -> list[int]:
        """The number behind the dash of each entry: trade ids, last missing ids, 0 for seeds and resumes."""
        return [int(entry_id.split("-")[1]) for entry_id, _ in await self.entries(symbol)]

    async def kinds(self, symbol: str = "BTCUSDT") -> str:
        """The first letter of each entry's kind: t, g, s, r."""
        return "".join(type(tick).__name__[0].lower() for _, tick in await self.entries(symbol))


@pytest.fixture
async def exchange() -> AsyncIterator[ScriptedExchange]:
    scripted = ScriptedExchange()
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture
async def stream(redis_url: str) -> AsyncIterator[Stream]:
    redis = connect(redis_url, name="test")
    yield Stream(redis)
    await redis.aclose()


@pytest.fixture
async def start_feed(
    exchange: ScriptedExchange, redis_url: str
) -> AsyncIterator[Callable[..., Awaitable[SimpleNamespace]]]:
    """`start_feed(**settings)` runs a feed in this loop; `.stop()` ends it, `.context` shows its health."""
    running: list[SimpleNamespace] = []

    async def start(*, subscribed: bool = True, **settings: Any) -> SimpleNamespace:
        given = {
            "redis_url": redis_url,
            "exchange_rest_url": f"http://127.0.0.1:{exchange.port}",
            "exchange_ws_url": f"ws://127.0.0.1:{exchange.port}",
            "symbols": ("BTCUSDT",),
            "seed_bars": 0,
            "linger_ms": 0,
            "backfill_wait_ms": 500,
        }
        context = Context("feed", FeedSettings(**(given | settings)))
        task = asyncio.ensure_future(main(context))

        async def stop() -> None:
            context.stop.set()
            await asyncio.wait_for(task, 5)

        def kill() -> None:
            task.cancel()

        feed = SimpleNamespace(context=context, task=task, stop=stop, kill=kill)
        running.append(feed)
        if subscribed:
            await until(lambda: context.health.ready and exchange.subscribed(*context.settings.symbols), task=task)
        return feed

    yield start
    for feed in running:
        feed.context.stop.set()
    await asyncio.gather(*(feed.task for feed in running), return_exceptions=True)


async def until(
    holds: Callable[[], Any], *, within_s: float = 10.0, task: "asyncio.Task[None] | asyncio.Future[None] | None" = None
) -> None:
    """Wait until a condition holds; it may be a coroutine function. Fails with what it said last."""
    last: Any = None
    for _ in itertools.repeat(None, int(within_s / 0.02)):
        last = holds()
        if asyncio.iscoroutine(last):
            last = await last
        if last:
            return
        if task is not None and task.done():
            task.result()
        await asyncio.sleep(0.02)
    raise AssertionError(f"did not hold within {within_s} s; last answer: {last!r}")


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    return until
