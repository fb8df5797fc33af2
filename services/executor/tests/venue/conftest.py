"""A real HTTP server that checks keys and signatures, remembers what it was asked and answers as it was told."""

import asyncio
import contextlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pytest

from phoenix95.executor.core.group import Group, Trade
from phoenix95.executor.core.intents import Intent
from phoenix95.executor.venue.binance import Binance
from phoenix95.executor.venue.exchange import Requests

KEY, SECRET = "the-key", "the-secret"
NOW_MS = 1_732_000_000_000
OPEN = frozenset({("GET", "/fapi/v1/exchangeInfo"), ("POST", "/fapi/v1/listenKey"), ("GET", "/paper/v1/clock")})
CUT, SILENT = -1, -2  # instead of a status: the connection ends without an answer, or nothing comes at all


class Asked(NamedTuple):
    method: str
    path: str
    params: dict[str, str]


class Stub:
    """`say` gives the answers of a path, the last of which is repeated; what is not told is answered with {}."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: dict[tuple[str, str], list[tuple[int, dict[str, str], bytes]]] = {}
        self.port = 0
        self.heard: Callable[[], None] = lambda: None  # called after each request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def say(self, method: str, path: str, status: int, body: Any = b"", **headers: str) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._answers.setdefault((method, path), []).append((status, named, text))

    def only(self, method: str, path: str, status: int, body: Any = b"", **headers: str) -> None:
        self._answers.pop((method, path), None)
        self.say(method, path, status, body, **headers)

    def paths(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        sent = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
        path, _, query = target.partition("?")
        text = "&".join(part for part in (query, sent) if part)
        self.asked.append(Asked(method, path, dict(parse_qsl(text))))
        self.heard()
        status, extra, body = self._answer(method, path, headers, text)
        if status == SILENT:
            await reader.read()
        if status in (CUT, SILENT):
            return False
        head = "".join(f"{name}: {value}\r\n" for name, value in extra.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        return True

    def _answer(self, method: str, path: str, headers: dict[str, str], text: str) -> tuple[int, dict[str, str], bytes]:
        if (method, path) not in OPEN:
            unsigned, _, signature = text.rpartition("&signature=")
            if headers.get("x-mbx-apikey") != KEY:
                return 401, {}, b'{"code":-2014,"msg":"API-key format invalid."}'
            if not hmac.compare_digest(hmac.new(SECRET.encode(), unsigned.encode(), "sha256").hexdigest(), signature):
                return 400, {}, b'{"code":-1022,"msg":"Signature for this request is not valid."}'
        known = self._answers.get((method, path), [(200, {}, b"{}")])
        return known[0] if len(known) == 1 else known.pop(0)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    made = Stub()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture
async def requests(stub: Stub) -> AsyncIterator[Requests]:
    made = Requests(stub.url, KEY, SECRET, account_url=stub.url, timeout_ms=300)
    yield made
    await made.close()


@pytest.fixture
def venue(requests: Requests) -> Binance:
    return Binance(requests, lambda: NOW_MS, 5_000)


@pytest.fixture
def an_intent() -> Callable[..., Intent]:
    def made(role: Any = "entry", **changes: Any) -> Intent:
        opening = role == "entry"
        fields: dict[str, Any] = {
            "client_id": f"p95{role[0]}-1", "analysis_id": "a-1", "symbol": "BTCUSDT", "role": role, "attempt": 0,
            "side": "BUY" if opening else "SELL", "position_side": "LONG", "quantity": Decimal("0.010"),
            "trigger_price": Decimal("90000.0") if role in ("stop", "target") else None, "state": "SENT",
            "signed_ms": NOW_MS, "deadline_ms": NOW_MS + 5_000,
        }  # fmt: skip
        return Intent(**{**fields, **changes})

    return made


@pytest.fixture
def a_group(an_intent: Callable[..., Intent]) -> Group:
    trade = Trade(
        analysis_id="a-1", symbol="BTCUSDT", position_side="LONG", leverage=5, price=Decimal(1), stop_price=Decimal(1),
        target_price=None, hold_ms=1_000, expires_ms=NOW_MS,
    )  # fmt: skip
    return Group(trade=trade, intents=(an_intent("entry"),))
