"""What is known of a symbol's market beside its trades: for people, for gates, and for the first trade of a second."""

from typing import Final, NamedTuple

from phoenix95.feed.core.frames import AggTrade, BookTicker, Data, MarkPrice, Ticker

BOOK_AGE_MAX_MS: Final = 5_000  # an older quote says nothing about a trade
MARK_AGE_MAX_MS: Final = 10_000  # the exchange sends one a second


class Market(NamedTuple):
    """Best bid and ask, mark price and funding rate at a trade; None what is unknown or too old."""

    bid: str | None
    ask: str | None
    mark: str | None
    funding: str | None


class PriceBoard:
    """The latest of each kind for one symbol. `changed` is set by news and cleared by who wrote it out."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.changed = False
        self._trade: AggTrade | None = None
        self._book: BookTicker | None = None
        self._ticker: Ticker | None = None
        self._mark: MarkPrice | None = None

    def show(self, data: Data) -> None:
        """Take news; what is older than the news of its kind is ignored."""
        if isinstance(data, AggTrade):
            if self._trade is None or data.id > self._trade.id:
                self._trade = data
        elif isinstance(data, BookTicker):
            if self._book is None or data.event_ms >= self._book.event_ms:
                self._book = data
        elif isinstance(data, MarkPrice):
            if self._mark is None or data.event_ms >= self._mark.event_ms:
                self._mark = data
        elif self._ticker is None or data.event_ms >= self._ticker.event_ms:
            self._ticker = data
        self.changed = True

    def at(self, time_ms: int) -> Market:
        """What is known at a trade of `time_ms`."""
        book, mark = self._book, self._mark
        has_book = book is not None and abs(time_ms - book.event_ms) <= BOOK_AGE_MAX_MS
        has_mark = mark is not None and abs(time_ms - mark.event_ms) <= MARK_AGE_MAX_MS
        return Market(
            bid=book.bid if book is not None and has_book else None,
            ask=book.ask if book is not None and has_book else None,
            mark=mark.mark if mark is not None and has_mark else None,
            funding=mark.funding if mark is not None and has_mark else None,
        )

    def fields(self) -> dict[str, str]:
        """The price hash: only what is known. `timestamp` is exchange time of the newest part, in ms."""
        found = {"symbol": self.symbol}
        times = [0]
        if self._ticker is not None:
            ticker = self._ticker
            times.append(ticker.event_ms)
            found |= {"price": ticker.last, "change": ticker.change, "change_percent": ticker.change_percent}
            found |= {"volume": ticker.volume, "high": ticker.high, "low": ticker.low}
        if self._trade is not None:  # a trade is newer than the ticker, which comes every two seconds
            times.append(self._trade.time_ms)
            found |= {"price": self._trade.price, "trade_time": str(self._trade.time_ms)}
        if self._book is not None:
            book = self._book
            times.append(book.event_ms)
            found |= {"bid": book.bid, "bid_quantity": book.bid_quantity}
            found |= {"ask": book.ask, "ask_quantity": book.ask_quantity, "book_time": str(book.event_ms)}
        if self._mark is not None:
            mark = self._mark
            times.append(mark.event_ms)
            found |= {"mark": mark.mark, "funding": mark.funding, "next_funding_time": str(mark.next_funding_ms)}
            found |= {"mark_time": str(mark.event_ms)}
        return found | {"timestamp": str(max(times))}
