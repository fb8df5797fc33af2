"""A trade that a person decided on, checked before it becomes a command."""

from decimal import Decimal
from typing import Final, Literal

import msgspec

from phoenix95.common.events import PlaceTrade, Side
from phoenix95.common.money import plain
from phoenix95.gateway.core.asking import SIDES, Refused, checked_hold, checked_symbol

LEVERAGE_MAX: Final = 125  # the exchange's own; the gates allow less
NUMBER_MAX: Final = Decimal(10) ** 12
PLACES_MAX: Final = 18  # decimal places; the exchange knows eight


class TradeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /api/manual_trade` takes: exactly one of `amount`, in base units, and `equity_fraction`, the trade's
    notional over the account's equity. Numbers may be JSON numbers or decimal strings.

    Without `stop_loss` the stop lies at the executor's default distance, without `take_profit` there is no target,
    without `hold_ms` (exchange ms) the trade ends after a week at the latest.
    """

    symbol: str
    side: Literal["buy", "sell", "long", "short"]
    amount: Decimal | None = None
    equity_fraction: Decimal | None = None
    leverage: int = 1
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    hold_ms: int | None = None


def as_command(body: TradeBody, now_ms: int, ttl_ms: int) -> PlaceTrade:
    """The command of a checked body, asked at exchange time `now_ms`. Raises Refused naming the field."""
    side = SIDES[body.side]
    if (body.amount is None) == (body.equity_fraction is None):
        raise Refused("amount", "give either amount, in base units, or equity_fraction, a share of equity")
    for field in ("amount", "equity_fraction", "stop_loss", "take_profit"):
        _sensible(field, getattr(body, field))
    if body.equity_fraction is not None and body.equity_fraction > 1:
        raise Refused("equity_fraction", "must be at most 1; it is the notional as a share of equity")
    if not 1 <= body.leverage <= LEVERAGE_MAX:
        raise Refused("leverage", f"must be from 1 to {LEVERAGE_MAX}")
    checked_hold(body.hold_ms)
    _stop_before_target(side, body.stop_loss, body.take_profit)
    return PlaceTrade(
        symbol=checked_symbol(body.symbol),
        side=side,
        requested_at=now_ms,
        expires_at=now_ms + ttl_ms,
        leverage=body.leverage,
        amount=_text(body.amount),
        equity_fraction=_text(body.equity_fraction),
        stop_loss=_text(body.stop_loss),
        take_profit=_text(body.take_profit),
        hold_ms=body.hold_ms,
    )


def _sensible(field: str, value: Decimal | None) -> None:
    """The exponent too: 1E-999999 would be a megabyte of zeros when written out."""
    if value is None:
        return
    if not value.is_finite():
        raise Refused(field, "must be a finite number")
    if value <= 0:
        raise Refused(field, "must be above 0")
    exponent = value.as_tuple().exponent
    if value >= NUMBER_MAX or not isinstance(exponent, int) or exponent < -PLACES_MAX:
        raise Refused(field, f"must be under 10^12 and have at most {PLACES_MAX} decimal places")


def _stop_before_target(side: Side, stop: Decimal | None, target: Decimal | None) -> None:
    if stop is None or target is None:
        return
    if stop >= target if side == "BUY" else stop <= target:
        raise Refused("stop_loss", f"must be {'below' if side == 'BUY' else 'above'} take_profit")


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
