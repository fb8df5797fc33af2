"""The dashboard's news: gathered by one task for all viewers, and not at all while nobody looks."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from phoenix95.common import keys
from phoenix95.common.bus import Connection, translated
from phoenix95.common.bus.reader import tail
from phoenix95.common.clock import Clock
from phoenix95.common.errors import TransientError
from phoenix95.common.events import Alert
from phoenix95.common.retry import pause
from phoenix95.common.wire import alert_decoder
from phoenix95.gateway.away import EXCHANGE_TIME, POSTGRES, REDIS, Away, needs_redis
from phoenix95.gateway.board.chart import Chart
from phoenix95.gateway.core.health import Component, components_of, own_check, report, unknown_services
from phoenix95.gateway.reads.ledger import Ledger
from phoenix95.gateway.reads.overview import CURVE_POINTS
from phoenix95.gateway.streams.ask import Bus
from phoenix95.gateway.streams.pulse import Pulse

TURN_S: Final = 0.5  # prices and candles; faster than this nobody reads
SLOW_TURNS: Final = 4  # everything else: each second turn of the ledger's own rhythm
VIEWERS_MAX: Final = 16
ALERTS_SHOWN: Final = 30
PRICE_FIELDS: Final = ("price", "change_percent", "mark", "bid", "ask", "high", "low", "volume", "timestamp")

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_encode_ordered: Final = msgspec.json.Encoder().encode  # the order of the components is how they are shown


class Section(NamedTuple):
    """One kind of news as it is sent; `version` grows when it changes."""

    version: int
    body: bytes


class Board:
    """`sections` holds the latest of each kind: who reads slowly misses what was between, and nothing piles up."""

    def __init__(
        self, redis: Connection, partitions: int, *, bus: Bus, ledger: Ledger, pulse: Pulse, clock: Clock, version: str
    ) -> None:
        self._redis = redis
        self._partitions = partitions
        self._bus = bus
        self._ledger = ledger
        self._pulse = pulse
        self._clock = clock
        self._version = version
        self._symbols: list[str] = []
        self._curve: list[tuple[datetime, str]] = []
        self._looking: dict[str, int] = {}
        self._changed = asyncio.Event()
        self.charts: dict[str, Chart] = {}
        self.sections: dict[str, Section] = {}
        self.closed = False
        self.viewers = 0

    @contextlib.contextmanager
    def viewer(self, symbol: str | None) -> Iterator[None]:
        """One who looks, at a symbol's candles too unless `symbol` is None."""
        self.viewers += 1
        if symbol is not None:
            self._looking[symbol] = self._looking.get(symbol, 0) + 1
        try:
            yield
        finally:
            self.viewers -= 1
            if symbol is not None:
                self._looking[symbol] -= 1
                if not self._looking[symbol]:
                    del self._looking[symbol]
                    self.charts.pop(symbol, None)
            if not self.viewers:
                self.sections.clear()  # the next viewer gets no old news
                self._curve = []

    async def wait_for_news(self, seconds: float) -> None:
        """Return at the next news, or at the end of the service, or when the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Gather until `stop`; then every viewer's stream ends."""
        turn = 0
        while not stop.is_set():
            started_s = time.monotonic()
            if self.viewers:
                slow = turn % SLOW_TURNS == 0 or "services" not in self.sections
                answered = await self._gather(slow)
                turn = turn + 1 if answered else 0
                self._tell()
            await pause(stop, TURN_S - (time.monotonic() - started_s))
        self.closed = True
        self._tell()

    def _tell(self) -> None:
        news, self._changed = self._changed, asyncio.Event()
        news.set()

    async def _gather(self, slow: bool) -> bool:
        """Whether Redis answered. What is away is named by the services; the other sections stay as they were."""
        works: list[Callable[[], Awaitable[None]]] = [self._prices, self._candles]
        if slow:
            works = [self._services, self._of_ledger, self._alerts, self._host, self._pipeline, *works]
        for work in works:
            try:
                await work()
            except TransientError as error:
                if not (isinstance(error, Away) and error.component == POSTGRES):
                    self._say_services(None)  # at once: each further command would wait for its deadline
                    return False
        return True

    def _put(self, name: str, body: bytes) -> None:
        known = self.sections.get(name)
        if known is None or known.body != body:
            self.sections[name] = Section(1 if known is None else known.version + 1, body)

    async def _services(self) -> None:
        beats = await self._bus.heartbeats()
        self._symbols = await self._bus.symbols()
        self._say_services(components_of(beats, time.time_ns() // 1_000_000))

    def _say_services(self, services: dict[str, Component] | None) -> None:
        """`services` None: Redis does not answer, so nobody knows of them."""
        reason = "Redis does not answer" if services is None else None
        clock = None if self._clock.uncertainty_ms() is not None else "the exchange does not tell its time"
        components = {
            "gateway": own_check(None),
            **(unknown_services(f"unknown: {reason}") if services is None else services),
            REDIS: own_check(reason),
            POSTGRES: own_check(self._ledger.reason),
            EXCHANGE_TIME: own_check(clock),
        }
        self._put("services", _encode_ordered(report(self._version, components)))

    async def _of_ledger(self) -> None:
        # Whole or not at all: the last viewer may leave, and the curve be dropped, while we wait.
        curve = self._curve or await self._ledger.equity_curve()
        found = await self._ledger.overview()
        if found.account is not None and (not curve or curve[-1][0] < found.account.created):
            curve.append((found.account.created, found.account.total_balance))
        self._curve = curve[-CURVE_POINTS:]
        self._put("account", _encode(found.account))
        self._put("positions", _encode(found.positions))
        self._put("decisions", _encode(found.decisions))
        self._put("equity", _encode(self._curve))

    async def _alerts(self) -> None:
        with needs_redis():
            entries = await tail(self._redis, keys.ALERT, ALERTS_SHOWN)
        self._put("alerts", _encode([alert for _, fields in reversed(entries) if (alert := _alert(fields))]))

    async def _host(self) -> None:
        self._put("host", _encode(await self._bus.host()))

    async def _pipeline(self) -> None:
        total, symbols = self._pulse.now()
        self._put("pipeline", _encode({"total": total, "symbols": symbols}))

    async def _prices(self) -> None:
        if self._symbols:
            self._put("prices", _encode(await self._read_prices(self._symbols)))

    async def _read_prices(self, symbols: Sequence[str]) -> dict[str, dict[str, str]]:
        with translated("prices"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for symbol in symbols:
                    pipe.execute_command("HMGET", keys.price(symbol, self._partitions), *PRICE_FIELDS)
                rows: list[Any] = await pipe.execute()
        return {
            symbol: {name: value.decode() for name, value in zip(PRICE_FIELDS, row, strict=True) if value is not None}
            for symbol, row in zip(symbols, rows, strict=True)
        }

    async def _candles(self) -> None:
        for symbol in tuple(self._looking):
            chart = self.charts.get(symbol)
            if chart is None:
                chart = Chart(symbol, self._partitions)
            await chart.follow(self._redis)
            if symbol in self._looking:  # nobody may look any more after the wait
                self.charts[symbol] = chart


def _alert(fields: dict[bytes, bytes]) -> Alert | None:
    try:
        return alert_decoder.decode(fields.get(b"d", b""))
    except msgspec.MsgspecError:  # the monitor dead-letters it; one bad entry must not hide the others
        return None
