"""What one symbol waits for: trades that came and are not in the tick stream yet.

Nothing leaves the line until the stream's own top says that it is stored, so a publication whose answer was
lost is simply repeated. When the line is full the newest are refused: the stream then reports a gap behind
the ones that were kept, and the refused ones are fetched again over REST.
"""

from collections import deque
from itertools import islice
from typing import Final, Literal, NamedTuple

from phoenix95.common.events import Trade
from phoenix95.common.ids import STREAM_START, StreamId
from phoenix95.common.wire import encode
from phoenix95.feed.core.frames import AggTrade
from phoenix95.feed.core.prices import Market, PriceBoard

_MS_PER_SECOND: Final = 1000


class Entry(NamedTuple):
    """A trade, or trades that are missing for good: `a` is the (last) aggregate trade id, `ms` exchange time."""

    a: int
    ms: int
    d: bytes
    kind: Literal["trade", "gap"] = "trade"


class Line:
    """The trades of one symbol between the socket and the stream, at most `limit` of them."""

    def __init__(self, symbol: str, limit: int) -> None:
        self.symbol = symbol
        self.refused = 0  # how many were turned away because the line was full
        self.foreign_id: int | None = None  # a younger trade with an id that the stream has passed: another market
        self._limit = limit
        self._top = STREAM_START
        self._waiting: deque[Entry] = deque()
        self._ordered = True
        self._second = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def top_a(self) -> int:
        """The last aggregate trade id that the stream holds; 0 when its stretch has no trade yet."""
        return self._top.seq

    @property
    def head(self) -> Entry | None:
        """The oldest trade that waits, or None."""
        self._sort()
        return self._waiting[0] if self._waiting else None

    def offer(self, trade: AggTrade, board: PriceBoard, received_ms: int) -> bool:
        """Take a trade from the socket. False when the stream has it already or the line is full."""
        if trade.id <= self._top.seq:
            # A time is never lowered in the stream, so a true repeat cannot be younger than the top.
            self.foreign_id = trade.id if trade.time_ms > self._top.ms else None
            return False
        self.foreign_id = None
        waiting = self._waiting
        if len(waiting) >= self._limit:
            self.refused += 1
            return False
        if waiting and trade.id <= waiting[-1].a:
            self._ordered = False
        second = trade.time_ms // _MS_PER_SECOND
        market = None
        if second > self._second:
            self._second = second
            market = board.at(trade.time_ms)
        waiting.append(Entry(trade.id, trade.time_ms, encode_trade(trade, received_ms, market)))
        return True

    def batch(self, most: int) -> list[Entry]:
        """The oldest trades that wait, at most `most`; they stay until `stored` says otherwise."""
        self._sort()
        return list(islice(self._waiting, most))

    def stored(self, top: StreamId) -> None:
        """The stream's last id is `top`; what it holds does not wait any longer."""
        self._top = top
        self._sort()
        waiting = self._waiting
        while waiting and waiting[0].a <= top.seq:
            waiting.popleft()

    def _sort(self) -> None:
        """Put late frames in their place; of two with one id the first that came stays."""
        if self._ordered:
            return
        unique: dict[int, Entry] = {}
        for entry in self._waiting:
            unique.setdefault(entry.a, entry)
        self._waiting = deque(unique[a] for a in sorted(unique))
        self._ordered = True


def encode_trade(trade: AggTrade, received_ms: int, market: Market | None = None) -> bytes:
    """The field `d` of a trade; `received_ms` is the feed's wall clock, `market` what was known beside it."""
    if market is None:
        return encode(
            Trade(
                price=trade.price,
                quantity=trade.quantity,
                buyer_is_maker=trade.buyer_is_maker,
                received_ms=received_ms,
            )
        )
    return encode(
        Trade(
            price=trade.price,
            quantity=trade.quantity,
            buyer_is_maker=trade.buyer_is_maker,
            received_ms=received_ms,
            bid=market.bid,
            ask=market.ask,
            mark=market.mark,
            funding=market.funding,
        )
    )
