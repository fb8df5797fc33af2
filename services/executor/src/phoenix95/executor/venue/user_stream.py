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
KEEPALIVE_AGAIN_S: Final = 60.0
ROTATE_S: Final = 23 * 3_600.0  # the exchange hangs up after 24 hours
EXPIRED: Final = "listenKeyExpired"
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


def expired(frame: str | bytes) -> bool:
    """Whether the exchange says that it will tell nothing more under this listen key."""
    try:
        return _decoder.decode(frame).e == EXPIRED
    except msgspec.MsgspecError:
        return False


async def follow(
    ws_url: str,
    listen_key: Callable[[], Awaitable[str]],
    hint: Callable[[str], None],
    missed: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    """Call `hint(symbol)` for every change of an order or a position, until `stop`. Reconnects by itself, and calls
    `missed` each time it begins to listen: nobody told what happened before.

    `listen_key` gives the key that is valid now and keeps it alive; another one than before means that the old one
    has expired. Nothing that goes wrong here ends more than the present connection.
    """
    log = structlog.get_logger()
    waits = backoff()
    while not stop.is_set():
        try:
            key = await listen_key()
            async with connect(
                f"{ws_url}/private/ws?listenKey={key}", proxy=None, compression=None, max_size=FRAME_MAX
            ) as socket:
                waits = backoff()
                missed()
                log.info("user_stream_ended", reason=await _listen(socket, key, listen_key, hint, stop))
        except (WebSocketException, TransientError, VenueRejected, OSError) as error:
            log.info("user_stream_away", reason=type(error).__name__)
        except Exception:
            log.exception("user_stream_away")
        if await pause(stop, next(waits)):
            return


async def _listen(
    socket: ClientConnection,
    key: str,
    listen_key: Callable[[], Awaitable[str]],
    hint: Callable[[str], None],
    stop: asyncio.Event,
) -> str:
    """Until one of: the stop, the key's end, an age at which the exchange would hang up, a lost connection (raises).
    Returns which."""
    ends = {
        asyncio.create_task(_read(socket, hint)): "the exchange said so",
        asyncio.create_task(_keep(listen_key, key)): "another listen key",
        asyncio.create_task(stop.wait()): "asked to stop",
    }
    try:
        done, _ = await asyncio.wait(ends, timeout=ROTATE_S, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        return next((ends[task] for task in done), "old enough")
    finally:
        for task in ends:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


async def _read(socket: ClientConnection, hint: Callable[[str], None]) -> None:
    async for frame in socket:
        if expired(frame):
            return
        for symbol in symbols_in(frame):
            hint(symbol)


async def _keep(listen_key: Callable[[], Awaitable[str]], key: str) -> None:
    """Keep the key alive; return when it could not be. A question that failed is asked again well before the end."""
    wait_s = KEEPALIVE_S
    while True:
        await asyncio.sleep(wait_s)
        try:
            if await listen_key() != key:
                return
            wait_s = KEEPALIVE_S
        except TransientError:
            wait_s = min(KEEPALIVE_S, KEEPALIVE_AGAIN_S)
