"""Tell people over every channel: not the same thing again, and not more than they can read."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from phoenix95.common.events import NotifyStatus
from phoenix95.common.retry import pause
from phoenix95.common.serve import Context
from phoenix95.monitor.config import MonitorSettings
from phoenix95.monitor.core.alerting import SAME_AGAIN_MS
from phoenix95.monitor.core.bucket import CAPACITY, Bucket, take
from phoenix95.monitor.core.notices import Notice
from phoenix95.monitor.core.repeats import Repeats
from phoenix95.monitor.notify.channels import Channel

AGAIN_S: Final = 2.0  # after which what is urgent and was taken by nobody is tried once more


class Outcome(NamedTuple):
    """Which channels took a notice, and which did not. Both empty: nobody was to be told, or it was left out."""

    taken: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    left_out: bool = False


class Post:
    """All channels together. Without channels it tells nobody."""

    def __init__(self, context: Context[MonitorSettings], channels: Sequence[Channel]) -> None:
        self.channels = tuple(channels)
        self._context = context
        self._repeats = Repeats(SAME_AGAIN_MS)
        self._bucket = Bucket(float(CAPACITY), _now_ms())
        self._sent = self._failed = self._left_out = 0
        self._unsaid = 0
        self._counter = context.metrics.counter(
            "p95_monitor_notifications", "Notices to people by channel and outcome", ["channel", "outcome"]
        )

    def status(self) -> NotifyStatus:
        """Counts so far."""
        return NotifyStatus(
            channels=tuple(channel.name for channel in self.channels),
            sent=self._sent,
            failed=self._failed,
            left_out=self._left_out,
        )

    async def tell(self, notice: Notice) -> Outcome:
        """Tell people, unless they were told the same within ten minutes."""
        if not self.channels or not self._repeats.is_new(notice.subject, _now_ms()):
            return Outcome()
        return await self.tell_again(notice)

    async def tell_again(self, notice: Notice) -> Outcome:
        """Tell people even what they were told already, because somebody wants it said."""
        if not self.channels:
            return Outcome()
        allowed, self._bucket = take(self._bucket, _now_ms(), urgent=notice.urgent)
        if not allowed:
            self._left_out += 1
            self._unsaid += 1
            self._counter.labels("all", "left_out").inc()
            self._context.log.warning("notice_left_out", title=notice.title)
            return Outcome(left_out=True)
        if self._unsaid:
            said = f"{notice.body}\n({self._unsaid} before this one were too many at a time and left out)"
            notice, self._unsaid = msgspec.structs.replace(notice, body=said), 0
        outcome = self._noted(notice, await self._send(notice))
        if notice.urgent and not outcome.taken and not await pause(self._context.stop, AGAIN_S):
            outcome = self._noted(notice, await self._send(notice))
        return outcome

    async def _send(self, notice: Notice) -> list[bool]:
        mode = self._context.settings.mode
        return await asyncio.gather(*(channel.send(notice, mode) for channel in self.channels))

    def _noted(self, notice: Notice, answers: Sequence[bool]) -> Outcome:
        named = list(zip((channel.name for channel in self.channels), answers, strict=True))
        taken = tuple(name for name, answer in named if answer)
        failed = tuple(name for name, answer in named if not answer)
        self._sent += len(taken)
        self._failed += len(failed)
        for name, answer in named:
            self._counter.labels(name, "sent" if answer else "failed").inc()
        tell = self._context.log.warning if failed else self._context.log.info
        tell("people_told", title=notice.title, taken=taken, failed=failed)
        return Outcome(taken, failed)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
