"""POST /api/analyze: ask the engine, trade nothing."""

import asyncio
import time
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency

from phoenix95.common.events import Analysis
from phoenix95.gateway.api.body import as_ms, read_body
from phoenix95.gateway.api.execute import Accepted
from phoenix95.gateway.api.outcome import subscribed, waiting_place
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.core.asking import AnalyzeBody, RequestName, as_request

LOOK_S: Final = 0.02  # between two looks for the reply, which has an id that is known


class Analysed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer when the engine's came in time. Nothing is traded on it."""

    request_id: str
    analysis: Analysis


@post(
    "/api/analyze",
    status_code=HTTPStatus.OK,
    opt={"scope": "read", "body": AnalyzeBody, "answers": {200: Analysed, 202: Accepted}},
)
async def analyze(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Response[Analysed | Accepted]:
    """Analyse a signal, or a symbol without one, and trade nothing. 200 with the analysis, or 202 with where to ask."""
    deadline_s = time.monotonic() + parts.settings.wait_ms / 1000
    body = await read_body(request, AnalyzeBody)
    asked = as_request(body, parts.exchange_now_ms(), as_ms("timestamp", body.timestamp))
    await subscribed(parts, asked.symbol)
    async with waiting_place(parts):
        name = await parts.bus.ask(asked)
        analysis = await _reply(parts, name, deadline_s)
    if analysis is None:
        headers = {"Location": f"/api/execute/{name}"}
        return Response(Accepted(request_id=str(name)), status_code=HTTPStatus.ACCEPTED, headers=headers)
    return Response(Analysed(request_id=str(name), analysis=analysis))


async def _reply(parts: Parts, name: RequestName, deadline_s: float) -> Analysis | None:
    while time.monotonic() < deadline_s:
        analysis = await parts.bus.reply(name)
        if analysis is not None:
            return analysis
        await asyncio.sleep(LOOK_S)
    return await parts.bus.reply(name)
