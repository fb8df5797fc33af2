"""`GET /api/events`: the dashboard's news as server-sent events."""

import asyncio
import time
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from litestar import get
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import ASGIApp, Message, Receive, Send

from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.problems import Problem
from phoenix95.gateway.board.board import VIEWERS_MAX, Board
from phoenix95.gateway.board.chart import Chart
from phoenix95.gateway.core.asking import checked_symbol
from phoenix95.gateway.core.candles import MINUTE_MS

HEARTBEAT_S: Final = 10.0  # proxies and phones close what is silent for longer
SEND_S: Final = 15.0  # a viewer that takes nothing for this long has gone
RETRY_MS: Final = 2_000
MEDIA_TYPE: Final = "text/event-stream"
ABOUT: Final = (
    "Server-sent events, each with the latest of its kind: `services`, `account`, `equity`, `positions`, `decisions`, "
    "`alerts`, `host`, `pipeline`, `prices` and, for the symbol asked for, `candles`. A new connection gets all of "
    "them once, then each that changes; a comment comes every ten seconds. A slow reader misses what was between."
)
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_encode: Final = msgspec.json.Encoder().encode


@get(
    "/api/events",
    status_code=HTTPStatus.OK,
    media_type=MEDIA_TYPE,
    summary="Follow what happens",
    description=ABOUT,
    responses={200: ResponseSpec(data_container=str, description="A stream without end", media_type=MEDIA_TYPE)},
    response_headers=[ResponseHeader(name=name, value=value) for name, value in _HEADERS.items()],
)
async def events(parts: NamedDependency[Parts], symbol: FromQuery[str | None] = None) -> ASGIApp:
    """The board's sections as they change. 429 when too many look already, 404 for a symbol that is not subscribed."""
    looked_at = None if symbol is None else checked_symbol(symbol)
    if looked_at is not None and looked_at not in (known := await parts.bus.symbols()):
        raise Problem(HTTPStatus.NOT_FOUND, f"unknown symbol {looked_at}: not subscribed", subscribed=known)
    if parts.board.viewers >= VIEWERS_MAX:
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too many follow the events already", headers={"Retry-After": "5"})
    return _EventStream(parts.board, looked_at)


class _EventStream(ASGIStreamingResponse):
    """Takes a viewer's place for as long as it sends, and gives up on one that takes nothing."""

    def __init__(self, board: Board, symbol: str | None) -> None:
        super().__init__(
            iterator=_frames(board, symbol), media_type=MEDIA_TYPE, headers=dict(_HEADERS), status_code=HTTPStatus.OK
        )
        self._place = board.viewer(symbol)

    async def send_body(self, send: Send, receive: Receive) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(SEND_S):
                await send(message)

        with self._place:
            try:
                await super().send_body(send_in_time, receive)
            except* TimeoutError:
                structlog.get_logger().info("viewer_gone", waited_s=SEND_S)


async def _frames(board: Board, symbol: str | None) -> AsyncGenerator[bytes, None]:
    """What the viewer has not got yet, then a heartbeat whenever nothing was sent for long."""
    yield b"retry: %d\n\n" % RETRY_MS
    sent: dict[str, int] = {}
    drawn = _Drawn()
    sent_s = time.monotonic()
    while not board.closed:
        frames = [
            _frame(name, section.body) for name, section in board.sections.items() if sent.get(name) != section.version
        ]
        sent = {name: section.version for name, section in board.sections.items()}
        frames += drawn.news(board, symbol)
        if not frames and time.monotonic() - sent_s >= HEARTBEAT_S:
            frames = [b": alive\n\n"]
        if frames:
            yield b"".join(frames)
            sent_s = time.monotonic()
        await board.wait_for_news(max(0.0, sent_s + HEARTBEAT_S - time.monotonic()))


class _Drawn:
    """How much of a symbol's candles a viewer has: all of them come first, then those that changed."""

    def __init__(self) -> None:
        self._chart: Chart | None = None
        self._version = -1
        self._from_ms = 0

    def news(self, board: Board, symbol: str | None) -> list[bytes]:
        """At most one frame. The minute before the last is sent again too: its closed bar may have corrected it."""
        chart = None if symbol is None else board.charts.get(symbol)
        if chart is None or (chart is self._chart and chart.version == self._version):
            return []
        whole = chart is not self._chart
        rows = chart.candles.since(0 if whole else self._from_ms)
        self._chart, self._version = chart, chart.version
        self._from_ms = max(0, chart.candles.last_open_ms - MINUTE_MS)
        return [_frame("candles", _encode({"symbol": symbol, "whole": whole, "rows": rows}))]


def _frame(event: str, body: bytes) -> bytes:
    """One event. JSON of one line needs no further `data:`; a body with line breaks does."""
    return b"event: %s\ndata: %s\n\n" % (event.encode(), body.replace(b"\n", b"\ndata: "))
