"""What the exchange asks of a market source."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from phoenix95.paper.core.emission import Emission
from phoenix95.paper.core.specs import Spec


class ClosedBar(NamedTuple):
    """A one-minute bar of the past: prices and volumes in 1e-8 units, taker volumes are the buyers'."""

    open_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    trades: int
    taker_volume: int
    taker_quote: int


class MarketSource(Protocol):
    """A market that unfolds with exchange time. The same source gives the same events again after a restart."""

    @property
    def name(self) -> str:
        """What the stored state belongs to, for example `synthetic:95`."""
        ...

    @property
    def specs(self) -> Mapping[str, Spec]:
        """The symbols, in their order."""
        ...

    @property
    def origin_ms(self) -> int:
        """Exchange time at a fresh start."""
        ...

    @property
    def waits(self) -> bool:
        """Whether time stands still until every symbol's trades have been subscribed."""
        ...

    def due(self, until_ms: int, at_most: int) -> list[Emission]:
        """The next events up to `until_ms`, in order, at most so many at once."""
        ...

    def next_ms(self) -> int | None:
        """Exchange time of the next event; None when there will be none."""
        ...

    def history(self, symbol: str) -> Sequence[ClosedBar]:
        """Bars before the first event, the oldest first; empty when nothing is known."""
        ...

    def snapshots(self) -> Sequence[tuple[str, int, bytes]]:
        """(symbol, ms, state) of stretches that began since the last call; `resume` takes them."""
        ...

    def resume(self, states: Mapping[str, tuple[int, bytes]]) -> None:
        """Go on from stored states instead of the beginning. Raises ValueError when they do not fit."""
        ...

    def force(self, symbol: str, price: Decimal, start_ms: int, until_ms: int, *, again: bool = False) -> int:
        """Put the price where somebody wants it, and hold it there; the moment from which it is.

        `again` repeats what was forced before a restart. Raises ValueError when this market cannot be moved.
        """
        ...

    def notes(self) -> Sequence[Mapping[str, int | str]]:
        """What an operator should know of the source, for the log: one entry a file, with what was wrong with it."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...
