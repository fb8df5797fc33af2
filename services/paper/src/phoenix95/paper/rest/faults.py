"""Faults for the next requests, armed one by one or drawn from a seeded schedule, and written down."""

from collections import deque
from typing import Final
from urllib.parse import parse_qs

import msgspec

from phoenix95.paper.core.faultplan import USER_KINDS, Chaos, Fault, UserFaults
from phoenix95.paper.records import Records
from phoenix95.paper.store import Store

COUNT_MAX: Final = 100_000
CHAOS: Final = "chaos"
SKEW: Final = "skew_ms"
OWN: Final = "/paper/"
CLIENT_IDS: Final = ("newClientOrderId", "clientAlgoId", "origClientOrderId")


class Faults:
    """Armed faults by method and path, each used once, in order; then the schedule's.

    The schedule with its counts, and the clock's skew, outlive a restart; armed faults do not.
    """

    def __init__(self, store: Store, records: Records) -> None:
        self._store = store
        self._records = records
        self._armed: dict[tuple[str, str], deque[Fault]] = {}
        kept = store.meta(CHAOS)
        self.chaos: Chaos | None = msgspec.json.decode(kept, type=Chaos) if kept else None
        self.user = UserFaults()
        self._skew_ms = int(store.meta(SKEW) or 0)

    # ------------------------------------------------------------ set

    def arm(self, method: str, path: str, fault: Fault, count: int) -> None:
        """Let the next `count` such requests, or events of the user stream, fail."""
        count = max(0, min(count, COUNT_MAX))
        if fault.kind in USER_KINDS:
            self.user.arm(fault, count)
        else:
            self._armed.setdefault((method, path), deque(maxlen=COUNT_MAX)).extend([fault] * count)

    def let_loose(self, chaos: Chaos | None) -> None:
        """Follow a schedule from its beginning; None ends it."""
        self.chaos = chaos
        self._keep()
        self._store.commit()

    def skew(self, ms: int) -> None:
        """Let the exchange's clock be off from now on."""
        self._skew_ms = ms
        self._store.set_meta(SKEW, ms)
        self._store.commit()

    def clear(self) -> None:
        """Disarm everything but the schedule."""
        self._armed.clear()
        self.user.clear()
        self.skew(0)

    def armed(self) -> dict[str, int]:
        """How many are left, by method and path."""
        return {f"{method} {path}": len(waiting) for (method, path), waiting in self._armed.items() if waiting}

    # ------------------------------------------------------------ happen

    def skew_ms(self, now_ms: int) -> int:
        """How far the clock is off now."""
        return self._skew_ms + (self.chaos.skew_ms(now_ms) if self.chaos is not None else 0)

    def take(self, method: str, path: str, now_ms: int) -> Fault | None:
        """The fault for a request that is here now."""
        waiting = self._armed.get((method, path)) if self._armed else None
        if waiting:
            return waiting.popleft()
        if self.chaos is None or path.startswith(OWN):
            return None
        fault = self.chaos.on_request(method, path, now_ms)
        self._keep()
        return fault

    def take_event(self, now_ms: int) -> Fault | None:
        """The fault for an event of the user stream that is about to be told."""
        armed = self.user.take()
        if armed is not None or self.chaos is None:
            return armed
        return self.chaos.on_event(now_ms)

    def happened(self, ms: int, method: str, path: str, fault: Fault, query: bytes = b"", body: bytes = b"") -> None:
        """Write it down with the client id of the order it met; it joins the next commit."""
        sent = parse_qs((query + b"&" + body).decode("latin-1"))
        client = next((sent[name][0] for name in CLIENT_IDS if name in sent), "")
        self._records.fault(ms, method, path, fault.kind, client, str(fault.code or fault.ms or ""))

    def _keep(self) -> None:
        self._store.set_meta(CHAOS, msgspec.json.encode(self.chaos).decode() if self.chaos else "")
