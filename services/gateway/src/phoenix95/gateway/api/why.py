"""`GET /api/why/{id}` and the page `GET /why/{id}`: the whole story of one analysis."""

from http import HTTPStatus
from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from phoenix95.gateway.api.dashboard import HEADERS
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.problems import Problem
from phoenix95.gateway.board.why_page import as_page, missing_page
from phoenix95.gateway.core.story import Story
from phoenix95.gateway.reads.why import NoSuch

NAME_MAX: Final = 200
_HTML: Final = "text/html"


@get("/api/why/{name:str}", opt={"answers": {200: Story}})
async def why(parts: NamedDependency[Parts], name: FromPath[str]) -> Story:
    """Why it traded, or why not: bar, indicators, factors, gates, requests, fills, result. The name is the id of an
    analysis, a request, an order (ours or the exchange's) or a trade, or its beginning. 404 tells near names."""
    found = await _found(parts, name)
    if isinstance(found, NoSuch):
        raise Problem(HTTPStatus.NOT_FOUND, _words(found), near=list(found.near))
    return found


@get("/why/{name:str}", media_type=_HTML)
async def why_page(parts: NamedDependency[Parts], name: FromPath[str]) -> Response[str]:
    """The same as a page for people."""
    found = await _found(parts, name)
    if isinstance(found, NoSuch):
        body, status = missing_page(found.words, found.near), HTTPStatus.NOT_FOUND
    else:
        body, status = as_page(found), HTTPStatus.OK
    return Response(body, status_code=status, media_type=_HTML, headers=HEADERS)


async def _found(parts: Parts, name: str) -> Story | NoSuch:
    # No name that is kept can hold a NUL, and Postgres takes none.
    if not 0 < len(name) <= NAME_MAX or "\0" in name:
        return NoSuch("no such name", ())
    return await parts.ledger.why(name)


def _words(found: NoSuch) -> str:
    return f"{found.words}; near: {', '.join(found.near)}" if found.near else found.words
