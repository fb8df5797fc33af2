"""Faults on purpose, for those who test how they survive them.

`POST /paper/v1/faults?method=POST&path=/fapi/v1/order&kind=drop_after&count=1` arms the next requests:
`drop_before` closes the connection without doing anything, `drop_after` does it and closes without an answer,
`unknown` does it and answers 503 "Unknown error", `refuse` answers 503 "Service Unavailable." without doing it,
`delay` waits `ms` of wall time before doing it. `DELETE /paper/v1/faults` disarms all.
"""

from collections import deque
from typing import Final, NamedTuple

KINDS: Final = ("drop_before", "drop_after", "unknown", "refuse", "delay")
COUNT_MAX: Final = 1000


class Fault(NamedTuple):
    kind: str
    ms: int


class Faults:
    """Armed faults by method and path, each used once, in order."""

    def __init__(self) -> None:
        self._armed: dict[tuple[str, str], deque[Fault]] = {}

    def arm(self, method: str, path: str, fault: Fault, count: int) -> None:
        """Let the next `count` such requests fail."""
        self._armed.setdefault((method, path), deque(maxlen=COUNT_MAX)).extend([fault] * min(count, COUNT_MAX))

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for a request that is here now."""
        waiting = self._armed.get((method, path)) if self._armed else None
        return waiting.popleft() if waiting else None

    def clear(self) -> None:
        self._armed.clear()

    def armed(self) -> dict[str, int]:
        """How many are left, by method and path."""
        return {f"{method} {path}": len(waiting) for (method, path), waiting in self._armed.items() if waiting}
