"""The gateway over HTTP, as every command sees it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import msgspec

from phoenix95.common.errors import ConfigError, TransientError

TIMEOUT_SECONDS: Final = 5.0
DATA_DEFAULT: Final = Path(".p95")
KEY_HEADER: Final = "X-API-Key"
T = TypeVar("T")


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


class Gateway:
    """Asks the gateway at `url`, with `key` when there is one."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        headers = {KEY_HEADER: key} if key else {}
        try:
            self._client = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
        except httpx.InvalidURL as error:
            raise ConfigError(f"gateway address {url!r}: {error}") from error

    def get(self, path: str, kind: type[T], *, also: tuple[int, ...] = ()) -> T:
        """The decoded answer. `also` are statuses beside 200 that carry one.

        Raises TransientError when the gateway is away, refuses, or answers something else.
        """
        try:
            answer = self._client.get(path)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise ConfigError(f"gateway address {self.url!r}: {error}") from error
        except httpx.HTTPError as error:
            raise TransientError(
                f"the gateway at {self.url} cannot be reached: {error or type(error).__name__}"
            ) from None
        if answer.status_code not in (200, *also):
            raise TransientError(f"the gateway at {self.url} answered {answer.status_code}: {_detail(answer)}")
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError as error:
            raise TransientError(f"{self.url}{path} is not a Phoenix 95 gateway: {error}") from error


def _detail(answer: httpx.Response) -> str:
    try:
        problem: dict[str, Any] = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return answer.reason_phrase
    return str(problem.get("detail") or problem.get("title") or answer.reason_phrase)
