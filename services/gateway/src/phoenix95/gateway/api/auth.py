"""Who may call what. Orders always need the key; reading needs it as soon as somebody else could be asking."""

import hmac
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from phoenix95.common.settings import Secret
from phoenix95.gateway.api.problems import Problem
from phoenix95.gateway.config import is_loopback

HEADER: Final = "X-API-Key"
_HEADER_BYTES: Final = HEADER.lower().encode()
Connection = ASGIConnection[Any, Any, Any, Any]


class Keyring:
    """Knows the key by its digest only."""

    def __init__(self, api_key: Secret, bound_host: str) -> None:
        self._digest = sha256(api_key.reveal().encode()).digest() if api_key else None
        self._local_only = is_loopback(bound_host)

    def must_have_key(self, connection: Connection, _handler: BaseRouteHandler) -> None:
        """Guard of everything that acts. Raises Problem: 401 without the right key, 403 when none is configured."""
        if self._digest is None:
            raise Problem(HTTPStatus.FORBIDDEN, "this needs an API key and none is configured: set P95_GATEWAY_API_KEY")
        given = [value for name, value in connection.scope["headers"] if name == _HEADER_BYTES]
        if not given:
            raise Problem(HTTPStatus.UNAUTHORIZED, f"the header {HEADER} is missing", headers=_challenge())
        # The digests have one length and are compared in constant time, so that time tells nothing of the key.
        if len(given) > 1 or not hmac.compare_digest(sha256(given[0]).digest(), self._digest):
            raise Problem(HTTPStatus.UNAUTHORIZED, f"the key in {HEADER} is not the right one", headers=_challenge())

    def may_read(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Guard of what only reads: free on this machine.

        The Host header must be local too, or a page of the web could read the portfolio through a name of
        its own that resolves to 127.0.0.1.
        """
        if not (self._local_only and is_loopback(_hostname(connection))):
            self.must_have_key(connection, handler)


def _hostname(connection: Connection) -> str:
    host: str = connection.headers.get("host", "")
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _challenge() -> dict[str, str]:
    return {"WWW-Authenticate": "ApiKey"}
