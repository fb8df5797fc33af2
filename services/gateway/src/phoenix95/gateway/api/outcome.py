"""What came of a trade that somebody asked for: its decision, its orders, its position."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

import msgspec

from phoenix95.common.events import Decided, OrderChanged, OrderEvent, PositionChanged
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.problems import Problem
from phoenix95.gateway.streams.follow import Asked

WAITING_MAX: Final = 64  # callers that wait at once; each holds a socket and nothing else
ENTRY_FAILED: Final = frozenset({"REJECTED", "ABSENT", "EXPIRED", "CANCELED"})


class Came(msgspec.Struct, frozen=True, kw_only=True):
    """`orders` is each order's latest state, in the order they were made. Orders and position go on changing."""

    decision: Decided
    orders: tuple[OrderChanged, ...]
    position: PositionChanged | None


async def outcome(parts: Parts, asked: Asked, arrived_s: float) -> Came | None:
    """Wait for the decision and, when it accepts, until the entry's fate is known; None without one in time.

    The time counts from `arrived_s` of the monotonic clock.
    """
    deadline_s = arrived_s + parts.settings.wait_ms / 1000
    decision = await _decision(parts, asked, deadline_s)
    if decision is None:
        return None
    parts.execute_hop.observe((time.monotonic() - arrived_s) * 1000)
    if decision.accepted:
        left_s = deadline_s - time.monotonic()
        await parts.follower.wait_until(lambda: _settled(parts.follower.events(asked)), left_s)
    events = parts.follower.events(asked)
    latest = {event.client_id: event for event in events if isinstance(event, OrderChanged)}
    return Came(
        decision=decision,
        orders=tuple(latest.values()),
        position=next((event for event in reversed(events) if isinstance(event, PositionChanged)), None),
    )


@asynccontextmanager
async def waiting_place(parts: Parts) -> AsyncIterator[None]:
    """One of the places for callers that wait. Raises Problem 429 when all are taken."""
    if parts.waiting.taken >= WAITING_MAX:
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too many callers wait already", headers={"Retry-After": "1"})
    parts.waiting.taken += 1
    try:
        yield
    finally:
        parts.waiting.taken -= 1


async def subscribed(parts: Parts, symbol: str) -> None:
    """Raises Problem 404 for a symbol that is not followed, naming those that are."""
    known = await parts.bus.symbols()
    if symbol not in known:
        raise Problem(HTTPStatus.NOT_FOUND, f"unknown symbol {symbol}: not subscribed", subscribed=known)


async def _decision(parts: Parts, asked: Asked, deadline_s: float) -> Decided | None:
    def found() -> Decided | None:
        return next((event for event in parts.follower.events(asked) if isinstance(event, Decided)), None)

    await parts.follower.wait_until(lambda: found() is not None, deadline_s - time.monotonic())
    return found()


def _settled(events: Sequence[OrderEvent]) -> bool:
    """Whether the entry's fate is known: a protected or closed position, or an entry that came to nothing."""
    return any(
        (isinstance(event, PositionChanged) and event.state != "opened")
        or (isinstance(event, OrderChanged) and event.role == "entry" and event.state in ENTRY_FAILED)
        for event in events
    )
