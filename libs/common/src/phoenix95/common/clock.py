"""Exchange time as a port. Everything about the market asks this clock and no other."""

from typing import Protocol


class Clock(Protocol):
    """Exchange time in ms since the epoch, and how far it may be off."""

    def now_ms(self) -> int:
        """Exchange time now."""
        ...

    def uncertainty_ms(self) -> float | None:
        """Half-width of what `now_ms` may be off by, in exchange ms; None until it was measured."""
        ...


class ManualClock:
    """A clock that moves when it is told to; for tests and replays."""

    def __init__(self, ms: int = 0, uncertainty_ms: float | None = 0.0) -> None:
        self.ms = ms
        self._uncertainty_ms = uncertainty_ms

    def now_ms(self) -> int:
        return self.ms

    def uncertainty_ms(self) -> float | None:
        return self._uncertainty_ms

    def advance(self, ms: int) -> None:
        self.ms += ms
