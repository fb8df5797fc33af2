"""POST /api/manual_trade: a person's trade, through the gates like any other."""

import time
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency

from phoenix95.common.events import Decided, OrderChanged, PositionChanged
from phoenix95.common.ids import command_analysis_id
from phoenix95.gateway.api.body import read_body
from phoenix95.gateway.api.execute import MAYBE_ASKED
from phoenix95.gateway.api.outcome import outcome, subscribed, waiting_place
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.away import Away
from phoenix95.gateway.core.trading import TradeBody, as_command


class Traded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer when the decision came in time. Refused, `decision.accepted` is False and `decision.reason` says why.

    Orders and position go on changing: ask again under `GET /api/commands/{command_id}`.
    """

    command_id: str
    decision: Decided
    orders: tuple[OrderChanged, ...]
    position: PositionChanged | None


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The answer when nobody acted in time. A trade is given up on when its time to live is over."""

    command_id: str


@post(
    "/api/manual_trade",
    status_code=HTTPStatus.OK,
    opt={"scope": "trade", "body": TradeBody, "answers": {200: Traded, 202: Sent}},
)
async def manual_trade(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Response[Traded | Sent]:
    """Enter a trade by hand. The gates judge its freshness, size and risk, not a confidence that it has not got.

    200 with what came of it, refused or not; 202 with where to ask. The same call twice is two trades, of which the
    second is refused while the first is held.
    """
    arrived_s = time.monotonic()
    command = as_command(await read_body(request, TradeBody), parts.exchange_now_ms(), parts.settings.trade_ttl_ms)
    await subscribed(parts, command.symbol)
    async with waiting_place(parts):
        try:
            command_id = await parts.bus.command(command)
        except Away as error:
            # A lost reply says nothing: the command may be on its way to the market.
            raise Away(error.component, f"{error.reason}; {MAYBE_ASKED}") from error
        came = await outcome(parts, command_analysis_id(command.symbol, command_id), arrived_s)
    if came is None:
        headers = {"Location": f"/api/commands/{command_id}"}
        return Response(Sent(command_id=command_id), status_code=HTTPStatus.ACCEPTED, headers=headers)
    return Response(Traded(command_id=command_id, decision=came.decision, orders=came.orders, position=came.position))
