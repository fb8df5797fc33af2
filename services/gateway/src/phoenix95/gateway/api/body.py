"""Reading what a caller sends so that nothing of it can become a 500."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request

from phoenix95.gateway.api.problems import Problem
from phoenix95.gateway.core.asking import Refused

BODY_BYTES_MAX: Final = 16_384  # the largest legal body has some 300
MS_MAX: Final = 10**14  # the year 5138

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


def read_query(request: Request[Any, Any, Any], kind: type[T]) -> T:
    """The words behind the `?` as `kind`. Raises Problem 422 for a wrong, unknown or repeated one."""
    given = request.query_params.dict()
    for name, values in given.items():
        if len(values) > 1:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} is given {len(values)} times", field=name)
    try:
        return msgspec.convert({name: values[0] for name, values in given.items()}, kind, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(getattr(kind, "__struct_fields__", ()))
        detail = f"{error}; the query may have: {known}" if known else str(error)
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail) from error


def as_ms(field: str, value: int | str | None) -> int | None:
    """A time as ms since 1970: such a number already, or ISO 8601 with a time zone. Raises Refused."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise Refused(field, "must be ms since 1970, or a time like 2024-07-19T00:00:00Z") from error
        if moment.tzinfo is None:
            raise Refused(field, "has no time zone; write it like 2024-07-19T00:00:00Z")
        value = round(moment.timestamp() * 1000)
    if value is not None and not 0 <= value < MS_MAX:
        raise Refused(field, "is not a time in ms since 1970")
    return value
