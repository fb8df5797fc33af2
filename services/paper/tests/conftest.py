"""A paper exchange as a process of its own, and an exchange in memory to place orders on."""

import contextlib
import gzip
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from phoenix95.common.metrics import Metrics
from phoenix95.paper.core.account import Account
from phoenix95.paper.core.emission import Emission, agg_payload, book_payload
from phoenix95.paper.core.frames import AggTrade, BookTicker
from phoenix95.paper.core.limits import Limits
from phoenix95.paper.core.specs import spec_of
from phoenix95.paper.exchange import Exchange
from phoenix95.paper.exchange_time import ExchangeTime
from phoenix95.paper.listen_keys import ListenKeys
from phoenix95.paper.rest.app import App
from phoenix95.paper.rest.desk import Desk
from phoenix95.paper.rest.faults import Faults
from phoenix95.paper.store import Store

KEY, SECRET = "paper-key", "paper-secret"
START_S = 20


class PaperProcess:
    """`python -m phoenix95.paper` on free ports. `get` and `call` are raw HTTP, `call` is signed."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        ports = free_ports(3)
        self.rest = f"http://127.0.0.1:{ports[0]}"
        self.ws = f"ws://127.0.0.1:{ports[1]}"
        self.ops = f"http://127.0.0.1:{ports[2]}"
        names = ("P95_PAPER_PORT", "P95_PAPER_WS_PORT", "P95_PAPER_HTTP_PORT")
        env = {name: value for name, value in os.environ.items() if not name.startswith("P95_")}
        env |= (
            {name: str(port) for name, port in zip(names, ports, strict=True)} | {"P95_LOG_FORMAT": "json"} | settings
        )
        self.log = folder / f"paper-{ports[0]}.log"
        with self.log.open("w") as out:
            self.process = subprocess.Popen([sys.executable, "-m", "phoenix95.paper"], env=env, stderr=out, stdout=out)
        self.http = httpx.Client(trust_env=False, timeout=10)

    def wait_ready(self) -> "PaperProcess":
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(f"paper ended: {self.log.read_text()}")
            with contextlib.suppress(httpx.TransportError):
                if self.http.get(f"{self.ops}/readyz").status_code == 200:
                    return self
            time.sleep(0.05)
        raise AssertionError(f"paper is not ready: {self.log.read_text()}")

    def get(self, path: str, **params: Any) -> Any:
        return self.http.get(self.rest + path, params=params).json()

    def status(self) -> Any:
        return self.get("/paper/v1/status")

    def call(self, method: str, path: str, **params: Any) -> Any:
        query = urlencode({**params, "timestamp": self.get("/fapi/v1/time")["serverTime"], "recvWindow": 50000})
        signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        url = f"{self.rest}{path}?{query}&signature={signature}"
        return self.http.request(method, url, headers={"X-MBX-APIKEY": KEY}).json()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(10)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture
def start_paper(tmp_path: Path) -> Iterator[Callable[..., PaperProcess]]:
    """Starts exchanges with settings given as `P95_...=value`; all are stopped at the end."""
    started: list[PaperProcess] = []

    def start(*, ready: bool = True, **settings: str) -> PaperProcess:
        started.append(PaperProcess(tmp_path, settings))
        return started[-1].wait_ready() if ready else started[-1]

    yield start
    for paper in started:
        paper.stop(signal.SIGKILL)


@pytest.fixture
def recordings() -> Path:
    """The folder of real recordings; tests that need it are skipped without."""
    data = os.environ.get("P95_TEST_DATA", "")
    folder = Path(data).resolve() / "recorded"
    if not data or not folder.is_dir():
        pytest.skip("P95_TEST_DATA names no folder with recorded/: real recordings are not tested")
    return folder


Write = Callable[..., Path]


@pytest.fixture
def write_recording(tmp_path: Path) -> Write:
    """Writes payloads as a recording: `write_recording(name, payloads, bare=..., zipped=..., head=...)`."""

    def write(
        name: str, payloads: list[dict[str, Any]], *, float_format: bool = False, zipped: bool = True, head: str = ""
    ) -> Path:
        lines = [head] if head else []
        for payload in payloads:
            body = json.dumps({"stream": f"{payload['s'].lower()}@{payload['e']}", "data": payload})
            ms = payload["E"] - 1270  # the recorder's clock is behind
            lines.append(f"{ms / 1000}: {body}" if float_format else f"{ms * 1_000_000} {body}")
        path = tmp_path / name
        data = ("\n".join(lines) + "\n").encode()
        path.write_bytes(gzip.compress(data) if zipped else data)
        return path

    return write


class Floor:
    """An exchange in memory whose market moves when it is told to."""

    def __init__(self, symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"), balance: str = "10000") -> None:
        self.ms = 1_700_000_000_000
        self.store = Store("")
        specs = {symbol: spec_of(symbol) for symbol in symbols}
        self.exchange = Exchange(specs, self.store, Account(Decimal(balance)), lambda: self.ms)
        self.events: list[dict[str, Any]] = []
        self.exchange.tell_to(self.events.append)
        self._ids = 0

    def quote(self, bid: str, ask: str, symbol: str = "BTCUSDT", *, size: str = "1000") -> None:
        self.ms += 1
        book = BookTicker(E=self.ms, s=symbol, b=bid, B=size, a=ask, A=size, u=self.ms, T=self.ms)
        self.exchange.apply(Emission(self.ms, symbol, book, book_payload(book)))

    def trade(self, price: str, symbol: str = "BTCUSDT", *, quantity: str = "0.010", maker: bool = False) -> None:
        self.ms += 1
        self._ids += 1
        trade = AggTrade(
            E=self.ms, a=self._ids, s=symbol, p=price, q=quantity, f=self._ids, l=self._ids, T=self.ms, m=maker
        )
        self.exchange.apply(Emission(self.ms, symbol, trade, agg_payload(trade)))

    def limit(self, side: str, quantity: str, price: str, **params: str) -> Any:
        return self.order(side, quantity, **{"type": "LIMIT", "price": price, "timeInForce": "GTC", **params})

    def order(self, side: str, quantity: str, **params: str) -> Any:
        wanted = {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": quantity}
        return self.exchange.place({name: value for name, value in {**wanted, **params}.items() if value})

    def algo(self, side: str, kind: str, trigger: str, quantity: str, **params: str) -> Any:
        wanted = {"symbol": "BTCUSDT", "side": side, "type": kind, "triggerPrice": trigger, "quantity": quantity}
        return self.exchange.place_algo({name: value for name, value in {**wanted, **params}.items() if value})

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["e"] == kind]


class Counter:
    """The REST application over a floor, in this process. `ask` is signed unless the path is our own."""

    def __init__(self, floor: Floor, **limits: int) -> None:
        self.floor = floor
        self.time = ExchangeTime(floor.ms, 1.0)
        floor.exchange.now_ms = self.time.now_ms
        self.faults = Faults(floor.store, floor.exchange.records)
        self.limits = Limits(limits.get("weight", 2400), limits.get("orders_10s", 300), limits.get("orders_1m", 1200))
        self.forced: list[tuple[Any, ...]] = []
        self.done: list[str] = []
        self.listen_keys = ListenKeys(floor.store)
        desk = Desk(
            floor.exchange,
            self.time,
            self.listen_keys,
            self.faults,
            self.limits,
            lambda: {"originMs": 0},
            lambda *wanted: self.forced.append(wanted),
            self.done.append,
        )
        self.errors: list[Exception] = []
        self.app = App(desk, key=KEY, secret=SECRET, metrics=Metrics(), crashed=self.errors.append)
        self.cut = False

    async def ask(
        self,
        method: str,
        path: str,
        /,
        *,
        client: str = "127.0.0.1",
        body: bytes = b"",
        shift_ms: int = 0,
        **params: Any,
    ) -> Any:
        """(status, answer, headers), signed with the exchange's clock plus `shift_ms`.

        `cut` is set when the connection was closed instead of answered.
        """
        self.time.jump(self.floor.ms)
        sent_ms = self.time.now_ms() + self.faults.skew_ms(self.time.now_ms()) + shift_ms
        query = urlencode({**params, "timestamp": sent_ms})
        if not path.startswith("/paper"):
            query += "&signature=" + hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        else:
            query = urlencode(params)
        link = Link(body)
        scope = {
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"x-mbx-apikey", KEY.encode())],
            "client": (client, 1),
        }
        await self.app(scope, link.receive, link.send)
        self.cut = link.transport.aborted
        if self.cut:
            return 0, None, {}
        headers = {name.decode(): value.decode() for name, value in link.sent[0]["headers"]}
        text = link.sent[1]["body"]
        is_json = text and headers["content-type"].startswith("application/json")
        return link.sent[0]["status"], json.loads(text) if is_json else text, headers


class Link:
    """One connection as the application sees it; the client hangs up after its request when it gets no answer."""

    def __init__(self, body: bytes) -> None:
        self.transport = self
        self.aborted = False
        self.sent: list[Any] = []
        self._incoming = [{"type": "http.request", "body": body}]

    async def receive(self) -> Any:
        return self._incoming.pop(0) if self._incoming else {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def floor() -> Floor:
    """One-way mode, 10,000 USDT, BTCUSDT at 100.0 / 100.1."""
    floor = Floor()
    floor.quote("100.00", "100.10")
    floor.trade("100.00")
    return floor


@pytest.fixture
def make_floor() -> type[Floor]:
    """Makes floors without a price."""
    return Floor


@pytest.fixture
def counter(floor: Floor) -> Counter:
    """The REST application over the floor."""
    return Counter(floor)
