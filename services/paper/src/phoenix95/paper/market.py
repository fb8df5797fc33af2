"""What is publicly known of each symbol now, and the streams that are derived from it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec

from phoenix95.common.money import SCALE
from phoenix95.paper.core.bars import MINUTE_MS, BarFold, written
from phoenix95.paper.core.emission import Emission
from phoenix95.paper.core.frames import BookTicker
from phoenix95.paper.core.funding import next_funding_ms
from phoenix95.paper.core.matching import Level, ladder
from phoenix95.paper.core.position import Side
from phoenix95.paper.core.source import ClosedBar
from phoenix95.paper.core.specs import FUNDING_RATE, Spec
from phoenix95.paper.core.tape import Tape
from phoenix95.paper.store import Day, Store

DAY_MS: Final = 24 * 60 * MINUTE_MS
ANY_TIME: Final = 1 << 60

_encode: Final = msgspec.json.Encoder().encode


class Market:
    """One symbol: best bid and ask, last trade, history. Nothing here is ahead of exchange time."""

    def __init__(self, spec: Spec, store: Store) -> None:
        self.spec = spec
        self.tape = Tape()
        self.bid: str | None = None
        self.ask: str | None = None
        self.bid_quantity = self.ask_quantity = "0"
        self.book_ms = 0
        self.update_id = 0
        self.last: str | None = None
        self.last_quantity = "0"
        self.last_trade_id = 0
        self.last_ms = 0
        self.funding_rate = FUNDING_RATE
        self._bars = BarFold()
        self._store = store
        self._day: Day | None = None
        self._day_minute = -1

    def apply(self, emission: Emission) -> None:
        """Take note of an event that is public now."""
        body = emission.body
        if isinstance(body, BookTicker):
            self.bid, self.bid_quantity = body.b, body.B
            self.ask, self.ask_quantity = body.a, body.A
            self.book_ms, self.update_id = body.E, body.u
            return
        self.last, self.last_quantity = body.p, body.q
        self.last_trade_id, self.last_ms = body.l, body.T
        self.tape.add(body)
        closed = self._bars.add(body)
        if closed is not None:
            self._store.save_bars(self.spec.symbol, [closed])

    def best(self, side: Side) -> Level | None:
        """What an order of this side meets first: the ask for a buyer, the bid for a seller, else the last trade."""
        price, quantity = (self.ask, self.ask_quantity) if side == "BUY" else (self.bid, self.bid_quantity)
        if price:
            return Level(Decimal(price), Decimal(quantity))
        return Level(Decimal(self.last), self.spec.level_quantity) if self.last else None

    def ladder(self, side: Side) -> Iterator[Level]:
        """The visible book on the other side of an order; empty before the first price."""
        best = self.best(side)
        return ladder(best, side, self.spec) if best else iter(())

    def last_price(self) -> Decimal:
        """The last trade, before the first one the symbol's first known price."""
        return Decimal(self.last) if self.last else self.spec.start_price

    def mark(self) -> Decimal:
        """The mark price: the middle of the book, else the last trade."""
        if self.bid and self.ask:
            return (Decimal(self.bid) + Decimal(self.ask)) / 2
        return self.last_price()

    def klines(self, start_ms: int | None, end_ms: int | None, limit: int) -> list[ClosedBar]:
        """One-minute bars by open time, the open one last. With a start the oldest, else the newest."""
        end = ANY_TIME if end_ms is None else end_ms
        bars = self._store.bars(self.spec.symbol, start_ms or 0, end, limit, newest=start_ms is None)
        held = self._bars.open
        if held is not None and (start_ms or 0) <= held.open_ms <= end:
            bars = [*(bar for bar in bars if bar.open_ms != held.open_ms), held]
        return bars[:limit] if start_ms is not None else bars[-limit:]

    def mark_payload(self, ms: int) -> bytes:
        """The `markPrice@1s` frame. The index is the mark: there is no spot market here."""
        mark = f"{self.mark():.8f}"
        return _encode(
            {
                "e": "markPriceUpdate",
                "E": ms,
                "s": self.spec.symbol,
                "p": mark,
                "ap": mark,
                "P": mark,
                "i": mark,
                "r": f"{self.funding_rate:.8f}",
                "T": next_funding_ms(ms),
                "st": 1,
            }
        )

    def ticker(self, ms: int) -> dict[str, Any]:
        """The 24-hour figures under the stream's letters; `p` is the change and `P` the percentage."""
        minute = ms // MINUTE_MS
        if self._day is None or minute != self._day_minute:
            self._day, self._day_minute = self._store.day(self.spec.symbol, ms - DAY_MS), minute
        day, held, digits = self._day, self._bars.open, self.spec.price_digits
        last = int(self.last_price() * SCALE)
        first = day.open if day.open is not None else (held.open if held else last)
        highs = [price for price in (day.high, held.high if held else 0, last) if price]
        lows = [price for price in (day.low, held.low if held else 0, last) if price]
        volume = (day.volume + (held.volume if held else 0)) / SCALE
        quote = (day.quote_volume + (held.quote_volume if held else 0)) / SCALE
        trades = day.trades + (held.trades if held else 0)
        change = f"{(last - first) / SCALE:.{digits}f}"
        return {
            "e": "24hrTicker",
            "E": ms,
            "s": self.spec.symbol,
            "ps": self.spec.symbol,
            "p": change,
            "P": f"{(last / first - 1) * 100:.3f}",
            "w": f"{quote / volume if volume else last / SCALE:.{digits}f}",
            "c": written(last, digits),
            "Q": self.last_quantity,
            "o": written(first, digits),
            "h": written(max(highs), digits),
            "l": written(min(lows), digits),
            "v": f"{volume:.{self.spec.quantity_digits}f}",
            "q": f"{quote:.2f}",
            "O": ms - DAY_MS,
            "C": ms,
            "F": max(0, self.last_trade_id - trades + 1),
            "L": self.last_trade_id,
            "n": trades,
            "st": 1,
        }

    def ticker_payload(self, ms: int) -> bytes:
        """The `ticker` frame."""
        return _encode(self.ticker(ms))
