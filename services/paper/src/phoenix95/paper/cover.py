"""Whether every position has its stop, as the exchange sees it: a witness for tests of those who promise it."""

from decimal import Decimal

from phoenix95.common.money import ZERO
from phoenix95.paper.clearing import Clearing
from phoenix95.paper.conditional import ConditionalBook
from phoenix95.paper.core.orders import STOPS
from phoenix95.paper.core.position import Position


class Cover:
    """Writes down from when to when a position was not wholly covered by open stops."""

    def __init__(self, clearing: Clearing, book: ConditionalBook) -> None:
        self._clearing = clearing
        self._book = book
        self._bare = clearing.records.open_bare()
        clearing.changed = self._changed

    def _changed(self, symbols: set[str], ms: int) -> None:
        for position in list(self._clearing.account.positions.values()):
            if position.symbol not in symbols:
                continue
            key = (position.symbol, position.side)
            bare = self._covered(position) < abs(position.amount)
            if bare and key not in self._bare:
                self._bare.add(key)
                self._clearing.records.bare(*key, ms)
            elif not bare and key in self._bare:
                self._bare.discard(key)
                self._clearing.records.covered(*key, ms)

    def _covered(self, position: Position) -> Decimal:
        covered = ZERO
        against = "SELL" if position.amount > 0 else "BUY"
        for algo in self._book.open(position.symbol):
            if algo.order_type in STOPS and (algo.position_side, algo.side) == (position.side, against):
                covered += abs(position.amount) if algo.close_position else Decimal(algo.quantity)
        return covered
