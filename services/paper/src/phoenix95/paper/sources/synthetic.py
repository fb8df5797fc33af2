"""The synthetic market as a source: every symbol's steps, merged in order of time."""

import heapq
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from phoenix95.paper.core.emission import Emission
from phoenix95.paper.core.source import ClosedBar
from phoenix95.paper.core.specs import Spec, spec_of
from phoenix95.paper.core.synthetic import MINUTE_MS, STEP_MS, Market, State

SEED_DEFAULT: Final = 95
START_MS: Final = 1_767_600_000_000  # 2026-01-05 08:00:00 UTC, where every synthetic market begins
HEAD_START_MS: Final = 40_000  # of trades before anyone watches: the first whole minute is near
HISTORY_BARS: Final = 1500


class SyntheticSource:
    """Any number of symbols, each a function of (seed, symbol, step): the same again in every run."""

    def __init__(self, seed: int, symbols: Sequence[str]) -> None:
        """Raises ValueError for a symbol that is no perpetual's name."""
        self._seed = seed
        self._specs = {symbol: spec_of(symbol) for symbol in symbols}
        self._markets = {symbol: Market(spec, seed, START_MS) for symbol, spec in self._specs.items()}
        self._bars = {symbol: market.history(HISTORY_BARS) for symbol, market in self._markets.items()}
        self._ready: list[tuple[int, int, int, Emission]] = []
        self._counter = 0
        self._begun: list[tuple[str, int, bytes]] = []

    @property
    def name(self) -> str:
        return f"synthetic:{self._seed}"

    @property
    def specs(self) -> Mapping[str, Spec]:
        return self._specs

    @property
    def origin_ms(self) -> int:
        return START_MS + HEAD_START_MS

    @property
    def waits(self) -> bool:
        return False

    def due(self, until_ms: int, at_most: int) -> list[Emission]:
        found: list[Emission] = []
        while len(found) < at_most:
            behind = min(self._markets.values(), key=lambda market: market.next_ms)
            horizon = min(until_ms, behind.next_ms - 1)
            while self._ready and self._ready[0][0] <= horizon and len(found) < at_most:
                found.append(heapq.heappop(self._ready)[3])
            if behind.next_ms > until_ms:
                break
            self._advance()
        return found

    def next_ms(self) -> int | None:
        following = min(market.next_ms for market in self._markets.values())
        return min(self._ready[0][0], following) if self._ready else following

    def history(self, symbol: str) -> Sequence[ClosedBar]:
        return self._bars.pop(symbol, ())

    def snapshots(self) -> Sequence[tuple[str, int, bytes]]:
        begun, self._begun = self._begun, []
        return begun

    def resume(self, states: Mapping[str, tuple[int, bytes]]) -> None:
        self._bars.clear()
        for symbol, (_, blob) in states.items():
            if symbol in self._markets:
                self._markets[symbol].state = msgspec.json.decode(blob, type=State)

    def force(self, symbol: str, price: Decimal, start_ms: int, until_ms: int, *, again: bool = False) -> int:
        market = self._markets[symbol]
        steps = -(-(start_ms - market.start_ms) // STEP_MS)
        start_ms = market.start_ms + steps * STEP_MS
        if not again:
            start_ms = max(start_ms, market.next_ms)
        market.force(price, start_ms, max(start_ms, until_ms))
        return start_ms

    def notes(self) -> Sequence[Mapping[str, int | str]]:
        return ()

    def close(self) -> None:
        self._ready.clear()

    def _advance(self) -> None:
        """One step of every symbol that is furthest behind."""
        moment = min(market.next_ms for market in self._markets.values())
        for rank, (symbol, market) in enumerate(self._markets.items()):
            if market.next_ms != moment:
                continue
            if moment % MINUTE_MS == 0:
                self._begun.append((symbol, moment, msgspec.json.encode(market.state)))
            for emission in market.steps():
                self._counter += 1
                heapq.heappush(self._ready, (emission.ms, rank, self._counter, emission))
