"""What was told already."""

from collections import OrderedDict
from typing import Final

REMEMBERED: Final = 1_000


class Repeats:
    """Remembers for a time what was told. Times are monotonic ms."""

    def __init__(self, same_again_ms: int) -> None:
        self._same_again_ms = same_again_ms
        self._told: OrderedDict[str, int] = OrderedDict()

    def is_new(self, what: str, now_ms: int) -> bool:
        """Whether it may be told; then it counts as told now."""
        at_ms = self._told.get(what)
        if at_ms is not None and now_ms - at_ms < self._same_again_ms:
            return False
        self._told[what] = now_ms
        self._told.move_to_end(what)
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return True
