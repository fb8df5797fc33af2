"""How much of the exchange's request limits is used, and who has to wait for the rest.

Looks that are not urgent give way first, then entries; what protects or ends a position has all that is left.
Limits are read from exchangeInfo, what is used from the headers of every answer.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from typing import Final, NamedTuple

from phoenix95.common.errors import TransientError
from phoenix95.common.metrics import Metrics

WEIGHT, ORDERS = "weight", "orders"
Window = tuple[str, int]  # what is counted, and for how many seconds

# what the exchange allowed in November 2026, until it was asked
DEFAULT_LIMITS: Final[Mapping[Window, int]] = {(WEIGHT, 60): 2_400, (ORDERS, 10): 300, (ORDERS, 60): 1_200}
LIMITED_S: Final = 5.0  # the wait after "too many" without a Retry-After
PROBE_S: Final = 5.0  # so old a count is asked for again, by one look that would have to wait
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_INTERVALS: Final = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400}
_COUNTED: Final = {"REQUEST_WEIGHT": WEIGHT, "ORDERS": ORDERS}
_HEADER: Final = re.compile(r"x-mbx-(used-weight|order-count)-(\d+)([smhd])", re.IGNORECASE)


class Urgency(Enum):
    """What a request is for: which limits it counts in, and up to which share of them it may be made."""

    POLL = (frozenset({WEIGHT}), 0.7)
    SETTING = (frozenset({WEIGHT}), 0.8)
    ENTRY = (frozenset({WEIGHT, ORDERS}), 0.8)
    LOOK = (frozenset({WEIGHT}), 1.0)  # needed to protect or to end a position
    PROTECT = (frozenset({ORDERS}), 1.0)  # stop, target, exit; orders weigh nothing

    ACCOUNT = (frozenset[str](), 1.0)  # the account's own endpoints have other limits

    @property
    def makes_orders(self) -> bool:
        return ORDERS in self.counted

    @property
    def counted(self) -> frozenset[str]:
        return self.value[0]

    @property
    def share(self) -> float:
        return self.value[1]


class Used(NamedTuple):
    """`number` was used of a window that ends at `until_s` of our own clock."""

    number: int
    until_s: float


class Budget:
    """The limits of one address and one account. `now_ms` is exchange time: the windows end with its minutes."""

    def __init__(
        self, now_ms: Callable[[], int] | None = None, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._now_ms, self._monotonic_s = now_ms, monotonic_s
        self._limits: dict[Window, int] = dict(DEFAULT_LIMITS)
        self._used: dict[Window, Used] = {}
        self._all_from_s = self._orders_from_s = self._probed_s = float("-inf")

    def wait_s(self, urgency: Urgency) -> float:
        """How long a request of this kind has to wait, in real seconds; 0: it may be made now."""
        now_s = self._monotonic_s()
        waits = [self._all_from_s - now_s]
        if ORDERS in urgency.counted:
            waits.append(self._orders_from_s - now_s)
        for window, limit in self._limits.items():
            used = self._used.get(window)
            if used is not None and window[0] in urgency.counted and used.number >= urgency.share * limit:
                waits.append(used.until_s - now_s)
        return max(0.0, *waits)

    def probe(self) -> bool:
        """Whether one look may be made although it would have to wait, for its answer tells the count anew."""
        now_s = self._monotonic_s()
        if now_s < self._all_from_s or now_s - self._probed_s < PROBE_S or self._full(now_s):
            return False
        self._probed_s = now_s
        return True

    def sent(self) -> None:
        """Count an order before its answer tells the count."""
        for window, used in self._used.items():
            if window[0] == ORDERS:
                self._used[window] = used._replace(number=used.number + 1)

    def note(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer."""
        for name, value in headers.items():
            found = _HEADER.fullmatch(str(name))
            if found is not None and str(value).isdigit():
                kind = WEIGHT if found[1].lower() == "used-weight" else ORDERS
                window = (kind, int(found[2]) * _UNITS[found[3].lower()])
                self._used[window] = Used(int(value), self._monotonic_s() + self._left_s(window[1]))

    def allow(self, limits: Iterable[tuple[str, str, int, int]]) -> None:
        """Learn the limits of exchangeInfo: (rateLimitType, interval, intervalNum, limit); other kinds are ignored."""
        for kind, interval, number, limit in limits:
            if kind in _COUNTED and interval in _INTERVALS and limit > 0:
                self._limits[_COUNTED[kind], number * _INTERVALS[interval]] = limit

    def limited(self, wait_s: float | None, *, orders_only: bool) -> float:
        """The exchange said "too many": nothing is sent (orders only: no order) for so long, which is returned."""
        wait = LIMITED_S if wait_s is None else wait_s
        until_s = self._monotonic_s() + wait
        if orders_only:
            self._orders_from_s = max(self._orders_from_s, until_s)
        else:
            self._all_from_s = max(self._all_from_s, until_s)
        return wait

    def readings(self) -> Mapping[str, tuple[int, int]]:
        """(used, limit) of each window by a name such as `weight_60s`, for the metrics."""
        now_s = self._monotonic_s()
        return {
            f"{kind}_{seconds}s": (_count(self._used.get((kind, seconds)), now_s), limit)
            for (kind, seconds), limit in self._limits.items()
        }

    def _full(self, now_s: float) -> bool:
        return any(
            _count(self._used.get(window), now_s) >= limit
            for window, limit in self._limits.items()
            if window[0] == WEIGHT
        )

    def _left_s(self, seconds: int) -> float:
        """Until the present window ends. All of it while exchange time is unknown."""
        try:
            return seconds if self._now_ms is None else seconds - self._now_ms() % (seconds * 1000) / 1000
        except TransientError:
            return seconds


def watch(budget: Budget, metrics: Metrics) -> None:
    """Show what is used and what is allowed as metrics, as they are when they are read."""
    used = metrics.gauge("p95_exchange_used", "Used of the exchange's limit in the present window", ["limit"])
    allowed = metrics.gauge("p95_exchange_allowed", "The exchange's limit of a window", ["limit"])
    for name in budget.readings():
        used.labels(name).set_function(partial(_reading, budget, name, 0))
        allowed.labels(name).set_function(partial(_reading, budget, name, 1))


def _reading(budget: Budget, name: str, place: int) -> float:
    return budget.readings()[name][place]


def _count(used: Used | None, now_s: float) -> int:
    return 0 if used is None or used.until_s <= now_s else used.number
