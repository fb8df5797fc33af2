"""Every refusal as problem+json (RFC 9457). A caller's mistake is 4xx, a dependency's absence 503, ours 500."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from phoenix95.common.errors import ConfigError
from phoenix95.gateway.away import REDIS, Away
from phoenix95.gateway.core.asking import Refused

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = "1"


class Problem(HTTPException):
    """A refusal with a sentence for the caller; `extra` becomes further members of the body."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(status_code=status, detail=detail, headers=dict(headers or {}), extra=extra)


def problem(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, extra: Mapping[str, Any] | None = None
) -> Response[dict[str, Any]]:
    """The answer itself. `title` is the status in words, as RFC 9457 asks of the type about:blank."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response({**body, **(extra or {})}, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def _of_http(_request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    extra = error.extra if isinstance(error.extra, dict) else {}
    return problem(error.status_code, error.detail, headers=error.headers, extra=extra)


def _of_refused(_request: Request[Any, Any, Any], error: Refused) -> Response[Any]:
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), extra={"field": error.field})


def _of_away(_request: Request[Any, Any, Any], error: Away) -> Response[Any]:
    headers = {"Retry-After": RETRY_AFTER_S}
    extra = {"component": error.component}
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers=headers, extra=extra)


def _of_config(_request: Request[Any, Any, Any], error: ConfigError) -> Response[Any]:
    """Redis refused us a right while running: an operator's doing, so the log has the words and the caller has not."""
    structlog.get_logger().error("redis_refused_us", error=str(error))
    extra = {"component": REDIS}
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{REDIS}: refused the gateway", extra=extra)


def _of_crash(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    structlog.get_logger().error("request_crashed", method=request.method, path=request.url.path, exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway failed; its log says why")


HANDLERS: Final[ExceptionHandlersMap] = {
    Away: _of_away,
    Refused: _of_refused,
    ConfigError: _of_config,
    HTTPException: _of_http,
    Exception: _of_crash,
}
