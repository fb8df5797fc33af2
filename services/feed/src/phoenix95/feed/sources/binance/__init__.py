"""Binance USD-M futures: routed websockets for live frames, REST for history. The paper exchange speaks the same."""

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

from phoenix95.common.errors import ConfigError
from phoenix95.feed.config import FeedSettings
from phoenix95.feed.sources import Sink
from phoenix95.feed.sources.binance.rest import BinanceRest
from phoenix95.feed.sources.binance.route import Route

# On the wrong route a subscription is acknowledged and nothing ever comes.
ROUTES = {
    "market": ("aggTrade", "ticker", "markPrice@1s"),
    "public": ("bookTicker",),
}

ADDRESSES = {"exchange_rest_url": ("http", "https"), "exchange_ws_url": ("ws", "wss")}


class Binance:
    """One websocket a route, and a REST client."""

    def __init__(self, rest_url: str, ws_url: str, *, trust_env: bool) -> None:
        self._rest = BinanceRest(rest_url, trust_env=trust_env)
        self._routes = [
            Route(f"{ws_url}/{name}/stream", name, channels, announces="aggTrade" in channels, trust_env=trust_env)
            for name, channels in ROUTES.items()
        ]
        self.exchange_ms = self._rest.exchange_ms
        self.listed = self._rest.listed
        self.newest = self._rest.newest
        self.trades_from = self._rest.trades_from
        self.trades_since = self._rest.trades_since
        self.candles = self._rest.candles
        self.aclose = self._rest.aclose

    async def run(self, sink: Sink) -> None:
        async with asyncio.TaskGroup() as group:
            for route in self._routes:
                group.create_task(route.run(sink), name=f"route {route.name}")

    def follow(self, symbols: Iterable[str]) -> None:
        wanted = frozenset(symbols)
        for route in self._routes:
            route.follow(wanted)

    def reason(self) -> str | None:
        return "; ".join(reason for route in self._routes if (reason := route.reason())) or None

    def facts(self) -> dict[str, float]:
        found: dict[str, float] = {"rest_requests": self._rest.requests, "rest_weight_1m": self._rest.used_weight}
        found["connected"] = all(route.connected for route in self._routes)
        for route in self._routes:
            found[f"{route.name}_connections"] = route.connections
            found[f"{route.name}_frames"] = route.frames
        return found


def build(settings: FeedSettings) -> Binance:
    """The exchange at the configured addresses. Raises ConfigError for one that can never work."""
    for name, schemes in ADDRESSES.items():
        url = getattr(settings, name)
        parts = urlsplit(url)
        if parts.scheme not in schemes or not parts.hostname:
            raise ConfigError(f"P95_{name.upper()}: {url!r} is not {' or '.join(one + '://host' for one in schemes)}")
    # A proxy of the environment must not stand between us and our own paper exchange.
    return Binance(settings.exchange_rest_url, settings.exchange_ws_url, trust_env=settings.mode != "paper")
