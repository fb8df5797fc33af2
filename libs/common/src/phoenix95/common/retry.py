"""Wait for what is away: bounded, jittered back-off that ends when the process is asked to stop."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

import structlog

from phoenix95.common.errors import Phoenix95Error, TransientError
from phoenix95.common.health import Health

FIRST_S: Final = 0.1
CAP_S: Final = 5.0
# 1 ms to the cap doubles 13 times; above that the exponent would only grow without need
_MAX_DOUBLINGS: Final = 32

T = TypeVar("T")


class StopRequested(Phoenix95Error):
    """The process was asked to stop while it waited; `serve` takes it as a clean end."""


def backoff(
    *, first_s: float = FIRST_S, cap_s: float = CAP_S, chance: Callable[[], float] = random.random
) -> Iterator[float]:
    """Yield waits in seconds, without end: doubling from `first_s` to `cap_s`, each drawn from its upper half.

    `chance` gives numbers in [0, 1). The jitter keeps services that lost one server from returning in step.
    """
    doublings = 0
    while True:
        ceiling = min(cap_s, first_s * 2.0**doublings)
        yield ceiling * (0.5 + chance() / 2)
        doublings = min(doublings + 1, _MAX_DOUBLINGS)


async def pause(stop: asyncio.Event, seconds: float) -> bool:
    """Sleep, but no longer than until `stop`. Returns whether the stop came."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):  # wait_for of Python 3.11 can lose a cancellation
            await stop.wait()
    return stop.is_set()


async def forever(
    connect: Callable[[], Awaitable[T]],
    *,
    name: str,
    stop: asyncio.Event,
    health: Health | None = None,
    also: tuple[type[Exception], ...] = (),
    cap_s: float = CAP_S,
) -> T:
    """Call `connect` until it succeeds and return its result; log once when `name` is away and once when it is back.

    Tries again on TransientError, OSError (so refused connections and timeouts) and the types in `also`; all
    else, a ConfigError above all, is raised. /readyz says what is waited for. Raises StopRequested on a stop.
    """
    log = structlog.get_logger()
    transient: tuple[type[Exception], ...] = (TransientError, OSError, *also)
    away = False
    for wait_s in backoff(cap_s=cap_s):
        if stop.is_set():
            raise StopRequested(f"stopped while waiting for {name}")
        try:
            result = await connect()
        except transient as error:
            reason = str(error) or type(error).__name__
            if not away:
                log.warning("waiting_for", dependency=name, reason=reason)
            away = True
            if health is not None:
                health.set(name, f"waiting for {name}: {reason}")
            await pause(stop, wait_s)
            continue
        if away:
            log.info("dependency_is_back", dependency=name)
        if health is not None:
            health.set(name, None)
        return result
    raise AssertionError("the back-off has no end")
