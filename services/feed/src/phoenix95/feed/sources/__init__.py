"""Where market data comes from. A source is one module (or package) in this folder with a function `build`.

`build(settings)` returns a `Source`; its name is the module's. Nothing else has to be edited.
"""

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import Protocol, runtime_checkable

from phoenix95.common.errors import ConfigError
from phoenix95.feed.config import FeedSettings
from phoenix95.feed.core.frames import AggTrade, Data
from phoenix95.feed.core.history import Candle


class Sink(Protocol):
    """What a source tells. Every call returns at once."""

    @property
    def latest_ms(self) -> int:
        """The latest exchange time that is plausible now."""
        ...

    def data(self, data: Data) -> None:
        """A frame was read and checked."""
        ...

    def bad(self, source: str, reason: str, frame: bytes) -> None:
        """A frame was refused; what it said is lost until history mends it."""
        ...

    def subscribed(self, symbols: Iterable[str]) -> None:
        """From now on every trade of these comes; what was before may be missing."""
        ...


@runtime_checkable
class Source(Protocol):
    """Live frames and history of one exchange. The history's calls raise TransientError and VenueRejected."""

    async def run(self, sink: Sink) -> None:
        """Keep connected and tell `sink`, until cancelled."""
        ...

    def follow(self, symbols: Iterable[str]) -> None:
        """Be subscribed to exactly these, now and after every reconnect."""
        ...

    def reason(self) -> str | None:
        """Why live frames do not come for all followed symbols, or None."""
        ...

    def facts(self) -> dict[str, float]:
        """Counters for /metrics: connections made, frames read and the like."""
        ...

    async def exchange_ms(self) -> int:
        """The exchange's own time."""
        ...

    async def listed(self) -> frozenset[str]:
        """Symbols that can be followed."""
        ...

    async def newest(self, symbol: str) -> AggTrade | None:
        """The last trade that history knows; None when there is none."""
        ...

    async def trades_from(self, symbol: str, first_id: int) -> list[AggTrade]:
        """A page of trades from `first_id` on, ascending; when that is no longer known, from the first that is."""
        ...

    async def trades_since(self, symbol: str, since_ms: int) -> list[AggTrade]:
        """The first page of trades from `since_ms` on, ascending."""
        ...

    async def candles(self, symbol: str, until_ms: int, count: int) -> list[Candle]:
        """At most `count` one-minute bars that opened before `until_ms`, ascending; the last may be open."""
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


def source_names() -> list[str]:
    """The sources that are installed."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def build(settings: FeedSettings) -> Source:
    """The source that the settings name. Raises ConfigError when there is none of that name."""
    if settings.source not in source_names():
        raise ConfigError(f"P95_FEED_SOURCE: no source {settings.source!r}; there are: {', '.join(source_names())}")
    source: Source = import_module(f"{__name__}.{settings.source}").build(settings)
    return source
