"""Who may call what: the key header, the signature over what was sent, and the time it was sent."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from phoenix95.paper.core.codes import RefusedError

RECV_WINDOW_MS: Final = 5000
AHEAD_MS: Final = 1000  # a timestamp may be this far in the exchange's future
SIGNATURE: Final = b"signature="


def check_key(given: str, expected: str) -> None:
    """Raises -2014 without a key and -2015 for another one."""
    if not given or not given.isascii():
        raise RefusedError(-2014)
    if not hmac.compare_digest(given, expected):
        raise RefusedError(-2015)


def check_signature(query: bytes, body: bytes, secret: str) -> None:
    """Raises -1102 without a signature and -1022 when it is not the HMAC-SHA256 of query and body as sent."""
    given: list[bytes] = []
    signed = b"".join(_unsigned(part, given) for part in (query, body))
    if not given:
        raise RefusedError(-1102, "signature")
    expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(given[-1].lower(), expected.encode()):
        raise RefusedError(-1022)


def check_time(params: Mapping[str, str], now_ms: int) -> None:
    """Raises -1021 when the request is too old by its own recvWindow, or from the future."""
    try:
        timestamp = int(params["timestamp"])
    except (KeyError, ValueError):
        raise RefusedError(-1102, "timestamp") from None
    try:
        window = int(float(params.get("recvWindow") or RECV_WINDOW_MS))
    except (ValueError, OverflowError):
        raise RefusedError(-1130, "recvWindow") from None
    if window <= 0:
        raise RefusedError(-1130, "recvWindow")
    if timestamp >= now_ms + AHEAD_MS or now_ms - timestamp > window:
        raise RefusedError(-1021)


def _unsigned(part: bytes, given: list[bytes]) -> bytes:
    """The part without its signature, which is put into `given`."""
    kept = []
    for piece in part.split(b"&"):
        if piece.startswith(SIGNATURE):
            given.append(piece.removeprefix(SIGNATURE))
        else:
            kept.append(piece)
    return b"&".join(kept)
