"""Commands from people: read from the offset that is done, acted on, acknowledged, and only then passed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
import structlog

from phoenix95.common import keys
from phoenix95.common.bus.append import append
from phoenix95.common.bus.client import Connection
from phoenix95.common.bus.offsets import read_offset, write_offset
from phoenix95.common.bus.reader import LogReader
from phoenix95.common.errors import TransientError
from phoenix95.common.events import TYPE_TAG, Ack
from phoenix95.common.retry import backoff, pause
from phoenix95.feed.letters import Letters
from phoenix95.feed.symbols import Symbols

READ_MAX: Final = 50
BLOCK_MS: Final = 200  # so that a stop is noticed soon
SYMBOL_MAX: Final = 40  # characters; the longest listed name has about twenty
RETRY_CAP_S: Final = 1.0

Act = Callable[[str], Awaitable[tuple[bool, str]]]


class _Envelope(msgspec.Struct):
    """What the feed needs to know of a command of any kind."""

    kind: str = msgspec.field(name=TYPE_TAG)
    symbol: str = ""


_decoder = msgspec.json.Decoder(_Envelope)


class Commands:
    """Does what is meant for the feed; others' commands are passed over. A repeat does no harm."""

    def __init__(self, redis: Connection, reader: Connection, symbols: Symbols, letters: Letters) -> None:
        self._redis = redis
        self._reader = LogReader(reader, BLOCK_MS)
        self._letters = letters
        self._acts: Mapping[str, Act] = {"subscribe": symbols.subscribe, "unsubscribe": symbols.unsubscribe}

    async def obey(self, stop: asyncio.Event) -> None:
        """Read and act until `stop`; while Redis is away, wait."""
        waits = backoff(cap_s=RETRY_CAP_S)
        offset: str | None = None
        while not stop.is_set():
            try:
                if offset is None:
                    offset = await self._start()
                offset = await self._batch(offset, stop)
                waits = backoff(cap_s=RETRY_CAP_S)
            except TransientError:
                offset = None  # after an absence ask again where we are: Redis may have gone back
                await pause(stop, next(waits))

    async def _start(self) -> str:
        """The stored offset; from the beginning when the stream has gone back behind it."""
        offset = await read_offset(self._redis, keys.FEED_OFFSET)
        if await self._reader.regressed({keys.COMMAND: offset}):
            offset = "0-0"
        return offset

    async def _batch(self, offset: str, stop: asyncio.Event) -> str:
        for _, entries in await self._reader.read({keys.COMMAND: offset}, at_most=READ_MAX):
            for entry_id, fields in entries:
                await self._do(entry_id, fields)
                await write_offset(self._redis, keys.FEED_OFFSET, entry_id)
                offset = entry_id
                if stop.is_set():
                    return offset
        return offset

    async def _do(self, entry_id: str, fields: dict[bytes, bytes]) -> None:
        raw = fields.get(b"d", b"")
        try:
            command = _decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._letters.drop(keys.COMMAND, f"unreadable command: {error}", raw, entry_id)
            return
        act = self._acts.get(command.kind)
        if act is None:
            return
        symbol = command.symbol.strip().upper()
        ok, message = (
            await act(symbol) if 0 < len(symbol) <= SYMBOL_MAX else (False, f"unknown symbol {symbol[:SYMBOL_MAX]!r}")
        )
        structlog.get_logger().info("command", id=entry_id, kind=command.kind, symbol=symbol, ok=ok, message=message)
        await append(self._redis, keys.ACK, Ack(command_id=entry_id, service="feed", ok=ok, message=message))
