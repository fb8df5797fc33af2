"""Trades to aggregate trades, as the exchange does it.

Market trades of one symbol with the same price, maker side and millisecond that directly follow each other
make one aggregate trade. Insurance-fund trades are not market trades and are left out before.
"""

from decimal import Decimal
from typing import Final

from phoenix95.paper.core.frames import MARKET_TRADE, AggTrade, TradeFrame

SETTLED_MS: Final = 1000  # no trade of a millisecond arrives this much later than another event of the stream


class Aggregator:
    """Folds the trades of one symbol in order of their ids; its aggregates are numbered from 1 without a gap."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.skipped = 0
        self._next_id = 1
        self._last_trade = -1
        self._open: AggTrade | None = None

    def add(self, trade: TradeFrame) -> AggTrade | None:
        """Take a trade; return the aggregate that it closes. Repeated trades and other than market ones are skipped."""
        if trade.t <= self._last_trade:
            self.skipped += 1
            return None
        self._last_trade = trade.t
        if trade.X != MARKET_TRADE:
            self.skipped += 1
            return None
        held = self._open
        if held is not None and (held.p, held.m, held.T) == (trade.p, trade.m, trade.T):
            held.q = format(Decimal(held.q) + Decimal(trade.q), "f")
            held.l = trade.t
            held.E = max(held.E, trade.E)
            return None
        self._open = AggTrade(
            E=trade.E,
            a=self._next_id,
            s=self.symbol,
            p=trade.p,
            q=trade.q,
            f=trade.t,
            l=trade.t,
            T=trade.T,
            m=trade.m,
        )
        self._next_id += 1
        return held

    def settle(self, watermark_ms: int) -> AggTrade | None:
        """The open aggregate, when events up to `watermark_ms` have been seen and so nothing can join it."""
        if self._open is not None and watermark_ms > self._open.T + SETTLED_MS:
            return self.finish()
        return None

    def finish(self) -> AggTrade | None:
        """The open aggregate, because no trade follows."""
        held, self._open = self._open, None
        return held
