"""What a market source hands over: something that happened on one symbol at a moment of exchange time."""

from typing import Final, NamedTuple

import msgspec

from phoenix95.paper.core.frames import AggTrade, BookTicker


class Emission(NamedTuple):
    """One public event. `payload` is the data of its websocket frame, sent as it is at exchange time `ms`."""

    ms: int
    symbol: str
    body: AggTrade | BookTicker
    payload: bytes


_encoder: Final = msgspec.json.Encoder()


def agg_payload(trade: AggTrade) -> bytes:
    """The payload of an aggregate trade as the exchange sends it; `nq` is the quantity without RPI orders."""
    return _encoder.encode(
        {
            "e": "aggTrade",
            "E": trade.E,
            "a": trade.a,
            "s": trade.s,
            "p": trade.p,
            "q": trade.q,
            "nq": trade.q,
            "f": trade.f,
            "l": trade.l,
            "T": trade.T,
            "m": trade.m,
            "st": 1,
        }
    )


def book_payload(book: BookTicker) -> bytes:
    """The payload of the best bid and ask as the exchange sends it."""
    return _encoder.encode(
        {
            "e": "bookTicker",
            "u": book.u,
            "s": book.s,
            "ps": book.s,
            "b": book.b,
            "B": book.B,
            "a": book.a,
            "A": book.A,
            "T": book.T,
            "E": book.E,
            "st": 1,
        }
    )
