"""When a child that ended is started again, and when it is given up."""

from typing import Final

import msgspec

FAILURES_MAX: Final = 5  # starts in a row that came to nothing: a sixth would not either
STABLE_SECONDS: Final = 5.0  # who was ready this long was not a failed start
DELAY_SECONDS_FIRST: Final = 0.25
DELAY_SECONDS_MAX: Final = 8.0


class Backoff(msgspec.Struct, frozen=True):
    """How many starts in a row came to nothing."""

    failures: int = 0

    def after(self, ready_seconds: float) -> "tuple[Backoff, float | None]":
        """The state after a child ended that had been ready for so long (0 if never), and how long to wait.

        None means: give it up.
        """
        failures = 1 if ready_seconds >= STABLE_SECONDS else self.failures + 1
        if failures > FAILURES_MAX:
            return Backoff(failures), None
        return Backoff(failures), min(DELAY_SECONDS_MAX, DELAY_SECONDS_FIRST * 2 ** (failures - 1))
