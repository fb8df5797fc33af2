"""What a REST handler is given, and the table a handler is found in."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.orders import Params
from phoenix95.paper.exchange import Exchange
from phoenix95.paper.exchange_time import ExchangeTime
from phoenix95.paper.listen_keys import ListenKeys
from phoenix95.paper.rest.faults import Faults

Security = Literal["open", "key", "signed"]
WINDOW_MAX_MS: Final = 1 << 60


class Desk(NamedTuple):
    """The exchange behind the counter. `status` describes the source's progress."""

    exchange: Exchange
    time: ExchangeTime
    listen_keys: ListenKeys
    faults: Faults
    status: Callable[[], dict[str, Any]]


Handler = Callable[[Desk, Params], Any]
Weight = int | Callable[[Params], int]


class Route(NamedTuple):
    """`handler` answers anything JSON can hold, or bytes that are JSON already."""

    handler: Handler
    security: Security
    weight: Weight = 1


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
