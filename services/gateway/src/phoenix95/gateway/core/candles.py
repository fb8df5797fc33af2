"""Candles of one minute for the eye, made of seeds, closed bars and trades. The engine never reads them."""

from collections import deque
from typing import Final, NamedTuple

MINUTE_MS: Final = 60_000
KEPT: Final = 180  # three hours: what a screen can show


class Candle(NamedTuple):
    """What was traded in the minute from `open_ms` (exchange time) on. Prices and volume are for drawing: floats."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Candles:
    """The last minutes of a symbol, oldest first. What comes for an earlier minute than the last is ignored."""

    def __init__(self, kept: int = KEPT) -> None:
        self._candles: deque[Candle] = deque(maxlen=kept)

    def since(self, open_ms: int) -> list[Candle]:
        """The candles from the minute `open_ms` on; 0 gives all."""
        return [candle for candle in self._candles if candle.open_ms >= open_ms]

    @property
    def last_open_ms(self) -> int:
        """The minute of the last candle; 0 while there is none."""
        return self._candles[-1].open_ms if self._candles else 0

    def take(self, part: Candle) -> None:
        """Add a trade, or a bar shorter than a minute, to its minute. The parts of a minute come in order."""
        minute = part.open_ms - part.open_ms % MINUTE_MS
        if minute < self.last_open_ms:
            return
        if minute > self.last_open_ms or not self._candles:
            self._candles.append(part._replace(open_ms=minute))
            return
        last = self._candles[-1]
        self._candles[-1] = Candle(
            open_ms=minute,
            open=last.open,
            high=max(last.high, part.high),
            low=min(last.low, part.low),
            close=part.close,
            volume=last.volume + part.volume,
        )

    def correct(self, closed: Candle) -> None:
        """Put a closed bar of a whole minute in the place of what trades made of it."""
        for at in range(len(self._candles) - 1, -1, -1):
            if self._candles[at].open_ms == closed.open_ms:
                self._candles[at] = closed
                return
        self.take(closed)


def trade(at_ms: int, price: str, quantity: str) -> Candle:
    """One trade as the smallest candle."""
    value = float(price)
    return Candle(open_ms=at_ms, open=value, high=value, low=value, close=value, volume=float(quantity))
