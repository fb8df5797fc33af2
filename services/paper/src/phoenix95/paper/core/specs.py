"""The rules of each symbol: price and quantity steps, smallest order, leverage brackets."""

from collections.abc import Iterable
from decimal import ROUND_UP, Decimal
from functools import cache
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from phoenix95.common.money import plain

DEFAULT_SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "XRPUSDT")
QUOTES: Final = ("USDT", "USDC", "BUSD")
MIN_NOTIONAL: Final = {"BTCUSDT": Decimal(100), "ETHUSDT": Decimal(20)}
MIN_NOTIONAL_OTHERS: Final = Decimal(5)
TAKER_FEE: Final = Decimal("0.0005")
MAKER_FEE: Final = Decimal("0.0002")
FUNDING_RATE: Final = Decimal("0.0001")
MAJORS: Final = frozenset({"BTCUSDT", "ETHUSDT"})
MARKET_NOTIONAL_MAX: Final = Decimal(10_000_000)  # sizes the largest market order of a symbol
LEVEL_NOTIONAL: Final = Decimal(25_000)
LIQUIDATION_FEE: Final = Decimal("0.0125")
DIGITS_MAX: Final = 8

# symbol: (first price of the synthetic market, tick, step)
_KNOWN: Final = {
    "BTCUSDT": ("96000", "0.10", "0.001"),
    "ETHUSDT": ("3400", "0.01", "0.001"),
    "BNBUSDT": ("690", "0.010", "0.01"),
    "SOLUSDT": ("190", "0.0100", "0.01"),
    "XRPUSDT": ("2.4", "0.0001", "0.1"),
    "ADAUSDT": ("0.95", "0.00010", "1"),
    "DOGEUSDT": ("0.35", "0.000010", "1"),
}
# (largest notional of the bracket, largest leverage, maintenance margin rate): the exchange's own tables
_MAJOR_BRACKETS: Final = (
    (50_000, 125, "0.004"),
    (600_000, 100, "0.005"),
    (3_000_000, 75, "0.0065"),
    (12_000_000, 50, "0.01"),
    (50_000_000, 25, "0.02"),
    (65_000_000, 20, "0.025"),
    (150_000_000, 10, "0.05"),
    (320_000_000, 5, "0.1"),
    (400_000_000, 4, "0.125"),
    (530_000_000, 3, "0.15"),
    (800_000_000, 2, "0.25"),
    (1_200_000_000, 1, "0.5"),
)
_OTHER_BRACKETS: Final = (
    (10_000, 75, "0.005"),
    (50_000, 50, "0.01"),
    (100_000, 40, "0.015"),
    (500_000, 25, "0.02"),
    (1_000_000, 20, "0.025"),
    (5_000_000, 10, "0.05"),
    (10_000_000, 5, "0.1"),
    (20_000_000, 4, "0.125"),
    (30_000_000, 2, "0.25"),
    (50_000_000, 1, "0.5"),
)


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One perpetual. `start_price` is where a synthetic market begins; a recorded one brings its own."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    step: Decimal
    min_notional: Decimal
    start_price: Decimal

    @property
    def price_digits(self) -> int:
        return digits_of(self.tick)

    @property
    def quantity_digits(self) -> int:
        return digits_of(self.step)

    @property
    def market_quantity_max(self) -> Decimal:
        """Of one market order: about ten million of quote currency, a round number of steps."""
        raw = MARKET_NOTIONAL_MAX / self.start_price
        return (Decimal(1).scaleb(max(raw.adjusted(), -self.quantity_digits))).quantize(self.step)

    @property
    def limit_quantity_max(self) -> Decimal:
        """Of one limit order: ten times that."""
        return self.market_quantity_max * 10

    @property
    def level_quantity(self) -> Decimal:
        """What a level of the synthetic book holds at least, about LEVEL_NOTIONAL of quote currency."""
        return max(self.step, (LEVEL_NOTIONAL / self.start_price).quantize(self.step, ROUND_UP))


class Bracket(NamedTuple):
    """Notional in [floor, cap) needs `rate` of it as maintenance margin, less `cum`; leverage at most `leverage`."""

    number: int
    floor: Decimal
    cap: Decimal
    leverage: int
    rate: Decimal
    cum: Decimal


def digits_of(step: Decimal) -> int:
    """Decimal places that the exchange writes: those of the step as it is spelled, two for `0.10`."""
    exponent = step.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def spec_of(symbol: str) -> Spec:
    """The rules of a symbol of the synthetic market. Raises ValueError for a name that is no perpetual's."""
    base, quote = split(symbol)
    price, tick, step = _KNOWN.get(symbol) or _invented(symbol)
    return Spec(
        symbol=symbol,
        base=base,
        quote=quote,
        tick=Decimal(tick),
        step=Decimal(step),
        min_notional=MIN_NOTIONAL.get(symbol, MIN_NOTIONAL_OTHERS),
        start_price=Decimal(price),
    )


def recorded_spec(symbol: str, prices: Iterable[str], quantities: Iterable[str], first: str) -> Spec:
    """The rules that a recording shows: the coarsest power of ten that every price and quantity is a multiple of."""
    base, quote = split(symbol)
    return Spec(
        symbol=symbol,
        base=base,
        quote=quote,
        tick=_written_step(prices),
        step=_written_step(quantities),
        min_notional=MIN_NOTIONAL.get(symbol, MIN_NOTIONAL_OTHERS),
        start_price=Decimal(first),
    )


def split(symbol: str) -> tuple[str, str]:
    """Base and quote of a symbol. Raises ValueError for a name that is no perpetual's."""
    for quote in QUOTES:
        base = symbol.removesuffix(quote)
        if base != symbol and base and symbol.isascii() and symbol.isalnum() and symbol == symbol.upper():
            return base, quote
    raise ValueError(f"{symbol!r} is not a symbol like BTCUSDT")


def brackets_of(symbol: str) -> tuple[Bracket, ...]:
    """The maintenance margin tiers; `cum` makes the margin continuous across them."""
    return _tiers(symbol in MAJORS)


@cache
def _tiers(major: bool) -> tuple[Bracket, ...]:
    table = _MAJOR_BRACKETS if major else _OTHER_BRACKETS
    made: list[Bracket] = []
    floor, cum, below = Decimal(0), Decimal(0), Decimal(0)
    for number, (cap, leverage, text) in enumerate(table, 1):
        rate = Decimal(text)
        cum += floor * (rate - below)
        made.append(Bracket(number, floor, Decimal(cap), leverage, rate, cum))
        floor, below = Decimal(cap), rate
    return tuple(made)


def bracket_at(symbol: str, notional: Decimal) -> Bracket:
    """The tier of a notional; beyond the last cap it is the last one."""
    tiers = brackets_of(symbol)
    return next((tier for tier in tiers if notional < tier.cap), tiers[-1])


def notional_max(symbol: str, leverage: int) -> Decimal:
    """The largest notional that a position may have at a leverage."""
    return max((tier.cap for tier in brackets_of(symbol) if tier.leverage >= leverage), default=Decimal(0))


def _invented(symbol: str) -> tuple[str, str, str]:
    """A stable price between 0.1 and 100 for a symbol nobody listed, with steps of a fitting size."""
    draw = int.from_bytes(blake2b(symbol.encode(), digest_size=4).digest(), "big") / 2**32
    price = Decimal(10) ** (Decimal(draw) * 3 - 1)
    tick = Decimal(1).scaleb(price.adjusted() - 4)
    step = Decimal(1).scaleb(-max(0, 1 + price.adjusted()))
    return str(price.quantize(tick)), format(tick, "f"), format(step, "f")


def _written_step(numbers: Iterable[str]) -> Decimal:
    """The largest power of ten (at most 1) that divides all, written with the recording's own decimal places."""
    places, needed = 0, 0
    for text in numbers:
        fraction = text.partition(".")[2][:DIGITS_MAX]
        places = max(places, len(fraction))
        needed = max(needed, len(fraction.rstrip("0")))
    return Decimal(plain(Decimal(1).scaleb(-needed))).quantize(Decimal(1).scaleb(-places))
