"""A symbol's market at the moment of decision, from the feed's price hash."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from phoenix95.common.money import exact


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """Prices are None when nobody knows them, the times are exchange ms of when each was true, None: not told."""

    last: Decimal | None = None
    last_ms: int | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    book_ms: int | None = None
    mark: Decimal | None = None
    mark_ms: int | None = None

    @property
    def lowest(self) -> Decimal | None:
        """The lowest price that the exchange may value an order at, None when no price is known."""
        return min((one for one in (self.last, self.bid, self.mark) if one is not None), default=None)


def market_of(fields: Mapping[str, str]) -> Market:
    """Read the hash. What is missing, no number, or not above 0 is not known."""
    return Market(
        last=_price(fields, "price"),
        last_ms=_time(fields, "trade_time"),
        bid=_price(fields, "bid"),
        ask=_price(fields, "ask"),
        book_ms=_time(fields, "book_time"),
        mark=_price(fields, "mark"),
        mark_ms=_time(fields, "mark_time"),
    )


def age_problem(what: str, time_ms: int | None, *, now_ms: int, age_max_ms: int, lead_max_ms: int) -> str | None:
    """Why news of `time_ms` must not be relied on, or None. What comes from the future is as doubtful as the old."""
    if time_ms is None:
        return f"{what}: none is known"
    age_ms = now_ms - time_ms
    if age_ms > age_max_ms:
        return f"{what}: {age_ms} ms old"
    return f"{what}: {-age_ms} ms in the future" if age_ms < -lead_max_ms else None


def _price(fields: Mapping[str, str], name: str) -> Decimal | None:
    try:
        value = exact(fields.get(name, ""))
    except ValueError:
        return None
    return value if value > 0 else None


def _time(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
