"""Exchange time, measured again and again and carried between measurements by a clock that runs in suspend.

Live: `/fapi/v1/time`, which runs at rate 1. Paper: the paper exchange owns time and says how fast it passes;
it is asked often, because its time stands still until a recording starts.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import httpx
import msgspec
import structlog

from phoenix95.common.errors import TransientError
from phoenix95.common.retry import backoff, pause
from phoenix95.common.settings import Common

LIVE_EVERY_S: Final = 30.0
PAPER_EVERY_S: Final = 2.0
AT_FIRST: Final = 3  # measurements in a row; the first pays for the connection too, the best is kept
DOUBT_AFTER_S: Final = 1.0
STALE_S: Final = 120.0  # a measurement older than this says nothing any more
DRIFT: Final = 100e-6  # how far a computer's clock may run off, as a share of the time passed
RESOLUTION_MS: Final = 1.0  # the exchange tells whole milliseconds
TIMEOUT_S: Final = 5.0


class Reading(msgspec.Struct, frozen=True, rename="camel"):
    """What the exchange says: its time in ms, and how many of its ms pass in one of ours."""

    server_time: int
    rate: float = 1.0


class Anchor(NamedTuple):
    """Exchange time `server_ms` was when our boot clock read `boot_ns`, give or take `uncertainty_ms`."""

    server_ms: float
    boot_ns: int
    rate: float
    uncertainty_ms: float

    def at(self, boot_ns: int) -> float:
        """Exchange ms at a moment of the boot clock."""
        return self.server_ms + (boot_ns - self.boot_ns) / 1e6 * self.rate

    def uncertainty_at(self, boot_ns: int) -> float:
        """What `at` may be off by: the measurement's share, and drift since then."""
        return self.uncertainty_ms + abs(boot_ns - self.boot_ns) / 1e6 * DRIFT * self.rate


def boot_clock_ns() -> int:
    """Nanoseconds since boot, suspend included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class ExchangeClock:
    """The `Clock` of running services. `fetch` asks the exchange; TransientError means no answer."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Reading]],
        *,
        every_s: float = LIVE_EVERY_S,
        boot_ns: Callable[[], int] = boot_clock_ns,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._fetch = fetch
        self._every_s = every_s
        self._boot_ns = boot_ns
        self._close = close
        self._anchor: Anchor | None = None
        self._confirmed_ns = 0
        self._measured = asyncio.Event()
        self._doubted = asyncio.Event()

    def now_ms(self) -> int:
        """Exchange time now. Raises TransientError before the first measurement; may step when it is corrected."""
        return int(self._need().at(self._boot_ns()))

    def uncertainty_ms(self) -> float | None:
        """Half-width in exchange ms of what `now_ms` may be off by; None when nothing was measured for 2 min."""
        now_ns = self._boot_ns()
        if self._anchor is None or now_ns - self._confirmed_ns > STALE_S * 1e9:
            return None
        return self._anchor.uncertainty_at(now_ns)

    @property
    def rate(self) -> float:
        """Exchange ms that pass in one ms of ours: 0 while a paper exchange waits. TransientError when unknown."""
        return self._need().rate

    def doubt(self) -> None:
        """Someone was told that our time is wrong: `keep` measures again at once, unless it did within a second."""
        if self._boot_ns() - self._confirmed_ns >= DOUBT_AFTER_S * 1e9:
            self._doubted.set()

    def reason(self) -> str | None:
        """For /readyz: why the time is not known, or None."""
        return "exchange time was not measured for 2 minutes" if self.uncertainty_ms() is None else None

    async def measure(self) -> None:
        """Ask once. A slow answer does not replace a better one that it agrees with. Raises TransientError."""
        before_ns = self._boot_ns()
        reading = await self._fetch()
        after_ns = self._boot_ns()
        half_ms = (after_ns - before_ns) / 2e6
        fresh = Anchor(
            server_ms=reading.server_time + RESOLUTION_MS / 2,
            boot_ns=(before_ns + after_ns) // 2,
            rate=reading.rate,
            uncertainty_ms=half_ms * reading.rate + RESOLUTION_MS / 2,
        )
        if self._anchor is None or _replaces(fresh, self._anchor, after_ns):
            self._anchor = fresh
        self._confirmed_ns = after_ns
        self._measured.set()

    async def measured(self, stop: asyncio.Event) -> bool:
        """Wait for the first measurement (by `keep`). Returns False when `stop` came first."""
        waits = {asyncio.ensure_future(self._measured.wait()), asyncio.ensure_future(stop.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self._measured.is_set()

    async def keep(self, stop: asyncio.Event) -> None:
        """Measure until `stop`; log once when the exchange's time is away and once when it is back."""
        log = structlog.get_logger()
        waits = None
        at_once = AT_FIRST
        try:
            while not stop.is_set():
                try:
                    await self.measure()
                except TransientError as error:
                    if waits is None:
                        log.warning("exchange_time_away", reason=str(error))
                        waits = backoff(cap_s=self._every_s)
                    await pause(stop, next(waits))
                    continue
                if waits is not None:
                    log.info("exchange_time_back")
                    waits = None
                at_once -= 1
                if at_once <= 0:
                    await self._rest(stop)
        finally:
            await self.aclose()

    async def _rest(self, stop: asyncio.Event) -> None:
        """Until the next measurement is due or the time is doubted."""
        waits = {asyncio.ensure_future(self._doubted.wait()), asyncio.ensure_future(stop.wait())}
        try:
            await asyncio.wait(waits, timeout=self._every_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._doubted.clear()

    async def aclose(self) -> None:
        """Close the connection to the exchange; `keep` does it at its end."""
        if self._close is not None:
            await self._close()

    def _need(self) -> Anchor:
        if self._anchor is None:
            raise TransientError("exchange time was not measured yet")
        return self._anchor


def _replaces(fresh: Anchor, held: Anchor, boot_ns: int) -> bool:
    """Whether a new measurement is better than the held one, or contradicts it."""
    if fresh.rate != held.rate:
        return True
    allowed_ms = fresh.uncertainty_at(boot_ns) + held.uncertainty_at(boot_ns)
    contradicts = abs(fresh.at(boot_ns) - held.at(boot_ns)) > allowed_ms
    return contradicts or fresh.uncertainty_ms <= held.uncertainty_at(boot_ns)


def exchange_clock(settings: Common) -> ExchangeClock:
    """The clock of the configured exchange. Run its `keep(stop)` as a task; nothing is asked before."""
    paper = settings.mode == "paper"
    source = _HttpTime(
        settings.exchange_rest_url + ("/paper/v1/clock" if paper else "/fapi/v1/time"),
        trust_env=not paper,  # a proxy of the environment must not stand between us and our own paper exchange
    )
    every_s = PAPER_EVERY_S if paper else LIVE_EVERY_S
    return ExchangeClock(source.fetch, every_s=every_s, close=source.aclose)


class _HttpTime:
    """Asks one address over one kept connection."""

    def __init__(self, url: str, *, trust_env: bool) -> None:
        self._url = url
        self._trust_env = trust_env
        self._client: httpx.AsyncClient | None = None

    async def fetch(self) -> Reading:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=self._trust_env)
        try:
            answer = await self._client.get(self._url)
            answer.raise_for_status()
            return msgspec.json.decode(answer.content, type=Reading)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            raise TransientError(f"{self._url}: {error or type(error).__name__}") from error

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
