"""/metrics, /livez and /readyz of one process, served inside its event loop.

Inside the loop, because the answer of a server in a thread would say nothing about a loop that hangs.
"""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST

from phoenix95.common.health import Health
from phoenix95.common.metrics import Metrics

_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"


class _Server(uvicorn.Server):
    """Leaves the signals to the service."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class OpsServer:
    """Answers on a socket that is already bound."""

    def __init__(self, listening: socket.socket, health: Health, metrics: Metrics) -> None:
        self._listening = listening
        self._health = health
        self._metrics = metrics
        config = uvicorn.Config(
            self._answer,
            log_config=None,
            access_log=False,
            interface="asgi3",
            http="h11",
            proxy_headers=False,
            lifespan="off",
            loop="none",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)

    async def serve(self) -> None:
        """Serve until `stop`."""
        await self._server.serve(sockets=[self._listening])

    def stop(self) -> None:
        """Ask the server to end; it does within 0.1 s when no request is open."""
        self._server.should_exit = True

    def _page(self, path: str) -> tuple[int, str, bytes]:
        if path == "/livez":
            return 200, _TEXT, b"ok\n"
        if path == "/readyz":
            ready, body = self._health.as_json()
            return (200 if ready else 503), _JSON, body
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, self._metrics.text()
        return 404, _TEXT, b"there are /livez, /readyz and /metrics\n"

    async def _answer(self, scope: Any, _receive: Any, send: Any) -> None:
        status, kind, body = self._page(scope["path"])
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
