"""Exchange time: the paper exchange owns it. It stands still, or runs at a rate to our monotonic clock.

The monotonic clock stops while the computer sleeps, and so does the market.
"""

import time
from collections.abc import Callable


class ExchangeTime:
    """`now_ms` never goes back."""

    def __init__(self, start_ms: int, speed: float, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._base_ms = float(start_ms)
        self._base_ns = 0
        self._speed = speed
        self._running = False
        self._monotonic_ns = monotonic_ns

    @property
    def rate(self) -> float:
        """Exchange ms that pass in one of ours; 0 while time stands still."""
        return self._speed if self._running else 0.0

    @property
    def speed(self) -> float:
        """The rate when time runs."""
        return self._speed

    def now_ms(self) -> int:
        """Exchange time now."""
        if not self._running:
            return int(self._base_ms)
        return int(self._base_ms + (self._monotonic_ns() - self._base_ns) / 1e6 * self._speed)

    def start(self) -> None:
        """Let time run; nothing happens when it does."""
        if not self._running:
            self._base_ns = self._monotonic_ns()
            self._running = True

    def stop(self) -> None:
        """Let time stand still where it is."""
        self._base_ms = float(self.now_ms())
        self._running = False

    def jump(self, to_ms: int) -> None:
        """Go forward to a moment; nothing happens when it has passed."""
        if to_ms > self.now_ms():
            self._base_ms = float(to_ms)
            self._base_ns = self._monotonic_ns()

    def wall_s_until(self, ms: int) -> float:
        """Our seconds until a moment of exchange time, were time running."""
        return max(0.0, (ms - self.now_ms()) / 1000 / self._speed)
