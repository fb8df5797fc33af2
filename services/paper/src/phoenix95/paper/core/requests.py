"""What a request for an order must say, checked in the exchange's manner and with its codes."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, cast

from phoenix95.common.money import exact, plain
from phoenix95.paper.core.account import Account
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.orders import Wanted
from phoenix95.paper.core.position import PositionSide, Side
from phoenix95.paper.core.specs import Spec

CLIENT_ID: Final = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")
CONDITIONAL: Final = ("STOP_MARKET", "TAKE_PROFIT_MARKET", "STOP", "TAKE_PROFIT", "TRAILING_STOP_MARKET")
CLOSING_ALL: Final = ("STOP_MARKET", "TAKE_PROFIT_MARKET")  # the types that may say closePosition
TIMES_IN_FORCE: Final = ("GTC", "IOC", "FOK", "GTX")
CALLBACK_MIN: Final = Decimal("0.1")
CALLBACK_MAX: Final = Decimal(20)
PRICE_MAX: Final = 1_000_000_000
PRICE_BAND: Final = Decimal("0.05")  # a limit price is within this share of the mark, on its own side
Params = Mapping[str, str]


def demand(params: Params, name: str) -> str:
    """A parameter that must be there. Raises -1102."""
    value = params.get(name, "")
    if not value:
        raise RefusedError(-1102, name)
    return value


def number(params: Params, name: str) -> Decimal:
    """A parameter that must be a finite number."""
    text = demand(params, name)
    try:
        return exact(text)
    except ValueError:
        raise RefusedError(-1102, name) from None


def flag(params: Params, name: str) -> bool:
    """A parameter that is true or false, false when it was not sent."""
    text = params.get(name, "false").lower()
    if text not in ("true", "false"):
        raise RefusedError(-1130, name)
    return text == "true"


def choice(params: Params, name: str, default: str, known: tuple[str, ...]) -> str:
    """A parameter that is one of a few words. Raises -1130."""
    word = params.get(name, default).upper()
    if word not in known:
        raise RefusedError(-1130, name)
    return word


def wanted(params: Params, spec: Spec, account: Account, *, client_id: str, id_name: str) -> Wanted:
    """The part that orders and conditional orders have in common."""
    side = demand(params, "side").upper()
    if side not in ("BUY", "SELL"):
        raise RefusedError(-1117)
    position_side = choice(params, "positionSide", "BOTH", ("BOTH", "LONG", "SHORT"))
    if (position_side == "BOTH") == account.hedge:
        raise RefusedError(-4061)
    closing = flag(params, "closePosition")
    if (account.hedge or closing) and "reduceOnly" in params:
        raise RefusedError(-1106, "reduceOnly")
    if closing and "quantity" in params:
        raise RefusedError(-1106, "quantity")
    if id_name in params and not CLIENT_ID.match(params[id_name]):
        raise RefusedError(-4015)
    limited = params.get("type", "").upper() in ("LIMIT", "STOP", "TAKE_PROFIT")
    largest = spec.limit_quantity_max if limited else spec.market_quantity_max
    return Wanted(
        symbol=spec.symbol,
        side=cast(Side, side),
        position_side=cast(PositionSide, position_side),
        quantity=None if closing else quantity_of(params, spec, largest),
        reduce_only=flag(params, "reduceOnly"),
        client_id=params.get(id_name) or client_id,
        price=price_of(params, "price", spec) if limited else None,
        time_in_force=time_in_force(params, "GTC") if limited else "GTC",
    )


def quantity_of(params: Params, spec: Spec, largest: Decimal) -> Decimal:
    """A quantity within the symbol's limits, on its step."""
    quantity = number(params, "quantity")
    if quantity <= 0:
        raise RefusedError(-4003)
    if quantity > largest:
        raise RefusedError(-4005)
    if quantity % spec.step.normalize():
        raise RefusedError(-1111)
    return quantity


def time_in_force(params: Params, default: str) -> str:
    """How long a limit order lives. Raises -1115."""
    word = params.get("timeInForce", default).upper()
    if word not in TIMES_IN_FORCE:
        raise RefusedError(-1115)
    return word


def price_of(params: Params, name: str, spec: Spec) -> Decimal:
    """A price on the symbol's tick: too many digits and off the tick are two different refusals."""
    price = number(params, name)
    if price <= 0:
        raise RefusedError(-4001 if name == "price" else -4006)
    if price > PRICE_MAX:
        raise RefusedError(-4002)
    if price % Decimal(1).scaleb(-spec.price_digits):
        raise RefusedError(-1111)
    if price % spec.tick.normalize():
        raise RefusedError(-4014)
    return price


def check_band(side: Side, price: Decimal, mark: Decimal) -> None:
    """Raises -4016 for a buyer far above the mark and -4024 for a seller far below it."""
    highest, lowest = mark * (1 + PRICE_BAND), mark * (1 - PRICE_BAND)
    if side == "BUY" and price > highest:
        raise RefusedError(-4016, plain(highest))
    if side == "SELL" and price < lowest:
        raise RefusedError(-4024, plain(lowest))


def check_notional(quantity: Decimal, price: Decimal, spec: Spec) -> None:
    """Raises -4164 for an opening order that is too small."""
    if quantity * price < spec.min_notional:
        raise RefusedError(-4164, format(spec.min_notional, "f"))


def callback_rate(params: Params) -> Decimal:
    """How far, in percent, a trailing stop lets the market come back. Raises -4137."""
    rate = number(params, "callbackRate")
    if not CALLBACK_MIN <= rate <= CALLBACK_MAX or rate % CALLBACK_MIN:
        raise RefusedError(-4137)
    return rate
