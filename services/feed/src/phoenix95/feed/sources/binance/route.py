"""One routed websocket: connect, subscribe, read; again for ever.

What was missed while it was away is not this module's business: `subscribed` says from when on nothing is
missing, and the feed mends the rest from history.
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Iterator
from typing import Final, Literal

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from phoenix95.common.errors import BadMessage
from phoenix95.common.retry import backoff
from phoenix95.feed.core.frames import Envelope, decode, fault_of
from phoenix95.feed.sources import Sink

FRAME_MAX_BYTES: Final = 1 << 20  # the largest real frame has a few hundred
QUEUE_MAX_FRAMES: Final = 1024  # read ahead by the library; then TCP holds the exchange back
OPEN_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 1.0
PING_S: Final = 20.0  # a dead peer is noticed within two of these
ACK_TIMEOUT_S: Final = 10.0
SILENT_S: Final = 15.0  # a living route sends a mark price each second; doubled after every vain reconnect
SILENT_MAX_S: Final = 240.0
AGE_MAX_S: Final = 23 * 3600  # the exchange ends a connection after 24 h
AGE_JITTER_S: Final = 1800
WATCH_S: Final = 0.5
SEND_PAUSE_S: Final = 0.25  # the exchange allows ten messages a second, pongs included
STREAMS_PER_MESSAGE: Final = 100
RECONNECT_CAP_S: Final = 5.0
STEADY_S: Final = 10.0  # a connection that lived as long starts the back-off anew
LIMITED_S: Final = 60.0  # after 418 or 429 in the handshake
_LIMITED: Final = frozenset({418, 429})
TOO_BIG: Final = 1009  # the close code that we send for a frame beyond the limit


class Route:
    """The streams `channels` of all followed symbols over one connection; one that announces tells `subscribed`."""

    def __init__(self, url: str, name: str, channels: tuple[str, ...], *, announces: bool, trust_env: bool) -> None:
        self.name = name
        self.connections = 0
        self.frames = 0
        self._url = url
        self._channels = channels
        self._announces = announces
        self._proxy: Literal[True] | None = True if trust_env else None
        self._wanted: frozenset[str] = frozenset()
        self._symbol_of: dict[str, str] = {}  # by stream name; also of symbols that were followed once
        self._changed = asyncio.Event()
        self._numbers = itertools.count(1)
        self._active: set[str] = set()
        self._asked: dict[int, tuple[float, frozenset[str]]] = {}
        self._refused: set[str] = set()
        self._connected = False
        self._away = "not connected yet"
        self._hung_up: str | None = None  # why we ended the connection ourselves
        self._heard_at = 0.0
        self._silent_s = SILENT_S
        self._log = structlog.get_logger().bind(route=name)

    def follow(self, symbols: frozenset[str]) -> None:
        """Be subscribed to exactly these."""
        self._wanted = symbols
        self._symbol_of.update({stream: symbol for symbol in symbols for stream in self._streams(symbol)})
        self._changed.set()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connected

    def reason(self) -> str | None:
        """Why not all followed symbols come, or None."""
        if not self._connected:
            return f"{self.name}: {self._away}"
        missing = sorted(self._wanted - self._active)
        return f"{self.name}: waiting for the subscription of {', '.join(missing)}" if missing else None

    async def run(self, sink: Sink) -> None:
        """Stay connected until cancelled."""
        waits = backoff(cap_s=RECONNECT_CAP_S)
        while True:
            began = time.monotonic()
            pause_s = 0.0
            try:
                await self._connection(sink)
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError) as error:
                pause_s = self._ended(error, sink)
            if time.monotonic() - began > STEADY_S:
                waits = backoff(cap_s=RECONNECT_CAP_S)
            await asyncio.sleep(max(pause_s, next(waits)))

    async def _connection(self, sink: Sink) -> None:
        """One connection, from its handshake to its end, which is always an error."""
        async with connect(
            self._url,
            proxy=self._proxy,
            compression=None,  # costs more than the bytes that it saves
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            max_size=FRAME_MAX_BYTES,
            max_queue=QUEUE_MAX_FRAMES,
        ) as socket:
            self._began()
            try:
                async with asyncio.TaskGroup() as group:
                    keeper = group.create_task(self._keep(socket), name=f"keep {self.name}")
                    closed = await self._read(socket, sink)
                    keeper.cancel()
            finally:
                await socket.close()  # a stop is not an error to the exchange
            raise closed

    def _began(self) -> None:
        self.connections += 1
        self._connected = True
        self._hung_up = None
        self._active = set()
        self._asked = {}
        self._refused = set()
        self._heard_at = time.monotonic()
        self._changed.set()
        self._log.info("exchange_connected", url=self._url, connection=self.connections)

    def _ended(self, error: Exception, sink: Sink) -> float:
        """Say why, once for each time away; return the least wait in seconds before the next attempt."""
        reason = self._hung_up or str(error) or type(error).__name__
        if self._connected or self._away != reason:
            self._log.warning("exchange_away", url=self._url, reason=reason)
        self._connected = False
        self._away = reason
        self._hung_up = None
        if isinstance(error, ConnectionClosed) and error.sent is not None and error.sent.code == TOO_BIG:
            sink.bad(self.name, f"frame larger than {FRAME_MAX_BYTES} bytes", b"")
        limited = isinstance(error, InvalidStatus) and error.response.status_code in _LIMITED
        return LIMITED_S if limited else 0.0

    async def _read(self, socket: ClientConnection, sink: Sink) -> ConnectionClosed:
        """Take frames until the connection ends, and return how it did."""
        while True:
            try:
                frame = await socket.recv(decode=False)
            except ConnectionClosed as closed:
                return closed
            self._take(frame, sink)

    def _take(self, frame: bytes, sink: Sink) -> None:
        self.frames += 1
        try:
            envelope = decode(frame, self.name)
        except BadMessage as error:
            sink.bad(self.name, error.reason, frame)
            return
        data = envelope.data
        if data is None:
            self._answered(envelope, sink)
            return
        self._heard_at = time.monotonic()
        self._silent_s = SILENT_S
        if self._symbol_of.get(envelope.stream) != data.symbol:
            sink.bad(self.name, f"unknown symbol {data.symbol[:40]!r} in stream {envelope.stream[:80]!r}", frame)
            return
        fault = fault_of(data, sink.latest_ms)
        if fault is not None:
            sink.bad(self.name, f"{data.symbol}: {fault}", frame)
            return
        sink.data(data)

    def _answered(self, envelope: Envelope, sink: Sink) -> None:
        """An answer to one of our requests."""
        symbols: frozenset[str] = frozenset()
        if isinstance(envelope.id, int):
            _, symbols = self._asked.pop(envelope.id, (0.0, symbols))
        if envelope.code is not None:
            self._refused |= symbols  # asking again at once would be answered alike
            self._log.error("exchange_refused_request", code=envelope.code, message=envelope.msg[:200])
            return
        if symbols:
            self._active |= symbols
            if self._announces:
                sink.subscribed(symbols)

    async def _keep(self, socket: ClientConnection) -> None:
        """Keep the subscriptions as wanted, and hang up a connection that is of no use any more."""
        age_max_s = AGE_MAX_S - random.random() * AGE_JITTER_S  # noqa: S311  spreads reconnects, no secret
        until = time.monotonic() + age_max_s
        try:
            while True:
                await self._subscribe(socket)
                self._hung_up = self._useless(until)
                if self._hung_up is not None:
                    await socket.close()
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), WATCH_S)
        except ConnectionClosed:
            return  # the reader sees it too, and says it

    def _useless(self, until: float) -> str | None:
        now = time.monotonic()
        if now > until:
            return "renewed before the exchange ends it"
        if any(now - at > ACK_TIMEOUT_S for at, _ in self._asked.values()):
            return f"no answer to a request for {ACK_TIMEOUT_S:.0f} s"
        if self._active and now - self._heard_at > self._silent_s:
            reason = f"silent for {self._silent_s:.0f} s"
            self._silent_s = min(2 * self._silent_s, SILENT_MAX_S)
            return reason
        return None

    async def _subscribe(self, socket: ClientConnection) -> None:
        self._changed.clear()
        asked = frozenset().union(*(symbols for _, symbols in self._asked.values()))
        gone = frozenset(self._active - self._wanted)
        self._active -= gone
        for symbols in _portions(gone, len(self._channels)):
            await self._send(socket, "UNSUBSCRIBE", symbols)
        for symbols in _portions(self._wanted - self._active - asked - self._refused, len(self._channels)):
            await self._send(socket, "SUBSCRIBE", symbols)

    async def _send(self, socket: ClientConnection, method: str, symbols: frozenset[str]) -> None:
        number = next(self._numbers)
        streams = [stream for symbol in sorted(symbols) for stream in self._streams(symbol)]
        self._asked[number] = (time.monotonic(), symbols if method == "SUBSCRIBE" else frozenset())
        await socket.send(msgspec.json.encode({"method": method, "params": streams, "id": number}).decode())
        await asyncio.sleep(SEND_PAUSE_S)

    def _streams(self, symbol: str) -> list[str]:
        return [f"{symbol.lower()}@{channel}" for channel in self._channels]


def _portions(symbols: frozenset[str], streams_each: int) -> Iterator[frozenset[str]]:
    """Cut a set so that each part's streams fit in one message."""
    size = max(1, STREAMS_PER_MESSAGE // streams_each)
    ordered = sorted(symbols)
    for start in range(0, len(ordered), size):
        yield frozenset(ordered[start : start + size])
