"""HALT, FLATTEN and the way back. They go to Postgres alone, so that they work while Redis is down."""

import asyncio
import time
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from phoenix95.gateway.api.body import read_body
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.away import Away
from phoenix95.gateway.core.control import ControlBody, Mode, ResumeBody, checked
from phoenix95.gateway.core.keys import Scope
from phoenix95.gateway.reads.control import Control, ControlChange

LOOK_S: Final = 0.1
UNSURE: Final = "it may have been stored, look before repeating; `flatten --direct` needs neither us nor Postgres"


class Controlled(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force now: it is stored, and survives everything. `confirmed`: the executor has seen it.

    The mode may be stricter than what was asked for: a demand to stop never loosens.
    """

    change: ControlChange
    confirmed: bool


_ANSWERS: Final[dict[int, Any]] = {200: Controlled, 202: Controlled}


@get("/api/control", opt={"scope": "read", "free": True, "answers": {200: Control}})
async def control(parts: NamedDependency[Parts]) -> Control:
    """The control modes in force, and the last 20 changes: who, when and why."""
    return await parts.ledger.control()


@post(
    "/api/control/halt",
    status_code=HTTPStatus.OK,
    opt={"scope": "trade", "body": ControlBody, "answers": _ANSWERS},
)
async def halt(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Response[Controlled]:
    """Allow no new entries, in the account or in a symbol. What is held stays protected, exits go on."""
    return await _demand(request, parts, await read_body(request, ControlBody), "HALT", "trade")


@post(
    "/api/control/flatten",
    status_code=HTTPStatus.OK,
    opt={"scope": "trade", "body": ControlBody, "answers": _ANSWERS},
)
async def flatten(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Response[Controlled]:
    """Close everything at the market and allow no new entries, in the account or in a symbol."""
    return await _demand(request, parts, await read_body(request, ControlBody), "FLATTEN", "trade")


@post(
    "/api/control/resume",
    status_code=HTTPStatus.OK,
    opt={"scope": "admin", "body": ResumeBody, "answers": _ANSWERS},
)
async def resume(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Response[Controlled]:
    """Allow entries again. A symbol's own mode and the account's both count: each is resumed by itself."""
    body = await read_body(request, ResumeBody)
    return await _demand(request, parts, body, body.mode, "admin", loosen=True)


async def _demand(
    request: Request[Any, Any, Any], parts: Parts, body: ControlBody, mode: Mode, needed: Scope, *, loosen: bool = False
) -> Response[Controlled]:
    """Store it, then wait for the executor to confirm. There is no limit on callers: this is never refused for load."""
    scope, reason = checked(body)
    who = parts.keyring.must_have(request, needed).name
    try:
        change_id = await parts.ledger.set_control(scope=scope, mode=mode, reason=reason, who=who, loosen=loosen)
    except Away as error:
        raise Away(error.component, f"{error.reason}; {UNSURE}") from error
    deadline_s = time.monotonic() + parts.settings.wait_ms / 1000
    while True:
        change = await parts.ledger.control_change(change_id)
        if change.applied is not None or time.monotonic() > deadline_s:
            break
        await asyncio.sleep(LOOK_S)
    confirmed = change.applied is not None
    status = HTTPStatus.OK if confirmed else HTTPStatus.ACCEPTED
    return Response(Controlled(change=change, confirmed=confirmed), status_code=status)
