"""One-minute bars from trades, and longer ones from shorter ones."""

from collections.abc import Iterable, Mapping
from typing import Final

from phoenix95.common.money import SCALE, scaled
from phoenix95.paper.core.frames import AggTrade
from phoenix95.paper.core.source import ClosedBar

MINUTE_MS: Final = 60_000
INTERVALS: Final[Mapping[str, int]] = {
    name: minutes * MINUTE_MS
    for name, minutes in {
        "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480,
        "12h": 720, "1d": 1440, "3d": 4320,
    }.items()
}  # fmt: skip


class BarFold:
    """Folds trades into the minute that is open. A minute without trades has no bar."""

    def __init__(self) -> None:
        self.open: ClosedBar | None = None

    def add(self, trade: AggTrade) -> ClosedBar | None:
        """Take a trade; return the bar that it closes by belonging to a later minute."""
        open_ms = trade.T - trade.T % MINUTE_MS
        price, quantity = scaled(trade.p), scaled(trade.q)
        quote = price * quantity // SCALE
        bought, bought_quote = (0, 0) if trade.m else (quantity, quote)
        count = trade.l - trade.f + 1
        held = self.open
        if held is not None and open_ms <= held.open_ms:
            self.open = ClosedBar(
                held.open_ms,
                held.open,
                max(held.high, price),
                min(held.low, price),
                price,
                held.volume + quantity,
                held.quote_volume + quote,
                held.trades + count,
                held.taker_volume + bought,
                held.taker_quote + bought_quote,
            )
            return None
        self.open = ClosedBar(open_ms, price, price, price, price, quantity, quote, count, bought, bought_quote)
        return held


def joined(bars: Iterable[ClosedBar], interval_ms: int) -> list[ClosedBar]:
    """One-minute bars, the oldest first, joined into bars of an interval."""
    made: list[ClosedBar] = []
    for bar in bars:
        open_ms = bar.open_ms - bar.open_ms % interval_ms
        if made and made[-1].open_ms == open_ms:
            last = made[-1]
            made[-1] = ClosedBar(
                open_ms,
                last.open,
                max(last.high, bar.high),
                min(last.low, bar.low),
                bar.close,
                last.volume + bar.volume,
                last.quote_volume + bar.quote_volume,
                last.trades + bar.trades,
                last.taker_volume + bar.taker_volume,
                last.taker_quote + bar.taker_quote,
            )
        else:
            made.append(bar._replace(open_ms=open_ms))
    return made


def kline(bar: ClosedBar, interval_ms: int, price_digits: int, quantity_digits: int) -> list[object]:
    """A bar as `GET /fapi/v1/klines` tells it."""
    return [
        bar.open_ms,
        *(written(price, price_digits) for price in (bar.open, bar.high, bar.low, bar.close)),
        written(bar.volume, quantity_digits),
        bar.open_ms + interval_ms - 1,
        written(bar.quote_volume, 8),
        bar.trades,
        written(bar.taker_volume, quantity_digits),
        written(bar.taker_quote, 8),
        "0",
    ]


def written(units: int, digits: int) -> str:
    """A number of 1e-8 units with so many decimal places (the rest is cut)."""
    whole, fraction = divmod(units, SCALE)
    return f"{whole}.{fraction:08d}"[: -(8 - digits) or None].rstrip(".")
