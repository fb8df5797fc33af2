"""The user stream against a real socket: it is begun anew whatever ends it."""

import asyncio
from collections.abc import Callable

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from phoenix95.common.errors import TransientError
from phoenix95.executor.venue import user_stream
from phoenix95.executor.venue.user_stream import follow

ORDER = '{"e":"ORDER_TRADE_UPDATE","E":1,"o":{"s":"BTCUSDT"}}'
EXPIRED = '{"e":"listenKeyExpired","E":1,"listenKey":"k1"}'


class Exchange:
    """Hands out listen keys and notes who connects; each connection is told `frames` once."""

    def __init__(self) -> None:
        self.key = "k1"
        self.asked = 0
        self.failing = 0
        self.paths: list[str] = []
        self.frames: list[str | bytes] = []
        self.hang_up = False
        self.heard: list[str] = []
        self.missed = 0

    async def listen_key(self) -> str:
        self.asked += 1
        if self.failing:
            self.failing -= 1
            raise TransientError("no answer")
        return self.key

    def miss(self) -> None:
        self.missed += 1

    async def tell(self, socket: ServerConnection) -> None:
        self.paths.append(socket.request.path if socket.request is not None else "")
        frames, self.frames = self.frames, []
        for frame in frames:
            await socket.send(frame)
        if self.hang_up:
            self.hang_up = False
            socket.transport.abort()
        await socket.wait_closed()


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Exchange:
    monkeypatch.setattr(user_stream, "backoff", lambda: iter(lambda: 0.0, 1.0))
    return Exchange()


async def followed(exchange: Exchange, until: Callable[[], bool]) -> None:
    server: Server
    async with serve(exchange.tell, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        stop = asyncio.Event()
        url = f"ws://127.0.0.1:{port}"
        following = asyncio.create_task(follow(url, exchange.listen_key, exchange.heard.append, exchange.miss, stop))
        async with asyncio.timeout(5):
            while not until():  # noqa: ASYNC110 - what the condition looks at is no event
                await asyncio.sleep(0.005)
            stop.set()
            await following


async def test_hints_name_symbols_and_junk_names_none(exchange: Exchange) -> None:
    exchange.frames = ["not json", b"\xff\xfe", '{"e":"X","o":{"s":5}}', ORDER]
    await followed(exchange, lambda: exchange.heard != [])
    assert exchange.heard == ["BTCUSDT"]
    assert (exchange.paths, exchange.missed) == (["/private/ws?listenKey=k1"], 1)


async def test_an_expired_key_is_made_anew_and_what_was_missed_is_looked_at(exchange: Exchange) -> None:
    exchange.frames = [EXPIRED]
    await followed(exchange, lambda: exchange.missed == 2)
    assert len(exchange.paths) == 2


async def test_a_lost_socket_is_opened_again(exchange: Exchange) -> None:
    exchange.hang_up = True
    await followed(exchange, lambda: exchange.missed == 2)
    assert exchange.heard == []


async def test_the_key_is_kept_alive_also_when_the_exchange_fails_to_answer_once(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_stream, "KEEPALIVE_S", 0.01)
    monkeypatch.setattr(exchange, "failing", 0)

    def kept() -> bool:
        if exchange.asked == 3:
            exchange.failing = 1
        return exchange.asked > 6

    await followed(exchange, kept)
    assert exchange.missed == 1  # one connection all the time


async def test_a_key_that_is_another_one_at_its_renewal_has_expired(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_stream, "KEEPALIVE_S", 0.01)

    def renewed() -> bool:
        if exchange.missed == 1:
            exchange.key = "k2"
        return exchange.missed == 2

    await followed(exchange, renewed)
    assert exchange.paths == ["/private/ws?listenKey=k1", "/private/ws?listenKey=k2"]


async def test_a_connection_is_changed_before_the_exchange_hangs_up(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_stream, "ROTATE_S", 0.02)
    await followed(exchange, lambda: exchange.missed >= 3)


async def test_nothing_that_goes_wrong_ends_more_than_the_connection(exchange: Exchange) -> None:
    exchange.frames = [ORDER]

    def breaks(symbol: str) -> None:
        raise KeyError(symbol)

    exchange.heard = type("Breaking", (list,), {"append": staticmethod(breaks)})()
    await followed(exchange, lambda: exchange.missed == 2)
