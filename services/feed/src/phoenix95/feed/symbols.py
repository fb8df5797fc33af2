"""Which symbols are followed: the hash `p95:symbols` says it, commands change it, and a first start fills it."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from phoenix95.common.bus.client import Connection
from phoenix95.common.bus.meta import agree_on_partitions
from phoenix95.common.bus.publish import PublishGuard
from phoenix95.common.bus.symbols import add_symbol, read_symbols, remove_symbol
from phoenix95.common.errors import ConfigError, TransientError, VenueRejected
from phoenix95.feed.config import FeedSettings
from phoenix95.feed.core.note import Note, write_note
from phoenix95.feed.sources import Source

EVERY_S: Final = 1.0  # how often the hash is read: another feed may have changed it
SYMBOLS_MAX: Final = 60  # three streams each: clients of this exchange stay below 200 on a connection
NOTE_MARGIN_MS: Final = 1000  # the first trade may be a little older than the exchange's clock says
LISTED_TRIES: Final = 3
LISTED_PAUSE_S: Final = 0.5


class Symbols:
    """The desired symbols. `changed` makes the follower look at once."""

    def __init__(self, settings: FeedSettings, redis: Connection, source: Source) -> None:
        self.changed = asyncio.Event()
        self._settings = settings
        self._redis = redis
        self._source = source
        self._guard = PublishGuard(redis, settings.partitions)
        self._log = structlog.get_logger()
        self._unknown: frozenset[str] = frozenset()

    async def follow(self, apply: Callable[[dict[str, bytes]], None], stop: asyncio.Event) -> None:
        """Tell `apply` the desired symbols and their notes whenever they may have changed, until `stop`."""
        followed: tuple[str, ...] = self._settings.symbols
        waits = False
        while not stop.is_set():
            self.changed.clear()
            try:
                wanted = await read_symbols(self._redis)
                if not wanted:
                    # At the first start, or when Redis lost everything: the last symbol is never removed.
                    wanted = await self._fill(followed)
                apply(wanted)
                followed, waits = tuple(wanted), False
            except (TransientError, VenueRejected) as error:
                if not waits:
                    self._log.warning("symbols_wait", reason=str(error))
                waits = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), EVERY_S)

    async def subscribe(self, symbol: str) -> tuple[bool, str]:
        """Follow a symbol: (whether it is followed now, what to tell the person). Raises TransientError."""
        wanted = await read_symbols(self._redis)
        if symbol in wanted:
            return True, f"{symbol} is followed already"
        if len(wanted) >= SYMBOLS_MAX:
            return False, f"{len(wanted)} symbols are followed; that is the most"
        try:
            if symbol not in await self._listed():
                return False, f"unknown symbol {symbol}"
            since = await self._source.exchange_ms() - NOTE_MARGIN_MS
        except (TransientError, VenueRejected) as error:
            return False, f"the exchange did not answer, {symbol} is not followed: {error}"
        top = await self._guard.top(symbol)
        await add_symbol(self._redis, symbol, write_note(Note(since=since, after="" if top is None else str(top))))
        self.changed.set()
        return True, f"{symbol} is followed"

    async def unsubscribe(self, symbol: str) -> tuple[bool, str]:
        """Follow a symbol no longer, as `subscribe`."""
        wanted = await read_symbols(self._redis)
        if symbol not in wanted:
            return True, f"{symbol} was not followed"
        if len(wanted) == 1:
            return False, f"{symbol} is the last symbol; follow another one first"
        await remove_symbol(self._redis, symbol)
        self.changed.set()
        return True, f"{symbol} is followed no longer"

    async def _fill(self, symbols: Sequence[str]) -> dict[str, bytes]:
        """Want these, as far as the exchange has them."""
        await agree_on_partitions(self._redis, self._settings.partitions)
        listed = await self._source.listed()
        note = write_note(Note(since=await self._source.exchange_ms() - NOTE_MARGIN_MS))
        known = [symbol for symbol in dict.fromkeys(symbols) if symbol in listed]
        unknown = frozenset(symbols) - frozenset(known)
        if unknown != self._unknown:
            self._log.error("unknown_symbols", symbols=sorted(unknown), setting="P95_FEED_SYMBOLS")
            self._unknown = unknown
        if not known:
            raise ConfigError(f"P95_FEED_SYMBOLS: the exchange trades none of {', '.join(symbols) or '(nothing)'}")
        for symbol in known:
            await add_symbol(self._redis, symbol, note)
        return dict.fromkeys(known, note)

    async def _listed(self) -> frozenset[str]:
        for _ in range(LISTED_TRIES - 1):
            try:
                return await self._source.listed()
            except TransientError:
                await asyncio.sleep(LISTED_PAUSE_S)
        return await self._source.listed()
