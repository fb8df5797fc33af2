"""Commands to the services: each waits for its acknowledgement, and answers 202 when none came in time."""

from http import HTTPStatus

import msgspec
from litestar import Response, delete, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from phoenix95.common.events import Ack, ClosePosition, Command, Subscribe, Unsubscribe
from phoenix95.gateway.api.execute import waiting_place
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.problems import Problem
from phoenix95.gateway.core.asking import checked_symbol

BY_HAND = "asked for over the API"


class Commanded(msgspec.Struct, frozen=True, kw_only=True):
    """A command's id and outcome; `ack` is None while nobody has acted."""

    command_id: str
    ack: Ack | None


@post("/api/subscribe/{symbol:str}", status_code=HTTPStatus.OK)
async def subscribe(parts: NamedDependency[Parts], symbol: FromPath[str]) -> Response[Commanded]:
    """Start a symbol's market data, and with it its analyses."""
    return await _commanded(parts, Subscribe(symbol=checked_symbol(symbol)))


@delete("/api/subscribe/{symbol:str}", status_code=HTTPStatus.OK)
async def unsubscribe(parts: NamedDependency[Parts], symbol: FromPath[str]) -> Response[Commanded]:
    """Stop a symbol's market data. 404 when it is not subscribed."""
    checked = checked_symbol(symbol)
    if checked not in await parts.bus.symbols():
        raise Problem(HTTPStatus.NOT_FOUND, f"unknown symbol {checked}: not subscribed")
    return await _commanded(parts, Unsubscribe(symbol=checked))


@post("/api/positions/{symbol:str}/close", status_code=HTTPStatus.OK)
async def close_position(parts: NamedDependency[Parts], symbol: FromPath[str]) -> Response[Commanded]:
    """Close what is held in a symbol, at the market."""
    return await _commanded(parts, ClosePosition(symbol=checked_symbol(symbol), reason=BY_HAND))


async def _commanded(parts: Parts, command: Command) -> Response[Commanded]:
    async with waiting_place(parts):
        command_id = await parts.bus.command(command)
        wait_s = parts.settings.wait_ms / 1000
        await parts.follower.wait_until(lambda: parts.follower.ack(command_id) is not None, wait_s)
    ack = parts.follower.ack(command_id)
    if ack is not None and not ack.ok:
        raise Problem(HTTPStatus.CONFLICT, ack.message, command_id=command_id, service=ack.service)
    status = HTTPStatus.ACCEPTED if ack is None else HTTPStatus.OK
    return Response(Commanded(command_id=command_id, ack=ack), status_code=status)
