"""The user stream: only a hint to look now. What happened is always asked for over REST."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from phoenix95.common.errors import TransientError, VenueRejected
from phoenix95.common.retry import backoff, pause

KEEPALIVE_S: Final = 1_800.0  # a listen key lives for 60 minutes
FRAME_MAX: Final = 1 << 20


class _Order(msgspec.Struct):
    s: str


class _Position(msgspec.Struct):
    s: str


class _AccountUpdate(msgspec.Struct):
    P: list[_Position] = []


class _Frame(msgspec.Struct):
    e: str = ""
    o: _Order | None = None
    a: _AccountUpdate | None = None


_decoder = msgspec.json.Decoder(_Frame)


def symbols_in(frame: str | bytes) -> set[str]:
    """The symbols that a frame speaks of. What cannot be read names none: it is a hint, not a source."""
    try:
        found = _decoder.decode(frame)
    except msgspec.MsgspecError:
        return set()
    named = {found.o.s} if found.o is not None else set()
    return named | {position.s for position in found.a.P} if found.a is not None else named


async def follow(
    ws_url: str, listen_key: Callable[[], Awaitable[str]], hint: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Call `hint(symbol)` for every change of an order or a position, until `stop`. Reconnects by itself."""
    log = structlog.get_logger()
    waits = backoff()
    while not stop.is_set():
        try:
            key = await listen_key()
            async with connect(
                f"{ws_url}/private/ws?listenKey={key}", proxy=None, compression=None, max_size=FRAME_MAX
            ) as socket:
                waits = backoff()
                async with asyncio.TaskGroup() as tasks:
                    reading = tasks.create_task(_read(socket, hint))
                    keeping = tasks.create_task(_keep(listen_key, reading))
                    tasks.create_task(_end(stop, reading, keeping))
        except* (WebSocketException, TransientError, VenueRejected, OSError) as group:
            log.info("user_stream_away", reason=type(group.exceptions[0]).__name__)
        if await pause(stop, next(waits)):
            return


async def _read(socket: ClientConnection, hint: Callable[[str], None]) -> None:
    async for frame in socket:
        for symbol in symbols_in(frame):
            hint(symbol)


async def _keep(listen_key: Callable[[], Awaitable[str]], reading: "asyncio.Task[None]") -> None:
    while not reading.done():
        await asyncio.wait({reading}, timeout=KEEPALIVE_S)
        if not reading.done():
            await listen_key()


async def _end(stop: asyncio.Event, reading: "asyncio.Task[None]", keeping: "asyncio.Task[None]") -> None:
    """Wait for the stop or for the socket's end, whichever comes first."""
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({waiting, reading}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    reading.cancel()
    keeping.cancel()
