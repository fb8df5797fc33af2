"""Where exchange time stopped, and how to come back to it."""

from collections.abc import Mapping
from typing import Final

from phoenix95.common.errors import ConfigError
from phoenix95.paper.core.source import MarketSource
from phoenix95.paper.market import Market
from phoenix95.paper.store import VERSION, Store

LEAD_MS: Final = 1000  # saved ahead of now while time runs: after a crash exchange time has not gone back


class Memory:
    """Keeps two moments: up to `settled_ms` everything has happened, and time itself has not passed `reached_ms`."""

    def __init__(self, store: Store, source: MarketSource, speed: float) -> None:
        """Raises ConfigError when the state belongs to another market."""
        self._store = store
        self._source = source
        self._lead_ms = int(LEAD_MS * max(1.0, speed))
        self._reached_ms = 0
        known = (store.meta("version"), store.meta("source"))
        if known == (None, None):
            store.set_meta("version", VERSION)
            store.set_meta("source", source.name)
        elif known != (VERSION, source.name):
            raise ConfigError(
                f"P95_PAPER_STATE holds the market {known[1]!r}, not {source.name!r}; "
                "start with a fresh state (phoenix95 up --fresh) or another file"
            )

    def resume(self, markets: Mapping[str, Market]) -> tuple[int, int]:
        """(settled, reached): where the market was when it was left; the origin for a fresh one."""
        settled = self._store.meta("settled_ms")
        if settled is None:
            for symbol in markets:
                self._store.save_bars(symbol, self._source.history(symbol))
            return self._source.origin_ms, self._source.origin_ms
        for symbol in markets:
            if not self._store.day(symbol, 0).trades:  # a symbol that joined since
                self._store.save_bars(symbol, self._source.history(symbol))
        reached = int(self._store.meta("reached_ms") or settled)
        states = self._store.oldest_snapshots(int(settled))
        if states:
            self._source.resume(states)
        return int(settled), reached

    def save(self, settled_ms: int, now_ms: int, *, running: bool) -> None:
        """Everything up to `settled_ms` has happened, and it is `now_ms`."""
        self._store.set_meta("settled_ms", settled_ms)
        self._set_reached(now_ms + self._lead_ms if running else now_ms)
        self._store.commit()

    def reach(self, now_ms: int) -> None:
        """Time has come this far, whatever was saved before."""
        if now_ms > self._reached_ms:
            self._set_reached(now_ms + self._lead_ms)

    def _set_reached(self, ms: int) -> None:
        self._reached_ms = ms
        self._store.set_meta("reached_ms", ms)
