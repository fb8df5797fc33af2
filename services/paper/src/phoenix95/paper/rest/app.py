"""The REST server: one ASGI application over three tables of routes."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import uvicorn

from phoenix95.common.metrics import Metrics
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.rest import private, public, trading
from phoenix95.paper.rest.desk import Desk, Route, Routes
from phoenix95.paper.rest.signing import check_key, check_signature, check_time

WEIGHT_A_MINUTE: Final = 2400
BODY_MAX: Final = 1 << 20
KEEP_ALIVE_S: Final = 120  # longer than any client keeps one: a request must not race with our close
ROUTES: Final[Routes] = {**public.ROUTES, **trading.ROUTES, **private.ROUTES}

_encode: Final = msgspec.json.Encoder().encode


class App:
    """Answers requests of one account, by key and signature.

    `speed` scales the weight that a minute allows; `crashed` is told of an error that is not a refusal.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        key: str,
        secret: str,
        speed: float,
        metrics: Metrics,
        crashed: Callable[[Exception], None],
    ) -> None:
        self._crashed = crashed
        self._desk = desk
        self._key = key
        self._secret = secret
        self._allowed = int(WEIGHT_A_MINUTE * max(1.0, speed))
        self._minute = 0
        self._used = 0
        self._requests = metrics.counter("p95_paper_requests_total", "REST requests by status", ["method", "status"])

    async def __call__(self, scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        method, path, query = scope["method"], scope["path"], scope["query_string"]
        body = await _body(receive)
        fault = self._desk.faults.take(method, path)
        if fault is not None:
            if fault.kind == "drop_before":
                _drop(send)
                return
            if fault.kind == "delay":
                await asyncio.sleep(fault.ms / 1000)
            if fault.kind == "refuse":
                await self._send(send, method, 503, b'{"code":-1001,"msg":"Service Unavailable."}')
                return
        status, answer = self._answered(method, path, query, body, dict(scope["headers"]))
        if fault is not None and fault.kind == "drop_after":
            _drop(send)
            return
        if fault is not None and fault.kind == "unknown":
            status, answer = 503, b'{"code":-1000,"msg":"Unknown error, please check your request or try again later."}'
        await self._send(send, method, status, answer)

    def _answered(
        self, method: str, path: str, query: bytes, body: bytes, headers: dict[bytes, bytes]
    ) -> tuple[int, bytes]:
        try:
            route = ROUTES.get((method, path.rstrip("/")))
            if route is None:
                raise RefusedError(-5000, path, method)
            params = _params(query, body)
            self._weigh(route, params)
            if route.security != "open":
                check_key(headers.get(b"x-mbx-apikey", b"").decode("latin-1"), self._key)
            if route.security == "signed":
                check_signature(query, body, self._secret)
                check_time(params, self._desk.time.now_ms())
            answer = route.handler(self._desk, params)
        except RefusedError as refused:
            return refused.status, _encode({"code": refused.code, "msg": refused.message})
        except Exception as error:
            self._crashed(error)
            return 500, b'{"code":-1000,"msg":"An unknown error occurred while processing the request."}'
        return 200, answer if isinstance(answer, bytes) else _encode(answer)

    def _weigh(self, route: Route, params: dict[str, str]) -> None:
        """Count the request's weight in our own minute. Raises -1003 above what is allowed."""
        minute = int(time.monotonic()) // 60
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += route.weight if isinstance(route.weight, int) else route.weight(params)
        if self._used > self._allowed:
            raise RefusedError(-1003, self._allowed)

    async def _send(self, send: Callable[[Any], Any], method: str, status: int, body: bytes) -> None:
        self._requests.labels(method, str(status)).inc()
        headers = [
            (b"content-type", b"application/json;charset=UTF-8"),
            (b"content-length", str(len(body)).encode()),
            (b"x-mbx-used-weight-1m", str(self._used).encode()),
        ]
        if status == 429:
            headers.append((b"retry-after", str(60 - int(time.monotonic()) % 60).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


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


def _params(query: bytes, body: bytes) -> dict[str, str]:
    """Query and form together. Raises -1100 for what is no text."""
    try:
        pairs = parse_qsl(query.decode(), keep_blank_values=True) + parse_qsl(body.decode(), keep_blank_values=True)
    except (UnicodeDecodeError, ValueError):
        raise RefusedError(-1100, "query") from None
    return dict(pairs)
