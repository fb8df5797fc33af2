"""The state of the connection to the exchange, from what a source says of itself."""

from collections.abc import Iterable, Mapping
from typing import Final

from phoenix95.common.events import FeedStatus

CONNECTED: Final = "connected"
CONNECTIONS: Final = "_connections"  # a route's counter is <route>_connections
FRAMES: Final = "_frames"


def status_of(facts: Mapping[str, float], reason: str | None, symbols: Iterable[str]) -> FeedStatus:
    """What the heartbeat tells. A source that has no fact `connected` is connected when it misses nothing."""
    made = [int(value) for name, value in facts.items() if name.endswith(CONNECTIONS)]
    return FeedStatus(
        connected=bool(facts.get(CONNECTED, reason is None)),
        reason=reason,
        symbols=tuple(sorted(symbols)),
        connections=sum(made),
        reconnects=sum(max(0, count - 1) for count in made),
        frames=sum(int(value) for name, value in facts.items() if name.endswith(FRAMES)),
    )
