"""What a person may ask for, checked before anything is written to a stream."""

import math
import re
from typing import Final, Literal

import msgspec

from phoenix95.common.events import Request, Side
from phoenix95.common.ids import StreamId

HOLD_MS_MIN: Final = 1_000
HOLD_MS_MAX: Final = 7 * 24 * 3_600_000  # a week: longer is no trade of this system but an investment
SIDES: Final[dict[str, Side]] = {"buy": "BUY", "long": "BUY", "sell": "SELL", "short": "SELL"}

_SYMBOL: Final = re.compile(r"[A-Z0-9]{2,30}(_[0-9]{6})?")
_STREAM_ID: Final = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")


class Refused(ValueError):
    """A request that cannot be right. `field` names what is wrong with it, None for the whole."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(reason if field is None else f"{field}: {reason}")
        self.field = field
        self.reason = reason


class ExecuteBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /api/execute` takes. `confidence` in [0, 1]; `hold_ms` is the time barrier in exchange ms.

    Prices are in quote currency. Explicit `stop_loss`, `take_profit` and `hold_ms` replace the engine's own.
    """

    symbol: str
    action: Literal["buy", "sell", "long", "short"]
    price: float | None = None
    confidence: float | None = None
    rsi: float | None = None
    macd: float | None = None
    volume: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    hold_ms: int | None = None


class RequestName(msgspec.Struct, frozen=True):
    """A request's public name. Stream ids are unique within a symbol only, so the name carries both."""

    symbol: str
    entry_id: str

    def __str__(self) -> str:
        return f"{self.symbol}-{self.entry_id}"


def checked_symbol(text: str) -> str:
    """The exchange's spelling of a symbol: `btcusdt` is `BTCUSDT`. Raises Refused for what is no symbol at all."""
    symbol = text.upper() if text.isascii() else text
    if not _SYMBOL.fullmatch(symbol):
        raise Refused("symbol", "not a symbol; one looks like BTCUSDT")
    return symbol


def parse_request_name(text: str) -> RequestName:
    """Read `BTCUSDT-1721385600000-0`. Raises Refused for anything else."""
    symbol, _, entry_id = text.partition("-")
    if not _SYMBOL.fullmatch(symbol) or not _STREAM_ID.fullmatch(entry_id):
        raise Refused("request_id", "not a request id; one looks like BTCUSDT-1721385600000-0")
    entry = StreamId.parse(entry_id)
    if max(entry) >= 2**64:
        raise Refused("request_id", "not a request id: its numbers are too large")
    return RequestName(symbol, str(entry))


def as_request(body: ExecuteBody, now_ms: int) -> Request:
    """The event for a checked body, asked at exchange time `now_ms`. Raises Refused naming the field."""
    side = SIDES[body.action]
    _within("price", body.price, low=0.0, open_low=True)
    _within("confidence", body.confidence, low=0.0, high=1.0)
    _within("rsi", body.rsi, low=0.0, high=100.0)
    _within("macd", body.macd)
    _within("volume", body.volume, low=0.0)
    _within("stop_loss", body.stop_loss, low=0.0, open_low=True)
    _within("take_profit", body.take_profit, low=0.0, open_low=True)
    if body.hold_ms is not None and not HOLD_MS_MIN <= body.hold_ms <= HOLD_MS_MAX:
        raise Refused("hold_ms", f"must be from {HOLD_MS_MIN} to {HOLD_MS_MAX}")
    _ordered(side, body.stop_loss, body.price, body.take_profit)
    return Request(
        symbol=checked_symbol(body.symbol),
        requested_at=now_ms,
        side=side,
        price=body.price,
        confidence=body.confidence,
        rsi=body.rsi,
        macd=body.macd,
        volume=body.volume,
        trade=True,
        stop_loss=body.stop_loss,
        take_profit=body.take_profit,
        hold_ms=body.hold_ms,
    )


def _within(
    field: str, value: float | None, *, low: float = -math.inf, high: float = math.inf, open_low: bool = False
) -> None:
    if value is None:
        return
    if not math.isfinite(value):
        raise Refused(field, "must be a finite number")
    if value < low or (open_low and value == low):
        raise Refused(field, f"must be {'above' if open_low else 'at least'} {low:g}")
    if value > high:
        raise Refused(field, f"must be at most {high:g}")


def _ordered(side: Side, stop: float | None, price: float | None, target: float | None) -> None:
    """A stop lies on the losing side of the price and a target on the winning one; each pair that is given counts."""
    sign = 1 if side == "BUY" else -1
    words = ("below", "above") if side == "BUY" else ("above", "below")
    if stop is not None and price is not None and sign * (price - stop) <= 0:
        raise Refused("stop_loss", f"must be {words[0]} the price")
    if target is not None and price is not None and sign * (target - price) <= 0:
        raise Refused("take_profit", f"must be {words[1]} the price")
    if stop is not None and target is not None and sign * (target - stop) <= 0:
        raise Refused("stop_loss", f"must be {words[0]} take_profit")
