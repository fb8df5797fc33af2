"""How much a stream holds of the last hour or day, by reading on from where we were."""

from collections import deque
from typing import Final

from phoenix95.common.bus import Connection
from phoenix95.common.bus.reader import entries_between
from phoenix95.common.ids import StreamId

PAGE: Final = 500
PAGES_MAX: Final = 4  # in one go: the first looks after a start catch up, and each stays short


class Past:
    """Counts a stream's entries by the time in their ids, which is Redis' wall clock."""

    def __init__(self, key: str, age_ms: int, *, at_most: int) -> None:
        self._key = key
        self._age_ms = age_ms
        self._times: deque[int] = deque(maxlen=at_most)
        self._last: str | None = None

    @property
    def count(self) -> int:
        """Entries that are young enough, as of the last reading."""
        return len(self._times)

    async def read_on(self, redis: Connection, now_wall_ms: int, *, newest: int = 0) -> list[bytes]:
        """Take in what is new, forget what is old. Gives the events of the last `newest` new entries."""
        oldest_ms = now_wall_ms - self._age_ms
        found: deque[bytes] = deque(maxlen=newest)
        for _ in range(PAGES_MAX):
            start = str(max(0, oldest_ms)) if self._last is None else f"({self._last}"
            page = await entries_between(redis, self._key, start, "+", PAGE)
            for entry_id, fields in page:
                self._last = entry_id
                self._times.append(StreamId.parse(entry_id).ms)
                found.append(fields.get(b"d", b""))
            if len(page) < PAGE:
                break
        while self._times and self._times[0] < oldest_ms:
            self._times.popleft()
        return list(found)
