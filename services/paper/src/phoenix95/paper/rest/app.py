"""The REST server: one ASGI application over four tables of routes."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec
import uvicorn

from phoenix95.common.metrics import Metrics
from phoenix95.paper.core.codes import STATUS, TEXTS, RefusedError
from phoenix95.paper.core.faultplan import AFTER, LATE, Fault
from phoenix95.paper.rest import admin, private, public, trading
from phoenix95.paper.rest.desk import Desk, Route, Routes
from phoenix95.paper.rest.signing import check_key, check_signature, check_time

BODY_MAX: Final = 1 << 20
KEEP_ALIVE_S: Final = 120  # longer than any client keeps one: a request must not race with our close
ROUTES: Final[Routes] = {**public.ROUTES, **trading.ROUTES, **private.ROUTES, **admin.ROUTES}
LOOPBACK: Final = ("127.", "::1", "::ffff:127.")
JSON: Final = b"application/json;charset=UTF-8"
HTML: Final = (
    b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
)
UNKNOWN: Final = b'{"code":-1000,"msg":"Unknown error, please check your request or try again later."}'
UNAVAILABLE: Final = b'{"code":-1001,"msg":"Service Unavailable."}'
OVERLOADED: Final = b'{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}'
# what a fault answers instead: (status, body, media type)
ANSWERS: Final = {
    "refuse": (503, UNAVAILABLE, JSON),
    "overload": (503, OVERLOADED, JSON),
    "unknown": (503, UNKNOWN, JSON),
    "unknown_before": (503, UNKNOWN, JSON),
    "late_unknown": (503, UNKNOWN, JSON),
    "html": (502, HTML, b"text/html"),
    "html_after": (502, HTML, b"text/html"),
    "empty": (200, b"", JSON),
}

_encode: Final = msgspec.json.Encoder().encode

Send = Callable[[Any], Any]
Receive = Callable[[], Any]


class _Asked(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    query: bytes
    body: bytes
    headers: dict[bytes, bytes]
    local: bool


class _Answer(NamedTuple):
    status: int
    body: bytes
    media: bytes = JSON
    retry_after_s: int | None = None


class App:
    """Answers requests of one account, by key and signature.

    `limits` counts weight and orders; `crashed` is told of an error that is not a refusal.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        key: str,
        secret: str,
        metrics: Metrics,
        crashed: Callable[[Exception], None],
    ) -> None:
        self._crashed = crashed
        self._desk = desk
        self._key = key
        self._secret = secret
        self._late: set[asyncio.TimerHandle] = set()
        self._requests = metrics.counter("p95_paper_requests_total", "REST requests by status", ["method", "status"])

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        client = scope.get("client")  # None on a socket that has no address: nobody from elsewhere
        asked = _Asked(
            scope["method"],
            scope["path"],
            scope["query_string"],
            await _body(receive),
            dict(scope["headers"]),
            client is None or client[0].startswith(LOOPBACK),
        )
        now_ms = self._desk.time.now_ms()
        fault = self._desk.faults.take(asked.method, asked.path, now_ms)
        if fault is None:
            await self._send(send, asked, self._answered(asked))
            return
        self._desk.faults.happened(now_ms, asked.method, asked.path, fault, asked.query, asked.body)
        self._desk.exchange.store.commit()
        await self._fail(fault, asked, receive, send)

    async def _fail(self, fault: Fault, asked: _Asked, receive: Receive, send: Send) -> None:
        """Do with a request what the fault says."""
        kind = fault.kind
        if kind in ("delay", "vanish"):
            if kind == "delay":
                await asyncio.sleep(fault.ms / 1000)
            answer = self._answered(asked)
            if kind == "vanish" and answer.status == 200:
                self._desk.exchange.vanish(msgspec.json.decode(answer.body).get("algoId", 0))
            await self._send(send, asked, answer)
            return
        if kind in LATE:
            self._later(fault.ms, asked)
        elif kind in AFTER:
            self._answered(asked)
        if kind == "reject":
            words = {"code": fault.code, "msg": TEXTS.get(fault.code, "Rejected.").partition("%")[0]}
            await self._send(send, asked, _Answer(STATUS.get(fault.code, 400), _encode(words)))
        elif kind in ANSWERS:
            await self._send(send, asked, _Answer(*ANSWERS[kind]))
        else:
            if kind.startswith("timeout"):
                await _gone(receive, fault.ms / 1000)
            _drop(send)

    def _later(self, ms: int, asked: _Asked) -> None:
        """Apply a request after its connection is gone. Its recvWindow is looked at then, as the engine does."""

        def apply() -> None:
            self._late.discard(handle)
            self._answered(asked)

        handle = asyncio.get_running_loop().call_later(ms / 1000, apply)
        self._late.add(handle)

    def _answered(self, asked: _Asked) -> _Answer:
        try:
            route = ROUTES.get((asked.method, asked.path.rstrip("/")))
            if route is None:
                raise RefusedError(-5000, asked.path, asked.method)
            return _Answer(200, self._handled(route, asked))
        except RefusedError as refused:
            body = _encode({"code": refused.code, "msg": refused.message})
            return _Answer(refused.status, body, retry_after_s=refused.retry_after_s)
        except Exception as error:
            self._crashed(error)
            return _Answer(500, b'{"code":-1000,"msg":"An unknown error occurred while processing the request."}')

    def _handled(self, route: Route, asked: _Asked) -> bytes:
        desk, now_s = self._desk, time.monotonic()
        if route.security == "local" and not asked.local:
            raise RefusedError(-1002)
        params = _params(asked)
        desk.limits.weigh(route.weight if isinstance(route.weight, int) else route.weight(params), now_s)
        if route.security in ("key", "signed"):
            check_key(asked.headers.get(b"x-mbx-apikey", b"").decode("latin-1"), self._key)
        if route.security == "signed":
            check_signature(asked.query, asked.body, self._secret)
            check_time(params, desk.clock_ms())
        if route.orders:
            desk.limits.count(route.orders if isinstance(route.orders, int) else route.orders(params), now_s)
        answer = route.handler(desk, params)
        return answer if isinstance(answer, bytes) else _encode(answer)

    async def _send(self, send: Send, asked: _Asked, answer: _Answer) -> None:
        self._requests.labels(asked.method, str(answer.status)).inc()
        headers = [
            (b"content-type", answer.media),
            (b"content-length", str(len(answer.body)).encode()),
            *self._desk.limits.headers(ordering=asked.method != "GET" and "rder" in asked.path),
        ]
        if answer.retry_after_s is not None:
            headers.append((b"retry-after", str(answer.retry_after_s).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


class RestServer:
    """Serves the application on a socket that is already bound."""

    def __init__(self, app: App, listening: socket.socket) -> None:
        self._listening = listening
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            interface="asgi3",
            http="h11",
            proxy_headers=False,
            server_header=False,
            lifespan="off",
            loop="none",
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)

    async def serve(self) -> None:
        """Serve until `stop`."""
        await self._server.serve(sockets=[self._listening])

    def stop(self) -> None:
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """Leaves the signals to the service."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _body(receive: Callable[[], Any]) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body") or len(body) > BODY_MAX:
            return body


def _drop(send: Any) -> None:
    """Close the connection without an answer, which ASGI itself has no word for: through uvicorn's own cycle."""
    send.__self__.transport.abort()


async def _gone(receive: Receive, within_s: float) -> None:
    """Until the client hangs up, or so long."""

    async def hung_up() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(hung_up(), within_s)


def _params(asked: _Asked) -> dict[str, str]:
    """Query and form together; our own endpoints take a JSON object as well. Raises -1100 for what is no text."""
    try:
        pairs = parse_qsl(asked.query.decode(), keep_blank_values=True)
        if asked.path.startswith("/paper/") and asked.body.lstrip().startswith(b"{"):
            told = msgspec.json.decode(asked.body, type=dict[str, Any])
            pairs += [(name, _word(value)) for name, value in told.items()]
        else:
            pairs += parse_qsl(asked.body.decode(), keep_blank_values=True)
    except (UnicodeDecodeError, ValueError):
        raise RefusedError(-1100, "query") from None
    return dict(pairs)


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
