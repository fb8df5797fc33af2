"""Looks at every symbol's streams every two seconds, so that rates can be told without asking twice."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import structlog

from phoenix95.common import keys
from phoenix95.common.bus import Connection, translated
from phoenix95.common.bus.symbols import read_symbols
from phoenix95.common.errors import TransientError
from phoenix95.common.ids import StreamId, partition_of
from phoenix95.common.retry import pause
from phoenix95.gateway.away import REDIS, Away
from phoenix95.gateway.core.pipeline import Look, PipelineFigures, SymbolFigures, SymbolLook, figures

EVERY_S: Final = 2.0
WINDOW: Final = 6  # looks: rates are over the last 10 s
STALE_S: Final = 3 * EVERY_S  # after this the figures are history, not state
_COMMANDS: Final = 4  # per symbol, in `_ask`


class Pulse:
    """Keeps the last looks; `now` tells what they say."""

    def __init__(self, redis: Connection, partitions: int) -> None:
        self._redis = redis
        self._partitions = partitions
        self._looks: deque[Look] = deque(maxlen=WINDOW)

    @property
    def reason(self) -> str | None:
        """For /readyz: why the figures are not there, or None."""
        if not self._looks or time.monotonic() - self._looks[-1].at_s > STALE_S:
            return "Redis does not answer"
        return None

    def now(self) -> tuple[PipelineFigures, dict[str, SymbolFigures]]:
        """Figures of all symbols together and of each. Raises Away when the last look is too old."""
        if reason := self.reason:
            raise Away(REDIS, reason)
        return figures(tuple(self._looks))

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`; log once when Redis is away and once when it is back."""
        log = structlog.get_logger()
        away = False
        while not stop.is_set():
            try:
                look = await self._look()
            except TransientError as error:
                if not away:
                    log.warning("redis_away", reason=str(error))
                away = True
                self._looks.clear()  # a rate over an outage would be a guess
            else:
                if away:
                    log.info("redis_back")
                away = False
                self._looks.append(look)
            await pause(stop, EVERY_S)

    async def _look(self) -> Look:
        symbols = list(await read_symbols(self._redis))
        replies = await self._ask(symbols)
        at_s = time.monotonic()
        rows = (replies[at : at + _COMMANDS] for at in range(0, len(replies), _COMMANDS))
        return Look(at_s=at_s, symbols={symbol: _read(row) for symbol, row in zip(symbols, rows, strict=True)})

    async def _ask(self, symbols: Sequence[str]) -> list[Any]:
        if not symbols:
            return []
        with translated("pipeline figures"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for symbol in symbols:
                    for name in (keys.tick, keys.analysis, keys.reply):
                        pipe.execute_command("XINFO STREAM", name(symbol, self._partitions))
                    checkpoint = keys.checkpoint(partition_of(symbol, self._partitions))
                    pipe.execute_command("HGET", checkpoint, f"off:{symbol}")
                replies: list[Any] = await pipe.execute(raise_on_error=False)
            for reply in replies:
                if isinstance(reply, Exception) and "no such key" not in str(reply):
                    raise reply
        return replies


def _read(row: Sequence[Any]) -> SymbolLook:
    ticks, analyses, replies, offset = row
    return SymbolLook(
        ticks=_added(ticks),
        analyses=_added(analyses),
        replies=_added(replies),
        tick_top=None if isinstance(ticks, Exception) else StreamId.parse(ticks["last-generated-id"]),
        engine_offset=None if offset is None else StreamId.parse(offset),
    )


def _added(info: Any) -> int:
    """Entries ever added to a stream, trimmed ones included; 0 for one that does not exist."""
    return 0 if isinstance(info, Exception) else int(info["entries-added"])
