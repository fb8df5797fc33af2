"""Request weight and order counts, the refusals when a limit is passed, and the ban of those who go on regardless."""

from typing import Final

from phoenix95.paper.core.codes import RefusedError

BAN_AFTER: Final = 50  # refused requests in one minute, then the address is banned
BAN_S: Final = 120


class Limits:
    """`now_s` is our monotonic time. `scale` lets a market that runs faster be asked more often."""

    def __init__(self, weight: int, orders_10s: int, orders_1m: int, scale: float = 1.0) -> None:
        factor = max(1.0, scale)
        self.weight_max = int(weight * factor)
        self.orders_max = {10: int(orders_10s * factor), 60: int(orders_1m * factor)}
        self.used = 0
        self.orders = {10: 0, 60: 0}
        self._windows = {10: -1, 60: -1}
        self._minute = -1
        self._refused = 0
        self._banned_until_s = 0.0

    def weigh(self, weight: int, now_s: float) -> None:
        """Count a request. Raises -1003 as 429 above the limit, as 418 while banned."""
        minute = int(now_s) // 60
        if minute != self._minute:
            self._minute, self.used, self._refused = minute, 0, 0
        if now_s < self._banned_until_s:
            raise _limited(-1003, 418, self._banned_until_s - now_s, self.weight_max)
        self.used += weight
        if self.used > self.weight_max:
            self._refused += 1
            if self._refused > BAN_AFTER:
                self._banned_until_s = now_s + BAN_S
            raise _limited(-1003, 429, 60 - now_s % 60, self.weight_max)

    def count(self, orders: int, now_s: float) -> None:
        """Count new orders. Raises -1015 above a limit; nothing is counted then."""
        for window in self.orders:
            if int(now_s) // window != self._windows[window]:
                self._windows[window], self.orders[window] = int(now_s) // window, 0
            if self.orders[window] + orders > self.orders_max[window]:
                words = (self.orders_max[window], "10 SECOND" if window == 10 else "1 MINUTE")
                raise _limited(-1015, 429, window - now_s % window, *words)
        for window in self.orders:
            self.orders[window] += orders

    def headers(self, *, ordering: bool) -> list[tuple[bytes, bytes]]:
        """What an answer says of the use."""
        found = [(b"x-mbx-used-weight-1m", str(self.used).encode())]
        if ordering:
            found.append((b"x-mbx-order-count-10s", str(self.orders[10]).encode()))
            found.append((b"x-mbx-order-count-1m", str(self.orders[60]).encode()))
        return found

    def clear(self) -> None:
        """Forget what was counted, and a ban."""
        self.used = self._refused = 0
        self.orders = dict.fromkeys(self.orders, 0)
        self._banned_until_s = 0.0


def _limited(code: int, status: int, wait_s: float, *words: object) -> RefusedError:
    refused = RefusedError(code, *words)
    refused.status = status
    refused.retry_after_s = max(1, int(wait_s) + 1)
    return refused
