"""The gateway over HTTP, as every command sees it."""

import os
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from phoenix95.common.errors import ConfigError, Phoenix95Error, TransientError

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 35.0  # an acting call may wait up to 30 s for its outcome
DATA_DEFAULT: Final = Path(".p95")
KEY_HEADER: Final = "X-API-Key"
MAYBE_DONE: Final = "; it may have been done, look before repeating"
T = TypeVar("T")
_Words = Mapping[str, Any] | None


class Refused(Phoenix95Error):
    """The gateway said no, and why."""


class _State(msgspec.Struct):
    gateway_url: str


def find_gateway(url: str | None, data: Path, env: Mapping[str, str] = os.environ) -> "Gateway":
    """Where the gateway is: `url`, else `P95_GATEWAY_URL`, else the system that runs in the folder `data`.

    The key is `P95_API_KEY`, else the one of that system, and that only for its own address. Raises ConfigError
    when nothing says where.
    """
    local_url, local_key = _of_running(data)
    address = url or env.get("P95_GATEWAY_URL") or local_url
    if not address:
        raise ConfigError(f"no system runs in {data}; start one with `phoenix95 up`, or give --url or P95_GATEWAY_URL")
    key = env.get("P95_API_KEY") or (local_key if address == local_url else None)
    return Gateway(address.rstrip("/"), key)


def _of_running(data: Path) -> tuple[str | None, str | None]:
    try:
        state = msgspec.json.decode((data / "state.json").read_bytes(), type=_State)
    except (OSError, msgspec.DecodeError):
        return None, None
    try:
        return state.gateway_url, (data / "secrets" / "api_key").read_text().strip()
    except OSError:
        return state.gateway_url, None


def segment(text: str) -> str:
    """A word that a person typed, as one part of a path."""
    return quote(text, safe="")


class Gateway:
    """Asks the gateway at `url`, with `key` when there is one."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        headers = {KEY_HEADER: key} if key else {}
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        try:
            self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise ConfigError(f"gateway address {url!r} or its key: {error}") from error

    def get(self, path: str, kind: type[T], *, also: tuple[int, ...] = (), **query: object) -> T:
        """The decoded answer. `also` are statuses beside 200 that carry one; a query's None is left out.

        Raises Refused when the gateway says no, TransientError when it is away or answers something else.
        """
        return self._decoded(self._send("GET", path, query=query), kind, also)

    def text(self, path: str, **query: object) -> str:
        """An answer that is no JSON, as it is. Raises like `get`."""
        answer = self._send("GET", path, query=query)
        if answer.status_code != HTTPStatus.OK:
            raise self._refusal(answer)
        return answer.text

    def act(self, method: str, path: str, kind: type[T], body: Mapping[str, object] | None = None) -> T:
        """Like `get`, for what changes something; an answer of 202 is one too. A body's None is left out."""
        return self._decoded(self._send(method, path, body=body), kind, (HTTPStatus.ACCEPTED,))

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> httpx.Response:
        try:
            return self._client.request(method, path, params=_given(query), json=_given(body))
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise ConfigError(f"gateway address {self.url!r}: {error}") from error
        except httpx.HTTPError as error:
            words = f"the gateway at {self.url} cannot be reached: {error or type(error).__name__}"
            unsure = method != "GET" and not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            raise TransientError(
                f"{words}; it may have been done, look before repeating" if unsure else words
            ) from None

    def _decoded(self, answer: httpx.Response, kind: type[T], also: tuple[int, ...]) -> T:
        status = answer.status_code
        if status not in (HTTPStatus.OK, *also):
            raise self._refusal(answer)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError as error:
            path = answer.request.url.path
            raise TransientError(f"{self.url}{path} is not a Phoenix 95 gateway: {error}") from error

    def _refusal(self, answer: httpx.Response) -> Phoenix95Error:
        status, words = answer.status_code, _detail(answer)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return ConfigError(f"{words}; the key is taken from P95_API_KEY, or from the system that runs in --data")
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and _is_problem(answer):
            return Refused(words)
        return TransientError(f"the gateway at {self.url} answered {status}: {words}")


def _given(values: _Words) -> dict[str, Any] | None:
    return {name: value for name, value in values.items() if value is not None} if values else None


def _is_problem(answer: httpx.Response) -> bool:
    kind: str = answer.headers.get("content-type", "")
    return kind.startswith("application/problem+json")


def _detail(answer: httpx.Response) -> str:
    try:
        problem: dict[str, Any] = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return answer.reason_phrase
    return str(problem.get("detail") or problem.get("title") or answer.reason_phrase)
