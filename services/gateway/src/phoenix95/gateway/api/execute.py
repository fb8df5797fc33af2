"""POST /api/execute: ask the engine, let the gates decide, answer with what came of it."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from phoenix95.common.events import Analysis, Decided, OrderChanged, OrderEvent, PositionChanged
from phoenix95.gateway.api.body import read_body
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.problems import Problem
from phoenix95.gateway.away import Away
from phoenix95.gateway.core.asking import ExecuteBody, RequestName, as_request, parse_request_name
from phoenix95.gateway.reads.rows import DecisionRow, OrderRow, PositionRow

WAITING_MAX: Final = 64  # callers that wait at once; each holds a socket and nothing else
MAYBE_ASKED: Final = "the order may have been asked for all the same, look before repeating"
ENTRY_FAILED: Final = frozenset({"REJECTED", "ABSENT", "EXPIRED", "CANCELED"})


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer when the decision came in time. `orders` is each order's latest state, in the order they were made.

    Orders and position go on changing: ask again under `GET /api/execute/{request_id}`.
    """

    request_id: str
    analysis: Analysis | None
    decision: Decided
    orders: tuple[OrderChanged, ...]
    position: PositionChanged | None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer when nothing was decided in time; it still will be."""

    request_id: str


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request so far, from the ledger. `decision` is None while it waits for the gates."""

    request_id: str
    state: Literal["waiting", "analysed", "decided"]
    analysis: Analysis | None
    decision: DecisionRow | None
    orders: tuple[OrderRow, ...]
    positions: tuple[PositionRow, ...]


@post("/api/execute", status_code=HTTPStatus.OK)
async def execute(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Response[Executed | Accepted]:
    """Analyse and, when the gates let it pass, trade. 200 with the outcome, or 202 with where to ask for it."""
    arrived_s = time.monotonic()
    asked = as_request(await read_body(request, ExecuteBody), parts.exchange_now_ms())
    known = await parts.bus.symbols()
    if asked.symbol not in known:
        raise Problem(HTTPStatus.NOT_FOUND, f"unknown symbol {asked.symbol}: not subscribed", subscribed=known)
    async with waiting_place(parts):
        try:
            name = await parts.bus.ask(asked)
        except Away as error:
            # A lost reply says nothing: the request may be on its way to the market.
            raise Away(
                error.component, f"{error.reason}; the order may have been asked for, look before repeating"
            ) from error
        deadline_s = arrived_s + parts.settings.wait_ms / 1000
        decision = await _decision(parts, name, deadline_s)
        if decision is not None:
            parts.execute_hop.observe((time.monotonic() - arrived_s) * 1000)
        if decision is None:
            headers = {"Location": f"/api/execute/{name}"}
            return Response(Accepted(request_id=str(name)), status_code=HTTPStatus.ACCEPTED, headers=headers)
        if decision.accepted:
            left_s = deadline_s - time.monotonic()
            await parts.follower.wait_until(lambda: _settled(parts.follower.events(name)), left_s)
        events = parts.follower.events(name)
        answer = Executed(
            request_id=str(name),
            analysis=await parts.bus.reply(name),
            decision=decision,
            orders=_latest_orders(events),
            position=next((event for event in reversed(events) if isinstance(event, PositionChanged)), None),
        )
    return Response(answer)


@get("/api/execute/{request_id:str}")
async def executed(parts: NamedDependency[Parts], request_id: FromPath[str]) -> Followed:
    """What became of a request, whenever it was asked. 404 when there never was one."""
    name = parse_request_name(request_id)
    outcome = await parts.ledger.outcome(name)
    analysis = await parts.bus.reply(name)
    if outcome is None and analysis is None and await parts.bus.asked(name) is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"no request {name}")
    waits: Literal["waiting", "analysed"] = "waiting" if analysis is None else "analysed"
    return Followed(
        request_id=str(name),
        state=waits if outcome is None else "decided",
        analysis=analysis,
        decision=None if outcome is None else outcome.decision,
        orders=() if outcome is None else outcome.orders,
        positions=() if outcome is None else outcome.positions,
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


async def _decision(parts: Parts, name: RequestName, deadline_s: float) -> Decided | None:
    def found() -> Decided | None:
        return next((event for event in parts.follower.events(name) if isinstance(event, Decided)), None)

    await parts.follower.wait_until(lambda: found() is not None, deadline_s - time.monotonic())
    return found()


def _settled(events: Sequence[OrderEvent]) -> bool:
    """Whether the entry's fate is known: a protected or closed position, or an entry that came to nothing."""
    return any(
        (isinstance(event, PositionChanged) and event.state != "opened")
        or (isinstance(event, OrderChanged) and event.role == "entry" and event.state in ENTRY_FAILED)
        for event in events
    )


def _latest_orders(events: Sequence[OrderEvent]) -> tuple[OrderChanged, ...]:
    latest = {event.client_id: event for event in events if isinstance(event, OrderChanged)}
    return tuple(latest.values())
