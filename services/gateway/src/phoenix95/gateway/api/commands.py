"""Commands to the services: each waits for its acknowledgement, and answers 202 when none came in time."""

from http import HTTPStatus
from typing import Any, Final, Literal

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from phoenix95.common.events import Ack, ClosePosition, Command, Notify, PlaceTrade, Severity, Subscribe, Unsubscribe
from phoenix95.common.ids import command_analysis_id
from phoenix95.gateway.api.body import read_body
from phoenix95.gateway.api.outcome import waiting_place
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.problems import Problem
from phoenix95.gateway.core.asking import Refused, checked_symbol, parse_command_id
from phoenix95.gateway.reads.rows import DecisionRow, OrderRow, PositionRow

BY_HAND: Final = "asked for over the API"
MESSAGE_MAX: Final = 1_000  # characters; the shortest of the channels' own limits is not much more


class NotifyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /api/notify` takes: up to 1000 characters for people, and how bad it is."""

    message: str
    severity: Severity = "info"


class Commanded(msgspec.Struct, frozen=True, kw_only=True):
    """A command's id and outcome; `ack` is None while nobody has acted."""

    command_id: str
    ack: Ack | None


class CommandFollowed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command so far. `decision`, `orders` and `positions` are those of a manual trade."""

    command_id: str
    state: Literal["waiting", "done", "refused"]
    command: Command
    ack: Ack | None
    decision: DecisionRow | None = None
    orders: tuple[OrderRow, ...] = ()
    positions: tuple[PositionRow, ...] = ()


_ACTS: Final[dict[str, Any]] = {"scope": "trade", "answers": {200: Commanded, 202: Commanded}}


@post("/api/subscribe/{symbol:str}", status_code=HTTPStatus.OK, opt=_ACTS)
async def subscribe(parts: NamedDependency[Parts], symbol: FromPath[str]) -> Response[Commanded]:
    """Start a symbol's market data, and with it its analyses."""
    return await _commanded(parts, Subscribe(symbol=checked_symbol(symbol)))


@delete("/api/subscribe/{symbol:str}", status_code=HTTPStatus.OK, opt=_ACTS)
async def unsubscribe(parts: NamedDependency[Parts], symbol: FromPath[str]) -> Response[Commanded]:
    """Stop a symbol's market data. 404 when it is not subscribed."""
    checked = checked_symbol(symbol)
    if checked not in await parts.bus.symbols():
        raise Problem(HTTPStatus.NOT_FOUND, f"unknown symbol {checked}: not subscribed")
    return await _commanded(parts, Unsubscribe(symbol=checked))


@post("/api/positions/{symbol:str}/close", status_code=HTTPStatus.OK, opt=_ACTS)
async def close_position(
    parts: NamedDependency[Parts], symbol: FromPath[str], side: FromQuery[Literal["long", "short"] | None] = None
) -> Response[Commanded]:
    """Close what is held in a symbol, at the market; of one side only when it is named. 409 when nothing is held."""
    return await _commanded(parts, ClosePosition(symbol=checked_symbol(symbol), reason=BY_HAND, side=side))


@post("/api/notify", status_code=HTTPStatus.OK, opt={**_ACTS, "body": NotifyBody})
async def notify(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Response[Commanded]:
    """Tell people something over every channel of the monitor. 409 when it could not be told to any."""
    body = await read_body(request, NotifyBody)
    message = body.message.strip()
    if not 0 < len(message) <= MESSAGE_MAX:
        raise Refused("message", f"must have 1 to {MESSAGE_MAX} characters")
    return await _commanded(parts, Notify(message=message, severity=body.severity))


@get("/api/commands/{command_id:str}", opt={"scope": "read", "free": True, "answers": {200: CommandFollowed}})
async def command(parts: NamedDependency[Parts], command_id: FromPath[str]) -> CommandFollowed:
    """What became of a command, whenever it was given. 404 when there never was one."""
    checked = parse_command_id(command_id)
    given = await parts.history.command(checked)
    if given is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"no command {checked}")
    ack = parts.follower.ack(checked) or await parts.history.ack(checked)
    found = None
    if isinstance(given, PlaceTrade):
        found = await parts.ledger.outcome_of(command_analysis_id(given.symbol, checked))
    done: Literal["done", "refused"] = "done" if ack is not None and ack.ok else "refused"
    return CommandFollowed(
        command_id=checked,
        state="waiting" if ack is None else done,
        command=given,
        ack=ack,
        decision=None if found is None else found.decision,
        orders=() if found is None else found.orders,
        positions=() if found is None else found.positions,
    )


async def _commanded(parts: Parts, command: Command) -> Response[Commanded]:
    async with waiting_place(parts):
        command_id = await parts.bus.command(command)
        wait_s = parts.settings.wait_ms / 1000
        await parts.follower.wait_until(lambda: parts.follower.ack(command_id) is not None, wait_s)
    ack = parts.follower.ack(command_id)
    if ack is not None and not ack.ok:
        raise Problem(HTTPStatus.CONFLICT, ack.message, command_id=command_id, service=ack.service)
    if ack is None:
        headers = {"Location": f"/api/commands/{command_id}"}
        return Response(Commanded(command_id=command_id, ack=None), status_code=HTTPStatus.ACCEPTED, headers=headers)
    return Response(Commanded(command_id=command_id, ack=ack))
