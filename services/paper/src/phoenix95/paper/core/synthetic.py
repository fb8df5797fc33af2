"""The synthetic market of one symbol: its walk made into bars of the past, and into quotes and trades."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from phoenix95.common.money import SCALE
from phoenix95.paper.core.emission import Emission, agg_payload, book_payload
from phoenix95.paper.core.frames import AggTrade, BookTicker
from phoenix95.paper.core.noise import normal, stream_key, uniform
from phoenix95.paper.core.source import ClosedBar
from phoenix95.paper.core.specs import Spec
from phoenix95.paper.core.walk import Walk, step

STEP_MS: Final = 100
MINUTE_MS: Final = 60_000
TRADES_A_SECOND: Final = 5.0
HISTORY_STEPS: Final = 20  # a minute of the past
TRADE_QUOTE: Final = 900.0  # median notional of a trade
DRAWS: Final = 8
TRADE_ID_FIRST: Final = 1000


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A synthetic market at the beginning of the step `n`, enough to go on exactly as before."""

    n: int
    walk: Walk
    agg_id: int = 1
    trade_id: int = TRADE_ID_FIRST
    update_id: int = 1
    bid_ticks: int = 0
    ask_ticks: int = 0


class Market:
    """One symbol. Steps are STEP_MS long and counted from `start_ms`."""

    def __init__(self, spec: Spec, seed: int, start_ms: int) -> None:
        self.spec = spec
        self.start_ms = start_ms
        self._tick = float(spec.tick.normalize())
        self._step = float(spec.step)
        self._keys = tuple(stream_key(seed, spec.symbol, name) for name in ("history", "walk", "trades"))
        log_start = math.log(float(spec.start_price))
        self._first = Walk(log_price=log_start, log_anchor=log_start)
        self.state = State(n=0, walk=self._first)
        self._forced: list[tuple[int, int, int]] = []

    def force(self, price: Decimal, start_ms: int, until_ms: int) -> None:
        """Be at a price from one step to another, whatever the walk wants; then it walks on from there."""
        self._forced = [one for one in self._forced if one[1] >= self.next_ms or one[0] >= self.next_ms]
        self._forced.append((start_ms, until_ms, round(price / self.spec.tick)))

    def history(self, bars: int) -> list[ClosedBar]:
        """The minutes before `start_ms`; leaves the state at their end, where the trades begin."""
        walk, made, n = self._first, list[ClosedBar](), 0
        key = self._keys[0]
        for minute in range(bars):
            prices = [math.exp(walk.log_price)]
            for _ in range(HISTORY_STEPS):
                walk = step(walk, 1 / HISTORY_STEPS, key, n)
                prices.append(math.exp(walk.log_price))
                n += 1
            made.append(self._bar(self.start_ms - (bars - minute) * MINUTE_MS, prices, walk.volatility, minute))
        self.state = State(n=0, walk=walk)
        return made

    def steps(self) -> list[Emission]:
        """What happens in the next step."""
        state, key = self.state, self._keys[2]
        walk = step(state.walk, STEP_MS / MINUTE_MS, self._keys[1], state.n)
        ms = self.start_ms + state.n * STEP_MS
        wanted = next((ticks for start, until, ticks in reversed(self._forced) if start <= ms <= until), None)
        if wanted is not None:
            return self._forced_step(ms, wanted, walk)
        draw = state.n * DRAWS
        bid = math.floor(math.exp(walk.log_price) / self._tick)
        ask = bid + (1 if uniform(key, draw) < 0.8 else 2)
        out: list[Emission] = []
        update_id, agg_id, trade_id = state.update_id, state.agg_id, state.trade_id
        if (bid, ask) != (state.bid_ticks, state.ask_ticks):
            update_id += 1
            out.append(self._book(ms, update_id, bid, ask, draw))
        count = _poisson(TRADES_A_SECOND * STEP_MS / 1000 * walk.volatility, uniform(key, draw + 1))
        buys = sum(uniform(key, draw + 2 + k) < 0.5 + 0.1 * walk.direction for k in range(min(count, 3)))
        for side, size in ((True, buys), (False, min(count, 3) - buys)):
            if size:
                quantity = self._quantity(math.exp(walk.log_price), normal(key, draw + (5 if side else 6)))
                at_ms = ms + (20 if side else 60)
                out.append(self._trade(at_ms, agg_id, trade_id, size, ask if side else bid, quantity, not side))
                agg_id, trade_id = agg_id + 1, trade_id + size
        self.state = State(
            n=state.n + 1,
            walk=walk,
            agg_id=agg_id,
            trade_id=trade_id,
            update_id=update_id,
            bid_ticks=bid,
            ask_ticks=ask,
        )
        return out

    def _forced_step(self, ms: int, ticks: int, walk: Walk) -> list[Emission]:
        """The book around a wanted price, and one trade at it."""
        state = self.state
        walk = msgspec.structs.replace(walk, log_price=math.log(ticks * self._tick))
        draw = state.n * DRAWS
        self.state = State(
            n=state.n + 1,
            walk=walk,
            agg_id=state.agg_id + 1,
            trade_id=state.trade_id + 1,
            update_id=state.update_id + 1,
            bid_ticks=ticks,
            ask_ticks=ticks + 1,
        )
        quantity = self._quantity(ticks * self._tick, normal(self._keys[2], draw + 5))
        return [
            self._book(ms, state.update_id + 1, ticks, ticks + 1, draw),
            self._trade(ms, state.agg_id, state.trade_id, 1, ticks, quantity, True),
        ]

    @property
    def next_ms(self) -> int:
        """When the next step begins."""
        return self.start_ms + self.state.n * STEP_MS

    def _bar(self, open_ms: int, prices: Sequence[float], volatility: float, minute: int) -> ClosedBar:
        unit = round(self._tick * SCALE)
        ticks = [round(price / self._tick) * unit for price in prices]
        activity = 0.5 + uniform(self._keys[2], (1 << 40) + minute)
        trades = round(TRADES_A_SECOND * 60 * volatility * activity)
        volume = _to_step(trades * TRADE_QUOTE / prices[-1], self._step)
        quote = round(volume * prices[-1] * SCALE)
        taker = _to_step(volume / 2, self._step)
        return ClosedBar(
            open_ms,
            ticks[0],
            max(ticks),
            min(ticks),
            ticks[-1],
            round(volume * SCALE),
            quote,
            trades,
            round(taker * SCALE),
            quote // 2,
        )

    def _quantity(self, price: float, z: float) -> str:
        raw = TRADE_QUOTE * math.exp(0.9 * z) / price
        return f"{max(self._step, _to_step(raw, self._step)):.{self.spec.quantity_digits}f}"

    def _price(self, ticks: int) -> str:
        return f"{ticks * self._tick:.{self.spec.price_digits}f}"

    def _book(self, ms: int, update_id: int, bid: int, ask: int, draw: int) -> Emission:
        sizes = (uniform(self._keys[2], draw + 6), uniform(self._keys[2], draw + 7))
        price = bid * self._tick
        bid_size, ask_size = (self._quantity(price, 2.0 + 2.0 * size) for size in sizes)
        book = BookTicker(
            E=ms, s=self.spec.symbol, b=self._price(bid), B=bid_size, a=self._price(ask), A=ask_size, u=update_id, T=ms
        )
        return Emission(ms, book.s, book, book_payload(book))

    def _trade(
        self, ms: int, agg_id: int, trade_id: int, size: int, ticks: int, quantity: str, buyer_is_maker: bool
    ) -> Emission:
        trade = AggTrade(
            E=ms,
            a=agg_id,
            s=self.spec.symbol,
            p=self._price(ticks),
            q=quantity,
            f=trade_id,
            l=trade_id + size - 1,
            T=ms,
            m=buyer_is_maker,
        )
        return Emission(ms, trade.s, trade, agg_payload(trade))


def _to_step(value: float, size: float) -> float:
    return math.floor(value / size + 0.5) * size


def _poisson(mean: float, u: float) -> int:
    """The Poisson variate of a uniform draw, by inversion; `mean` is small."""
    count, chance = 0, math.exp(-mean)
    total = chance
    while u > total and count < 8:
        count += 1
        chance *= mean / count
        total += chance
    return count
