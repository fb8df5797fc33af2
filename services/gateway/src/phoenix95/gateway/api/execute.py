"""POST /api/execute: ask the engine, let the gates decide, answer with what came of it."""

import time
from http import HTTPStatus
from typing import Any, Final, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from phoenix95.common.events import Analysis, Decided, OrderChanged, PositionChanged
from phoenix95.gateway.api.body import as_ms, read_body
from phoenix95.gateway.api.outcome import outcome, subscribed, waiting_place
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.problems import Problem
from phoenix95.gateway.away import Away
from phoenix95.gateway.core.asking import ExecuteBody, as_request, parse_request_name
from phoenix95.gateway.reads.rows import DecisionRow, OrderRow, PositionRow

MAYBE_ASKED: Final = "the order may have been asked for all the same, look before repeating"


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


@post(
    "/api/execute",
    status_code=HTTPStatus.OK,
    opt={"scope": "trade", "body": ExecuteBody, "answers": {200: Executed, 202: Accepted}},
)
async def execute(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Response[Executed | Accepted]:
    """Analyse and, when the gates let it pass, trade. 200 with the outcome, or 202 with where to ask for it."""
    arrived_s = time.monotonic()
    body = await read_body(request, ExecuteBody)
    asked = as_request(body, parts.exchange_now_ms(), as_ms("timestamp", body.timestamp))
    await subscribed(parts, asked.symbol)
    async with waiting_place(parts):
        try:
            name = await parts.bus.ask(asked)
        except Away as error:
            # A lost reply says nothing: the request may be on its way to the market.
            raise Away(error.component, f"{error.reason}; {MAYBE_ASKED}") from error
        came = await outcome(parts, name, arrived_s)
        if came is None:
            headers = {"Location": f"/api/execute/{name}"}
            return Response(Accepted(request_id=str(name)), status_code=HTTPStatus.ACCEPTED, headers=headers)
        answer = Executed(
            request_id=str(name),
            analysis=await parts.bus.reply(name),
            decision=came.decision,
            orders=came.orders,
            position=came.position,
        )
    return Response(answer)


@get("/api/execute/{request_id:str}", opt={"scope": "read", "answers": {200: Followed}})
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
