"""What Binance USD-M sends on its combined streams, decoded and checked; nothing unchecked leaves this module.

Field names and types follow the exchange's documents (a single letter each, numbers of the market as strings).
Unknown fields are ignored, because the exchange adds some now and then.
"""

import re
from typing import Final

import msgspec

from phoenix95.common.errors import BadMessage

USD_M: Final = 1  # `st`: the exchange sends 2 for COIN-M; absent means USD-M on these paths
AGG_ID_MAX: Final = 2**55 - 1  # an output id multiplies it by 256 and must fit in 64 bits
TIME_MIN_MS: Final = 1_000_000_000_000  # 2001: an earlier time is not in ms
TIME_MAX_MS: Final = 4_102_444_800_000  # 2100: a later one would block a stream for good, its ids never go back
EVENT_LEAD_MS: Final = 1000  # a trade cannot be much younger than the frame that reports it

# A plain positive decimal: no sign, exponent, NaN, blank or underscore, all of which Python would take for a number.
_positive = re.compile(r"(?=[0-9.]*[1-9])[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII).fullmatch
_signed = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII).fullmatch


class AggTrade(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="aggTrade"):
    """An aggregate trade: `id` counts up by one for each, `time_ms` is when it happened."""

    event_ms: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    id: int = msgspec.field(name="a")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    time_ms: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")
    market: int = msgspec.field(name="st", default=USD_M)
    spot_only: bool | None = msgspec.field(name="M", default=None)


class BookTicker(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="bookTicker"):
    """Best bid and ask."""

    event_ms: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    bid: str = msgspec.field(name="b")
    bid_quantity: str = msgspec.field(name="B")
    ask: str = msgspec.field(name="a")
    ask_quantity: str = msgspec.field(name="A")
    market: int = msgspec.field(name="st", default=USD_M)


class Ticker(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="24hrTicker"):
    """24 hours rolling. The exchange's `p` is the change and its `P` the change in percent."""

    event_ms: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    change: str = msgspec.field(name="p")
    change_percent: str = msgspec.field(name="P")
    last: str = msgspec.field(name="c")
    high: str = msgspec.field(name="h")
    low: str = msgspec.field(name="l")
    volume: str = msgspec.field(name="v")
    market: int = msgspec.field(name="st", default=USD_M)


class MarkPrice(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="markPriceUpdate"):
    """Mark price and the funding rate that is due at `next_funding_ms`."""

    event_ms: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    mark: str = msgspec.field(name="p")
    funding: str = msgspec.field(name="r")
    next_funding_ms: int = msgspec.field(name="T")
    market: int = msgspec.field(name="st", default=USD_M)


Data = AggTrade | BookTicker | Ticker | MarkPrice


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A frame of a combined stream: either `data` of `stream`, or the answer to our request `id`."""

    stream: str = ""
    data: Data | None = None
    id: int | str | None = None
    code: int | None = None
    msg: str = ""


_envelope = msgspec.json.Decoder(Envelope)


def is_positive(text: str) -> bool:
    """Whether a text is a plain positive decimal number, as the exchange writes prices."""
    return _positive(text) is not None


def decode(frame: bytes | str, source: str) -> Envelope:
    """Read one frame, well-formed but not checked yet. Raises BadMessage, which names `source` and the reason."""
    try:
        envelope = _envelope.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(source, f"unreadable frame: {error}") from error
    if envelope.data is None and envelope.id is None and envelope.code is None:
        raise BadMessage(source, "frame has neither data nor an answer")
    return envelope


def fault_of_trade(trade: AggTrade, latest_ms: int = TIME_MAX_MS) -> str | None:
    """Return why a trade is not believed, or None. `latest_ms` is the latest time that is plausible now."""
    if trade.market != USD_M or trade.spot_only is not None:
        return "not a USD-M market"
    if not _positive(trade.price):
        return f"price {trade.price[:40]!r}"
    if not _positive(trade.quantity):
        return f"quantity {trade.quantity[:40]!r}"
    if not 1 <= trade.id <= AGG_ID_MAX:
        return f"trade id {trade.id}"
    if not TIME_MIN_MS <= trade.time_ms <= min(latest_ms, trade.event_ms + EVENT_LEAD_MS):
        return f"time {trade.time_ms}"
    return None


def fault_of(data: Data, latest_ms: int = TIME_MAX_MS) -> str | None:
    """Return why a frame's data is not believed, or None to let it pass."""
    if isinstance(data, AggTrade):
        return fault_of_trade(data, latest_ms)
    if data.market != USD_M:
        return "not a USD-M market"
    if not TIME_MIN_MS <= data.event_ms <= latest_ms:
        return f"time {data.event_ms}"
    if isinstance(data, BookTicker):
        return _fault_of_book(data)
    if isinstance(data, MarkPrice):
        return None if _positive(data.mark) and _signed(data.funding) else "mark price or funding is not a number"
    positive = (data.last, data.high, data.low)
    if not all(map(_positive, positive)) or not all(map(_signed, (data.change, data.change_percent, data.volume))):
        return "ticker is not made of numbers"
    return None


def _fault_of_book(book: BookTicker) -> str | None:
    if not (_positive(book.bid) and _positive(book.ask)):
        return "bid or ask is not a positive number"
    if not (_signed(book.bid_quantity) and _signed(book.ask_quantity)):
        return "bid or ask quantity is not a number"
    return "bid above ask" if float(book.bid) > float(book.ask) else None
