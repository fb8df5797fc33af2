"""The gateway's settings."""

import ipaddress
from typing import Annotated, Final

import msgspec

from phoenix95.common.settings import Port, Secret, Settings

API_KEY_CHARACTERS_MIN: Final = 16  # shorter ones can be guessed over the network


class GatewaySettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`host` and `port` serve the API. Without `api_key` nothing can be ordered, and only loopback may be served.

    `wait_ms` is how long an answer waits for the decision, or for a command's acknowledgement, in wall-clock ms;
    `trade_ttl_ms` how long a manual trade may still be entered, in exchange ms.
    """

    host: str = "127.0.0.1"
    port: Port = 8103
    api_key: Secret = Secret()
    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=30_000)] = 2_000
    trade_ttl_ms: Annotated[int, msgspec.Meta(ge=100)] = 5_000

    def __post_init__(self) -> None:
        super().__post_init__()
        key = self.api_key.reveal()
        if key and len(key) < API_KEY_CHARACTERS_MIN:
            raise ValueError(f"P95_GATEWAY_API_KEY is shorter than {API_KEY_CHARACTERS_MIN} characters")
        if not key and not is_loopback(self.host):
            raise ValueError(f"P95_GATEWAY_HOST {self.host!r} is not loopback: set P95_GATEWAY_API_KEY to serve it")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address. A name other than localhost may mean anything: no."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
