"""Who gets which frame. Frames of one turn of the market go out in one write a connection."""

from collections.abc import Iterable
from typing import Final

from phoenix95.paper.core.control import Subscriptions
from phoenix95.paper.core.routes import PRIVATE, served_on
from phoenix95.paper.ws.framing import text_frame

BACKLOG_MAX: Final = 16 << 20  # bytes that a slow consumer may have waiting, then it is cut off as on the exchange
BY_NAME_ONLY: Final = ("TRADE_LITE",)  # events that only those get who ask for them with `events=`
QUEUE_MAX: Final = 20_000


class Link:
    """One connection as the hub sees it: what it is subscribed to and what waits to be written."""

    def __init__(self, route: str, subscriptions: Subscriptions, listen_key: str, events: tuple[str, ...] = ()) -> None:
        self.route = route
        self.subscriptions = subscriptions
        self.listen_key = listen_key
        self.events = events
        self.waiting: list[bytes] = []

    def is_private(self, key: str, kind: str) -> bool:
        """Whether events of this kind of a listen key's user stream go here."""
        if self.route != PRIVATE or not (self.listen_key == key or key in self.subscriptions.streams):
            return False
        return kind in self.events if self.events or kind in BY_NAME_ONLY else True


class Hub:
    """Routes frames to links. `wanted` is the set of streams that anybody gets frames of."""

    def __init__(self) -> None:
        self.links: set[Link] = set()
        self._by_stream: dict[str, list[Link]] = {}
        self.sent = 0

    def changed(self) -> None:
        """Links or their subscriptions changed: work out anew who gets what."""
        self._by_stream = {}
        for link in self.links:
            for stream in link.subscriptions.streams:
                if served_on(stream) == link.route:
                    self._by_stream.setdefault(stream, []).append(link)

    def wants(self, stream: str) -> bool:
        """Whether anybody gets this stream."""
        return stream in self._by_stream

    def wants_all(self, streams: Iterable[str]) -> bool:
        """Whether each of these streams is got by somebody."""
        return all(stream in self._by_stream for stream in streams)

    def publish(self, stream: str, payload: bytes) -> None:
        """Queue a frame of a public stream."""
        links = self._by_stream.get(stream)
        if not links:
            return
        raw = wrapped = b""
        for link in links:
            if link.subscriptions.combined:
                wrapped = wrapped or text_frame(b'{"stream":"%b","data":%b}' % (stream.encode(), payload))
                link.waiting.append(wrapped)
            else:
                raw = raw or text_frame(payload)
                link.waiting.append(raw)
            self.sent += 1

    def publish_private(self, key: str, kind: str, payload: bytes) -> None:
        """Queue an event of the user stream."""
        for link in self.links:
            if link.is_private(key, kind):
                if link.subscriptions.combined:
                    payload_out = b'{"stream":"%b","data":%b}' % (key.encode(), payload)
                else:
                    payload_out = payload
                link.waiting.append(text_frame(payload_out))
                self.sent += 1
