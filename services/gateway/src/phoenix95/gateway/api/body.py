"""Reading a JSON body so that nothing a caller sends can become a 500."""

from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request

from phoenix95.gateway.api.problems import Problem

BODY_BYTES_MAX: Final = 16_384  # the largest legal body has some 300

T = TypeVar("T")


async def read_body(request: Request[Any, Any, Any], kind: type[T]) -> T:
    """The body as `kind`. Raises Problem: 400 for what is no JSON, 422 for JSON of another shape."""
    raw = await request.body()
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from error
