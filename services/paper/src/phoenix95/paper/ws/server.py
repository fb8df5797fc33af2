"""The websocket server: handshakes on the routed paths, control messages, and the writes of the hub."""

import http
import logging
import socket
import time
from collections.abc import Callable
from typing import Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from phoenix95.paper.core.control import Subscriptions
from phoenix95.paper.core.routes import parse_path
from phoenix95.paper.listen_keys import ListenKeys
from phoenix95.paper.ws.framing import text_frame
from phoenix95.paper.ws.hub import BACKLOG_MAX, QUEUE_MAX, Hub, Link

MESSAGES_A_SECOND: Final = 10
PING_S: Final = 180.0
PONG_S: Final = 600.0
MESSAGE_MAX: Final = 1 << 20
POLICY_VIOLATION: Final = 1008


class WsServer:
    """Serves the hub. `woken` is called when subscriptions changed or an answer waits to be written."""

    def __init__(self, hub: Hub, listen_keys: ListenKeys, woken: Callable[[], None]) -> None:
        self._hub = hub
        self._listen_keys = listen_keys
        self._woken = woken
        self._connections: dict[Link, ServerConnection] = {}
        self._server: Server | None = None

    async def start(self, listening: socket.socket) -> None:
        """Listen on a socket that is already bound."""
        quiet = logging.getLogger("phoenix95.paper.ws")
        quiet.setLevel(logging.CRITICAL)  # a client's broken handshake is not our error
        self._server = await serve(
            self._talk,
            sock=listening,
            process_request=self._greet,
            compression=None,
            ping_interval=PING_S,
            ping_timeout=PONG_S,
            max_size=MESSAGE_MAX,
            close_timeout=1,
            logger=quiet,
        )

    async def stop(self) -> None:
        """Close every connection (going away) and the socket."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def flush(self) -> None:
        """Write what waits. A consumer that does not read is cut off."""
        for link in self._hub.links:
            if not link.waiting:
                continue
            frames, link.waiting = link.waiting, []
            connection = self._connections[link]
            if connection.protocol.state is not State.OPEN:
                continue
            if len(frames) > QUEUE_MAX or connection.transport.get_write_buffer_size() > BACKLOG_MAX:
                connection.transport.abort()
                continue
            connection.transport.write(b"".join(frames))

    def cut(self, route: str) -> None:
        """Break every connection of a route, without a word."""
        for link, connection in list(self._connections.items()):
            if link.route == route:
                connection.transport.abort()

    def _greet(self, connection: ServerConnection, request: Request) -> Response | None:
        path = parse_path(request.path)
        if path is None:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "paths: /{public|market|private}/{ws|stream}\n")
        return None

    async def _talk(self, connection: ServerConnection) -> None:
        request = connection.request
        path = parse_path(request.path) if request else None
        if path is None:
            return
        link = Link(path.route, Subscriptions(path.streams, combined=path.combined), path.listen_key, path.events)
        self._connections[link] = connection
        self._hub.links.add(link)
        self._changed()
        try:
            await self._listen(connection, link)
        except ConnectionClosed:
            pass
        finally:
            self._hub.links.discard(link)
            del self._connections[link]
            self._changed()

    async def _listen(self, connection: ServerConnection, link: Link) -> None:
        second, count = 0, 0
        async for message in connection:
            now = int(time.monotonic())
            second, count = (second, count + 1) if now == second else (now, 1)
            if count > MESSAGES_A_SECOND:
                await connection.close(POLICY_VIOLATION, "Too many requests")
                return
            link.waiting.append(text_frame(link.subscriptions.handle(message)))
            self._changed()

    def _changed(self) -> None:
        self._hub.changed()
        self.flush()
        self._woken()
