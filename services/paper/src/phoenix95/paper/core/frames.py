"""Reading recorded lines: what the exchange sent, one frame a line, in either of two formats.

`<receive ns> {json}` and `<receive s>: {json}`, the JSON being a combined-stream frame or a bare payload.
The receive time is the recorder's clock and never used: the market's time is the frame's own `E`.
"""

from typing import Any, Final, NamedTuple

import msgspec

MARKET_TRADE: Final = "MARKET"
MS_END: Final = 10**14  # event times beyond the year 5000 are not milliseconds


class BookTicker(msgspec.Struct, gc=False):
    """Best bid and ask: `b`, `a` prices, `B`, `A` quantities, `u` the book's update id."""

    E: int
    s: str
    b: str
    B: str
    a: str
    A: str
    u: int = 0
    T: int = 0


class TradeFrame(msgspec.Struct, gc=False):
    """One trade; `X` other than MARKET (insurance fund) is not a market trade."""

    E: int
    T: int
    s: str
    t: int
    p: str
    q: str
    m: bool
    X: str = MARKET_TRADE


class AggTrade(msgspec.Struct, gc=False):
    """One aggregate trade: id `a`, price `p`, quantity `q`, trade ids `f` to `l`, time `T`, buyer is maker `m`."""

    E: int
    a: int
    s: str
    p: str
    q: str
    f: int
    l: int  # noqa: E741 - the exchange's own name
    T: int
    m: bool


class Frame(NamedTuple):
    """A decoded frame and the bytes of its payload, exactly as the exchange sent them."""

    kind: str
    body: BookTicker | TradeFrame | AggTrade
    payload: bytes


class _Envelope(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    e: str = ""


class _Event(msgspec.Struct):
    e: str = ""


_envelope: Final = msgspec.json.Decoder(_Envelope)
_event: Final = msgspec.json.Decoder(_Event)
_decoders: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "bookTicker": msgspec.json.Decoder(BookTicker),
    "trade": msgspec.json.Decoder(TradeFrame),
    "aggTrade": msgspec.json.Decoder(AggTrade),
}


class JunkError(ValueError):
    """A line that is no frame."""


def read_line(line: bytes) -> Frame | None:
    """The frame of a line; None for what is readable and of no use here (depth, klines, headers, blank lines).

    Raises JunkError for a line that is neither.
    """
    line = line.strip()
    start = line.find(b"{")
    if start < 0:
        if not line or b"://" in line:
            return None
        raise JunkError("no JSON object")
    if not _is_number(line[:start].strip().rstrip(b":")):
        if b"://" in line[:start]:
            return None
        raise JunkError("no receive time before the JSON")
    text = line[start:]
    try:
        envelope = _envelope.decode(text)
        payload = bytes(envelope.data) or text
        kind = (_event.decode(payload).e if envelope.data else envelope.e) or ""
        decoder = _decoders.get(kind)
        if decoder is None:
            return None
        return _sound(Frame(kind, decoder.decode(payload), payload))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JunkError(str(error)) from error


def _sound(frame: Frame) -> Frame:
    """The frame, when its numbers are plain positive decimals: a market cannot be run on others."""
    body = frame.body
    if isinstance(body, BookTicker):
        prices, others = [body.b, body.a], [body.B, body.A]
    else:
        prices, others = [body.p], [body.q]
    for text in (*prices, *others):
        if not text.isascii() or not text.replace(".", "", 1).isdigit():
            raise JunkError(f"{text!r} is not a plain number")
    if not 0 < body.E < MS_END or not 0 <= body.T < MS_END:
        raise JunkError(f"{body.E} is not a time in ms")
    if any(not text.strip("0.") for text in prices):
        raise JunkError("a price of zero")
    return frame


def _is_number(text: bytes) -> bool:
    return text.replace(b".", b"", 1).isdigit()
