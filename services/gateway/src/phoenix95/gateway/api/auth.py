"""Who may call what. Acting always needs a key; reading needs one as soon as somebody else could be asking.

A route says what it needs in its `opt`: `scope`, and `free` when it needs no key on this machine.
"""

import asyncio
import hmac
from collections.abc import Iterable
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final

import structlog
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from phoenix95.common.retry import pause
from phoenix95.common.settings import Secret
from phoenix95.gateway.api.problems import Problem
from phoenix95.gateway.away import Away
from phoenix95.gateway.config import is_loopback
from phoenix95.gateway.core.keys import ApiKey, Scope, allows, key_id
from phoenix95.gateway.reads.ledger import Ledger

HEADER: Final = "X-API-Key"
REFRESH_S: Final = 2.0  # a new key works, and a revoked one does not, within as long
BOOTSTRAP: Final = "P95_GATEWAY_API_KEY"
_HEADER_BYTES: Final = HEADER.lower().encode()
_NOBODY: Final = ApiKey(id="", name="", scope="read", digest=bytes(32))
Connection = ASGIConnection[Any, Any, Any, Any]


class Keyring:
    """Knows the keys by their digests only: the one of the settings, which may do everything, and the table's."""

    def __init__(self, api_key: Secret, bound_host: str) -> None:
        self._bootstrap: ApiKey | None = None
        if api_key:
            digest = sha256(api_key.reveal().encode()).digest()
            self._bootstrap = ApiKey(id="", name=BOOTSTRAP, scope="admin", digest=digest)
        self._local_only = is_loopback(bound_host)
        self._keys: dict[str, ApiKey] = {}

    def put(self, keys: Iterable[ApiKey]) -> None:
        """Know exactly these keys of the table from now on."""
        self._keys = {key.id: key for key in keys}

    async def follow(self, ledger: Ledger, stop: asyncio.Event) -> None:
        """Read the table again and again until `stop`. While Postgres is away the last known keys go on working."""
        told = False
        while not stop.is_set():
            try:
                self.put(await ledger.keys())
                told = False
            except Away as error:
                if not told:
                    structlog.get_logger().warning("keys_not_read", reason=error.reason)
                told = True
            await pause(stop, REFRESH_S)

    def guard(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Let pass who may call the route. Raises Problem: 401 without a right key, 403 with one of too small a scope
        and where there are no keys at all."""
        if handler.opt.get("free") and self._is_local(connection):
            return
        self.must_have(connection, handler.opt.get("scope", "admin"))

    def must_have(self, connection: Connection, scope: Scope) -> ApiKey:
        """The caller's key. Raises Problem unless it is of at least this scope."""
        if self._bootstrap is None and not self._keys:
            detail = (
                f"this needs an API key and there is none: set {BOOTSTRAP}, or `python -m phoenix95.gateway key add`"
            )
            raise Problem(HTTPStatus.FORBIDDEN, detail)
        given = [value for name, value in connection.scope["headers"] if name == _HEADER_BYTES]
        if not given:
            raise Problem(HTTPStatus.UNAUTHORIZED, f"the header {HEADER} is missing", headers=_challenge())
        key = self._known(given[0]) if len(given) == 1 else None
        if key is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, f"the key in {HEADER} is not the right one", headers=_challenge())
        if not allows(key.scope, scope):
            detail = f"this needs a key of scope {scope}; {key.name} has the scope {key.scope}"
            raise Problem(HTTPStatus.FORBIDDEN, detail, scope=scope)
        return key

    def _known(self, given: bytes) -> ApiKey | None:
        # The digests have one length and are compared in constant time, so that time tells nothing of a key.
        digest = sha256(given).digest()
        if self._bootstrap is not None and hmac.compare_digest(digest, self._bootstrap.digest):
            return self._bootstrap
        found = self._keys.get(key_id(given.decode("latin-1")) or "", _NOBODY)
        return found if hmac.compare_digest(digest, found.digest) else None

    def _is_local(self, connection: Connection) -> bool:
        """Whether only this machine can be asking.

        The Host header must be local too, or a page of the web could read the portfolio through a name of
        its own that resolves to 127.0.0.1.
        """
        return self._local_only and is_loopback(_hostname(connection))


def _hostname(connection: Connection) -> str:
    host: str = connection.headers.get("host", "")
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _challenge() -> dict[str, str]:
    return {"WWW-Authenticate": "ApiKey"}
