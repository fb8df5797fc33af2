"""What a REST handler is given, and the table a handler is found in."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.limits import Limits
from phoenix95.paper.core.requests import Params
from phoenix95.paper.exchange import Exchange
from phoenix95.paper.exchange_time import ExchangeTime
from phoenix95.paper.listen_keys import ListenKeys
from phoenix95.paper.rest.faults import Faults

Security = Literal["open", "key", "signed", "local"]  # local: only from this machine
WINDOW_MAX_MS: Final = 1 << 60


class Desk(NamedTuple):
    """The exchange behind the counter. `status` describes the source's progress.

    `force` moves the market of a symbol: (symbol, price, from exchange ms, until exchange ms); it raises ValueError
    for a market that cannot be moved. `user_fault` does what is done to the user stream at once: cut its
    connections, or let its key run out.
    """

    exchange: Exchange
    time: ExchangeTime
    listen_keys: ListenKeys
    faults: Faults
    limits: Limits
    status: Callable[[], dict[str, Any]]
    force: Callable[[str, Decimal, int, int], None]
    user_fault: Callable[[str], None]

    def clock_ms(self) -> int:
        """Exchange time as the exchange's clock shows it: off when that is asked for."""
        now_ms = self.time.now_ms()
        return now_ms + self.faults.skew_ms(now_ms)


Handler = Callable[[Desk, Params], Any]
Weight = int | Callable[[Params], int]


class Route(NamedTuple):
    """`handler` answers anything JSON can hold, or bytes that are JSON already; `orders` is how many it places."""

    handler: Handler
    security: Security
    weight: Weight = 1
    orders: Weight = 0


Routes = Mapping[tuple[str, str], Route]


def integer(params: Params, name: str, default: int | None = None) -> int:
    """An integer parameter. Raises -1102 when it is missing without a default, -1130 when it is no integer."""
    text = params.get(name, "")
    if not text:
        if default is None:
            raise RefusedError(-1102, name)
        return default
    try:
        number = int(text)
    except ValueError:
        raise RefusedError(-1130, name) from None
    if abs(number) > WINDOW_MAX_MS:  # beyond what the store can compare
        raise RefusedError(-1130, name)
    return number


def limit_of(params: Params, default: int, largest: int) -> int:
    """The `limit` parameter, in [1, largest]. Raises -1130."""
    limit = integer(params, "limit", default)
    if limit < 1:
        raise RefusedError(-1130, "limit")
    return min(limit, largest)


def optional(params: Params, name: str) -> int | None:
    """An integer parameter, None when it was not sent."""
    return integer(params, name) if params.get(name) else None
