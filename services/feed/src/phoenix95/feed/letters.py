"""Dead letters: frames and commands that nobody could read, kept for people, within bounds."""

import asyncio
from collections import deque
from typing import Final

import structlog

from phoenix95.common import keys
from phoenix95.common.bus.append import append
from phoenix95.common.bus.client import Connection
from phoenix95.common.errors import TransientError
from phoenix95.common.events import DeadLetter
from phoenix95.common.retry import pause

WAITING_MAX: Final = 100  # later ones push out the oldest
EVERY_S: Final = 1.0
AT_ONCE_MAX: Final = 20  # a flood of garbage must not fill Redis
KEPT_MAX: Final = 10_000
TEXT_MAX: Final = 2000  # characters of a frame


class Letters:
    """Collects at once, writes in the background."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis
        self._waiting: deque[DeadLetter] = deque(maxlen=WAITING_MAX)

    def drop(self, source: str, error: str, raw: bytes, entry_id: str = "") -> None:
        """Keep something unreadable; `source` says where it came from."""
        text = raw[: 4 * TEXT_MAX].decode(errors="backslashreplace")[:TEXT_MAX]
        self._waiting.append(
            DeadLetter(source=source, entry_id=entry_id, error=error[:500], fields={"d": text}, attempts=1)
        )

    async def write(self, stop: asyncio.Event) -> None:
        """Write out until `stop`, and once more then."""
        stopped = False
        while not stopped:
            stopped = await pause(stop, EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Write a bounded number. They are for people: while Redis is away the oldest may be lost."""
        for _ in range(min(AT_ONCE_MAX, len(self._waiting))):
            letter = self._waiting.popleft()
            try:
                await append(self._redis, keys.dead_letter("feed"), letter, maxlen=KEPT_MAX)
            except TransientError as error:
                structlog.get_logger().debug("dead_letter_not_written", reason=str(error))
                self._waiting.appendleft(letter)
                return
