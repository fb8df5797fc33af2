"""Faults on purpose: what kinds there are, and the seeded schedule that says which request meets one.

The n-th request of a method and path meets the same fault in every run with the same seed, whatever else is
asked in between; so does the n-th event of the user stream.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from phoenix95.paper.core.noise import stream_key, uniform

# what becomes of the request: not applied, or applied
BEFORE: Final = ("drop_before", "timeout_before", "html", "unknown_before", "refuse", "reject", "overload")
AFTER: Final = ("drop_after", "timeout_after", "html_after", "unknown", "empty")
LATE: Final = ("late", "late_unknown")
OTHER: Final = ("delay", "vanish")
REQUEST_KINDS: Final = (*BEFORE, *AFTER, *LATE, *OTHER)
USER_KINDS: Final = ("duplicate", "reorder", "lose", "silence", "cut_user", "expire_key")
AT_ONCE: Final = ("cut_user", "expire_key")  # done to the stream rather than to an event
CLOCK_KINDS: Final = ("skew",)
KINDS: Final = (*REQUEST_KINDS, *USER_KINDS, *CLOCK_KINDS)
# a read that is applied or not is the same, but for its answer
READ_KINDS: Final = ("drop_before", "timeout_before", "html", "unknown_before", "refuse", "empty", "delay")
REJECTIONS: Final = (-1008, -2019, -1007)
DELAY_MAX_MS: Final = 400
LATE_MAX_MS: Final = 2500
SILENCE_MAX_MS: Final = 20_000
SKEW_MAX_MS: Final = 5000
MINUTE_MS: Final = 60_000


class Fault(NamedTuple):
    """`ms` is how long it waits, holds or lasts; `code` is what `reject` answers."""

    kind: str
    ms: int = 0
    code: int = 0


class Chaos(msgspec.Struct, kw_only=True):
    """Each request meets a fault with the chance `rate`, until exchange time `until_ms` (0: for ever).

    `hold_ms` is how long `timeout_...` keeps a request without an answer. `counts` is how many requests of each
    method and path, and events, were seen.
    """

    seed: int
    rate: float
    kinds: tuple[str, ...] = KINDS
    until_ms: int = 0
    hold_ms: int = 15_000
    counts: dict[str, int] = {}

    def on_request(self, method: str, path: str, now_ms: int) -> Fault | None:
        """The fault of the next such request."""
        allowed = READ_KINDS if method == "GET" else REQUEST_KINDS
        stops = method == "POST" and path.endswith("/algoOrder")
        kinds = [kind for kind in self.kinds if kind in allowed and (kind != "vanish" or stops)]
        return self._drawn(f"{method} {path}", kinds, now_ms)

    def on_event(self, now_ms: int) -> Fault | None:
        """The fault of the next event of the user stream."""
        return self._drawn("event", [kind for kind in self.kinds if kind in USER_KINDS], now_ms)

    def skew_ms(self, now_ms: int) -> int:
        """How far the exchange's clock is off in this minute."""
        if "skew" not in self.kinds or self._over(now_ms):
            return 0
        key, n = stream_key(self.seed, "skew"), now_ms // MINUTE_MS * 2
        if uniform(key, n) >= self.rate:
            return 0
        return round((uniform(key, n + 1) * 2 - 1) * SKEW_MAX_MS)

    def _drawn(self, stream: str, kinds: Sequence[str], now_ms: int) -> Fault | None:
        n = self.counts[stream] = self.counts.get(stream, 0) + 1
        if not kinds or self._over(now_ms):
            return None
        key = stream_key(self.seed, stream)
        if uniform(key, n * 3) >= self.rate:
            return None
        kind = kinds[int(uniform(key, n * 3 + 1) * len(kinds))]
        size = uniform(key, n * 3 + 2)
        if kind.startswith("timeout"):
            return Fault(kind, self.hold_ms)
        if kind == "reject":
            return Fault(kind, code=REJECTIONS[int(size * len(REJECTIONS))])
        longest = {"delay": DELAY_MAX_MS, "silence": SILENCE_MAX_MS}.get(kind, LATE_MAX_MS)
        return Fault(kind, round(size * longest))

    def _over(self, now_ms: int) -> bool:
        return bool(self.until_ms) and now_ms >= self.until_ms


class UserFaults:
    """What becomes of the events of the user stream: told, twice, in another order, not at all."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._kept: list[Any] = []
        self.silent_until_ms = 0

    def arm(self, fault: Fault, count: int) -> None:
        """Let the next `count` events meet it."""
        self._armed += [fault] * count

    def clear(self) -> list[Any]:
        """Be faithful again; what was held back comes out."""
        self._armed, self.silent_until_ms = [], 0
        kept, self._kept = self._kept, []
        return kept

    def take(self) -> Fault | None:
        """The armed fault of an event that is here now."""
        return self._armed.pop(0) if self._armed else None

    def pass_on(self, event: Any, fault: Fault | None, now_ms: int) -> list[Any]:
        """What is told now. A reordered event comes after the next one."""
        if fault is not None and fault.kind == "silence":
            self.silent_until_ms = now_ms + fault.ms
        if now_ms < self.silent_until_ms:
            return []
        if fault is not None and fault.kind == "reorder" and not self._kept:
            self._kept = [event]
            return []
        told = [] if fault is not None and fault.kind == "lose" else [event]
        if fault is not None and fault.kind == "duplicate":
            told = [event, event]
        kept, self._kept = self._kept, []
        return told + kept
