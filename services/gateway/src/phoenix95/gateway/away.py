"""A dependency that does not answer; the caller is told which one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from phoenix95.common.errors import TransientError

REDIS: Final = "redis"
POSTGRES: Final = "postgres"
EXCHANGE_TIME: Final = "exchange_time"


class Away(TransientError):
    """`component` is away; `reason` is for the caller, so it carries no address and no driver's words."""

    def __init__(self, component: str, reason: str) -> None:
        super().__init__(f"{component}: {reason}")
        self.component = component
        self.reason = reason


@contextmanager
def needs_redis() -> Iterator[None]:
    """Say of every failed call inside that it was Redis."""
    try:
        yield
    except TransientError as error:
        raise Away(REDIS, "Redis does not answer") from error
