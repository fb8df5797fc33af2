"""What a person may ask for, checked before anything is written to a stream."""

import math
import re
from typing import Final, Literal

import msgspec

from phoenix95.common.events import Request, Side
from phoenix95.common.ids import StreamId

HOLD_MS_MIN: Final = 1_000
HOLD_MS_MAX: Final = 7 * 24 * 3_600_000  # a week: longer is no trade of this system but an investment
WORDS_MAX: Final = 64  # characters of a name that a signal gives to something
SIDES: Final[dict[str, Side]] = {"buy": "BUY", "long": "BUY", "sell": "SELL", "short": "SELL"}

_SYMBOL: Final = re.compile(r"[A-Z0-9]{2,30}(_[0-9]{6})?")
_STREAM_ID: Final = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")


class Refused(ValueError):
    """A request that cannot be right. `field` names what is wrong with it, None for the whole."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(reason if field is None else f"{field}: {reason}")
        self.field = field
        self.reason = reason


class _Signal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an outside signal may say. `confidence` and `ml_confidence` in [0, 1]; `price` in quote currency.

    `timestamp` is the signal's own time: ms since 1970, or ISO 8601 with a time zone. It and what follows it are kept
    with the request and not weighed by the engine.
    """

    symbol: str
    price: float | None = None
    confidence: float | None = None
    rsi: float | None = None
    macd: float | None = None
    volume: float | None = None
    timestamp: int | str | None = None
    alpha_score: float | None = None
    z_score: float | None = None
    ml_signal: str | None = None
    ml_confidence: float | None = None
    strategy: str | None = None
    timeframe: str | None = None


class AnalyzeBody(_Signal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /api/analyze` takes. Without `action` the engine says which side it would take, if any."""

    action: Literal["buy", "sell", "long", "short"] | None = None


class ExecuteBody(_Signal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /api/execute` takes. `hold_ms` is the time barrier in exchange ms.

    Explicit `stop_loss`, `take_profit` (prices in quote currency) and `hold_ms` replace the engine's own.
    """

    action: Literal["buy", "sell", "long", "short"]
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
    return RequestName(symbol, _checked_id("request_id", entry_id))


def parse_command_id(text: str) -> str:
    """Read `1721385600000-0`. Raises Refused for anything else."""
    if not _STREAM_ID.fullmatch(text):
        raise Refused("command_id", "not a command id; one looks like 1721385600000-0")
    return _checked_id("command_id", text)


def parse_stream_id(field: str, text: str) -> str:
    """Read `1721385600000-0`, or `1721385600000` for the first of that millisecond. Raises Refused naming the field."""
    if _STREAM_ID.fullmatch(text):
        return _checked_id(field, text)
    if _STREAM_ID.fullmatch(f"{text}-0"):
        return _checked_id(field, f"{text}-0")
    raise Refused(field, "not an entry's id; one looks like 1721385600000-0")


def _checked_id(field: str, text: str) -> str:
    entry = StreamId.parse(text)
    if max(entry) >= 2**64:
        raise Refused(field, "its numbers are too large to be an id")
    return str(entry)


def as_request(body: ExecuteBody | AnalyzeBody, now_ms: int, signal_ms: int | None = None) -> Request:
    """The event for a checked body, asked at exchange time `now_ms`. Raises Refused naming the field.

    `signal_ms` is the body's `timestamp` in ms.
    """
    side = None if body.action is None else SIDES[body.action]
    trade = body if isinstance(body, ExecuteBody) else None
    stop, target, hold_ms = (trade.stop_loss, trade.take_profit, trade.hold_ms) if trade else (None, None, None)
    _within("price", body.price, low=0.0, open_low=True)
    _within("confidence", body.confidence, low=0.0, high=1.0)
    _within("rsi", body.rsi, low=0.0, high=100.0)
    _within("macd", body.macd)
    _within("volume", body.volume, low=0.0)
    _within("stop_loss", stop, low=0.0, open_low=True)
    _within("take_profit", target, low=0.0, open_low=True)
    _within("alpha_score", body.alpha_score)
    _within("z_score", body.z_score)
    _within("ml_confidence", body.ml_confidence, low=0.0, high=1.0)
    for field in ("ml_signal", "strategy", "timeframe"):
        if len(getattr(body, field) or "") > WORDS_MAX:
            raise Refused(field, f"must have at most {WORDS_MAX} characters")
    checked_hold(hold_ms)
    if side is not None:
        _ordered(side, stop, body.price, target)
    return Request(
        symbol=checked_symbol(body.symbol),
        requested_at=now_ms,
        side=side,
        price=body.price,
        confidence=body.confidence,
        rsi=body.rsi,
        macd=body.macd,
        volume=body.volume,
        trade=trade is not None,
        stop_loss=stop,
        take_profit=target,
        hold_ms=hold_ms,
        signal_ms=signal_ms,
        alpha_score=body.alpha_score,
        z_score=body.z_score,
        ml_signal=body.ml_signal,
        ml_confidence=body.ml_confidence,
        strategy=body.strategy,
        timeframe=body.timeframe,
    )


def checked_hold(hold_ms: int | None) -> None:
    """Raises Refused for a time barrier that is none."""
    if hold_ms is not None and not HOLD_MS_MIN <= hold_ms <= HOLD_MS_MAX:
        raise Refused("hold_ms", f"must be from {HOLD_MS_MIN} to {HOLD_MS_MAX}")


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
