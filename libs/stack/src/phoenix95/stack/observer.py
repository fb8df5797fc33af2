"""Asks the running system for its figures: Redis by the census, the services over HTTP."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping
from typing import Final

import msgspec

from phoenix95.common.bus import Connection
from phoenix95.common.errors import Phoenix95Error, TransientError
from phoenix95.common.settings_registry import SERVICES, variable
from phoenix95.stack.census import Census
from phoenix95.stack.figures import Figures, Ledger, analyses_of, latencies, ledger_of, worst_lag_ms
from phoenix95.stack.http_get import get
from phoenix95.stack.ports import GATEWAY_PORT, PAPER_PORT

CENSUS_STEP: Final = 20_000  # entries looked at in one round: some 100 ms
SETTLE_POLL_SECONDS: Final = 0.1
HTTP_TIMEOUT_SECONDS: Final = 2.0
RATE_SECONDS: Final = 5.0


class _PaperSymbol(msgspec.Struct, rename="camel"):
    last_agg_id: int = 0


class PaperStatus(msgspec.Struct):
    """What the paper exchange says of its market: `done` when a recording was played to its end."""

    started: bool = False
    done: bool = False
    symbols: dict[str, _PaperSymbol] = {}


class Observer:
    """Keeps the last known answer of whatever does not answer now."""

    def __init__(self, redis: Connection, ports: Mapping[str, int], api_key: str) -> None:
        self.census = Census(redis)
        self.ledger = Ledger()
        self.latency_ms: dict[str, dict[str, float]] = {}
        self._ports = ports
        self._headers = {"X-API-Key": api_key}
        self._rates: deque[tuple[float, int]] = deque()

    async def look(self) -> Figures:
        """The figures now."""
        with contextlib.suppress(Phoenix95Error):
            await self.census.count(CENSUS_STEP)
        await self.ask_ledger()
        counts = self.census.by_symbol()
        ticks = sum(count.trades for count in counts.values())
        return Figures(
            ticks=ticks,
            ticks_per_second=self._rate(ticks),
            analyses=analyses_of(counts),
            ledger=self.ledger,
            lag_ms=worst_lag_ms(counts),
        )

    async def ask_ledger(self) -> bool:
        """Ask the gateway what was done; False when it does not answer."""
        port = self._ports[GATEWAY_PORT]
        try:
            info, portfolio = [
                await get(port, path, timeout_seconds=HTTP_TIMEOUT_SECONDS, headers=self._headers)
                for path in ("/api/info", "/api/portfolio")
            ]
            if info.status != 200 or portfolio.status != 200:
                return False
            self.ledger = ledger_of(info.body, portfolio.body)
        except (TransientError, msgspec.DecodeError):
            return False
        return True

    async def finish(self, within_seconds: float) -> bool:
        """Count everything and ask everybody once more, until what was analysed is decided too.

        Call it when no more ticks come in. False when something did not answer, or was not decided, in time.
        """
        deadline = time.monotonic() + within_seconds  # beside the timeout: a hung server must not hold up the stop
        with contextlib.suppress(TimeoutError, Phoenix95Error):
            async with asyncio.timeout(within_seconds):
                while time.monotonic() < deadline:
                    whole = await self.census.count(CENSUS_STEP) and await self.ask_ledger()
                    if whole and analyses_of(self.census.by_symbol()) <= self.ledger.decisions:
                        return True
                    if whole:
                        await asyncio.sleep(SETTLE_POLL_SECONDS)
        return False

    async def paper(self) -> PaperStatus | None:
        """The paper exchange's own word on its market; None when it does not answer."""
        try:
            answer = await get(self._ports[PAPER_PORT], "/paper/v1/status", timeout_seconds=HTTP_TIMEOUT_SECONDS)
            return msgspec.json.decode(answer.body, type=PaperStatus) if answer.status == 200 else None
        except (TransientError, msgspec.DecodeError):
            return None

    def unsettled(self, paper: PaperStatus) -> str | None:
        """What the end of a recording still waits for, as far as the last look knows; None when all is done."""
        if not paper.done:
            return "the recording has not ended"
        counts = self.census.by_symbol()
        for symbol, told in paper.symbols.items():
            if told.last_agg_id == 0:  # the recording has no trade of it
                continue
            count = counts.get(symbol)
            if count is None or count.last_trade < told.last_agg_id:
                return f"{symbol}: the feed has not stored trade {told.last_agg_id}"
            if not count.settled:
                return f"{symbol}: the engine has not read all ticks"
        waiting = analyses_of(counts) - self.ledger.decisions
        if waiting > 0:
            return f"{waiting} analyses are not decided"
        if self.ledger.open_positions:
            return f"{self.ledger.open_positions} positions are open"
        return None

    async def ask_latencies(self) -> None:
        """The percentiles of each hop, from everybody who lives and answers."""

        async def one(service: str) -> None:
            with contextlib.suppress(TransientError):
                port = self._ports[variable(service, "http_port")]
                answer = await get(port, "/metrics", timeout_seconds=HTTP_TIMEOUT_SECONDS)
                self.latency_ms.update(latencies(answer.body.decode(errors="replace")))

        await asyncio.gather(*(one(service) for service in SERVICES))

    def _rate(self, ticks: int) -> float:
        now = time.monotonic()
        self._rates.append((now, ticks))
        while now - self._rates[0][0] > RATE_SECONDS:
            self._rates.popleft()
        first_at, first = self._rates[0]
        return (ticks - first) / (now - first_at) if now > first_at else 0.0
