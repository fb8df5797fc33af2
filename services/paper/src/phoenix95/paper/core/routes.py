"""Which stream is served on which websocket path. On the wrong one everything succeeds and nothing comes."""

from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

PUBLIC: Final = "public"
MARKET: Final = "market"
PRIVATE: Final = "private"
LEGACY: Final = ""
KINDS: Final = {"aggTrade": MARKET, "ticker": MARKET, "markPrice@1s": MARKET, "markPrice": MARKET, "bookTicker": PUBLIC}


class Path(NamedTuple):
    """`combined` wraps each frame with the name of its stream; `streams` are subscribed from the start.

    `events` are the kinds of user events that are wanted; empty means the usual ones.
    """

    route: str
    combined: bool
    streams: tuple[str, ...]
    listen_key: str
    events: tuple[str, ...] = ()


def parse_path(target: str) -> Path | None:
    """Read the request target of a handshake; None for one that the exchange does not know."""
    parts = urlsplit(target)
    words = [word for word in parts.path.split("/") if word]
    route = LEGACY
    if words and words[0] in (PUBLIC, MARKET, PRIVATE):
        route = words.pop(0)
    if not words or words[0] not in ("ws", "stream"):
        return None
    combined = words[0] == "stream"
    query = parse_qs(parts.query)
    asked = "/".join(query.get("streams", [])) if combined else "/".join(words[1:])
    streams = tuple(name for name in asked.split("/") if name)
    events = tuple(name for name in "/".join(query.get("events", [])).split("/") if name)
    return Path(route, combined, streams, (query.get("listenKey") or [""])[0], events)


def served_on(stream: str) -> str | None:
    """The route whose connections get the frames of a stream; None for one that there is not."""
    return KINDS.get(stream.partition("@")[2])


def stream_of(symbol: str, kind: str) -> str:
    """The name of a symbol's stream, in lower case as the exchange has it."""
    return f"{symbol.lower()}@{kind}"
