"""Serves the API inside the service's loop."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

GRACE_S: Final = 2  # what open requests get at a stop; none waits longer for a decision
CONNECTIONS_MAX: Final = 256
KEEP_ALIVE_S: Final = 15


class _Server(uvicorn.Server):
    """Leaves the signals to the service."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiServer:
    """Answers on a socket that is already bound."""

    def __init__(self, app: Any, listening: socket.socket) -> None:
        self._listening = listening
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            interface="asgi3",
            http="h11",
            proxy_headers=False,
            server_header=False,
            lifespan="off",
            loop="none",
            ws="none",
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = _Server(config)

    async def serve(self) -> None:
        """Serve until `stop`."""
        await self._server.serve(sockets=[self._listening])

    def stop(self) -> None:
        """Take no new requests and finish the open ones, within the grace."""
        self._server.should_exit = True
