"""Which exchange a mode means, and which addresses contradict it.

paper: our own simulated exchange. demo: the exchange's demo trading, no real money. live: real money.
"""

import ipaddress
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import urlsplit

from phoenix95.common.errors import ConfigError

Mode = Literal["paper", "demo", "live"]

EXCHANGE_URLS: Final[Mapping[Mode, tuple[str, str]]] = {
    "paper": ("http://127.0.0.1:9500", "ws://127.0.0.1:9501"),
    "demo": ("https://demo-fapi.binance.com", "wss://fstream.binancefuture.com"),
    "live": ("https://fapi.binance.com", "wss://fstream.binance.com"),
}
_EXCHANGE_DOMAINS: Final = ("binance.com", "binance.us", "binance.vision", "binance.info", "binancefuture.com")
_DEMO_DOMAIN: Final = "binancefuture.com"
_SECURE: Final = ("https", "wss")


def addresses(mode: Mode, rest_url: str, ws_url: str) -> tuple[str, str]:
    """The REST and websocket addresses: those given, or where one is empty that of the mode.

    Raises ConfigError for a given one that contradicts the mode: keys of one kind must never reach an exchange of
    another.
    """
    rest, websocket = EXCHANGE_URLS[mode]
    for name, url in (("P95_EXCHANGE_REST_URL", rest_url), ("P95_EXCHANGE_WS_URL", ws_url)):
        problem = _contradiction(mode, url) if url else None
        if problem is not None:
            raise ConfigError(f"P95_MODE is {mode}, but {name} {problem} (got {url!r})")
    return (rest_url or rest).rstrip("/"), (ws_url or websocket).rstrip("/")


def _contradiction(mode: Mode, url: str) -> str | None:
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    real = _within(host, *_EXCHANGE_DOMAINS)
    if mode == "paper":
        return "is the exchange's own" if real else None
    if parts.scheme not in _SECURE:
        return "is not encrypted; it must begin with https:// or wss://"
    if _is_ours(host):
        return "is an address of this computer or network"
    demo = _within(host, _DEMO_DOMAIN) or (real and host.startswith(("demo-", "testnet.")))
    if mode == "live" and demo:
        return "is that of the exchange's demo trading"
    if mode == "demo" and real and not demo:
        return "is that of trading with real money"
    return None


def _within(host: str, *domains: str) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def _is_ours(host: str) -> bool:
    """A loopback or private address, or a name without a domain. Names are not looked up."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or _within(host, "localhost", "local", "internal")
    return not address.is_global
