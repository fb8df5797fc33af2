"""Folding the tick log: the same log gives the same outputs, however it is cut into batches."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from phoenix95.common.events import EngineOutput, Gap, Marker, Seed, Tick, Trade
from phoenix95.common.ids import StreamId, output_id
from phoenix95.common.money import scaled
from phoenix95.common.wire import tick_decoder
from phoenix95.engine.core import lane as lanes
from phoenix95.engine.core.conclude import conclude, learn
from phoenix95.engine.core.numbers import PRICE_MAX, PRICE_MIN, QUANTITY_MAX
from phoenix95.engine.core.state import SymbolState

_UNREADABLE: Final = (KeyError, ValueError, msgspec.MsgspecError)

Entry = tuple[str, Mapping[bytes, bytes]]  # (id, fields) as the reader gives them


class Published(NamedTuple):
    """An output and the id it is stored under; `cause` is the id of the tick."""

    id: StreamId
    event: EngineOutput
    cause: StreamId


class Unreadable(NamedTuple):
    """An entry that is no tick. It counts as a gap: what it said is lost."""

    entry_id: str
    fields: Mapping[bytes, bytes]
    reason: str


class Folded(NamedTuple):
    """What came of a stretch of the log."""

    published: list[Published]
    unreadable: list[Unreadable]


def fold(state: SymbolState, tick_id: StreamId, tick: Tick) -> list[Published]:
    """Fold one tick into `state` and return what it causes. Raises ValueError when a number of it is none."""
    published: list[Published] = []
    if type(tick) is Trade:
        _trade(state, tick_id.ms, tick_id.seq, tick, published)
        return published
    if type(tick) is Seed:
        _seed(state, tick)
    elif type(tick) is Gap:
        _lost(state)
    else:  # a resume: the trades between are missing, but the new stretch is sound
        for each in state.lanes:
            lanes.tear(each)
    state.ms, state.seq = tick_id
    state.careful = True
    return published


def fold_entries(state: SymbolState, entries: Iterable[Entry]) -> Folded:
    """Fold entries in the order of the log. What cannot be read is reported, and leaves a gap in the state.

    This is the hot path: a trade inside an open bar, without a quote, is folded in the loop itself.
    """
    folded = Folded([], [])
    published = folded.published
    decode = tick_decoder.decode
    for entry_id, fields in entries:
        ms_text, _, seq_text = entry_id.partition("-")
        ms, seq = int(ms_text), int(seq_text)
        try:
            tick = decode(fields[b"d"])
            if type(tick) is not Trade:
                fold(state, StreamId(ms, seq), tick)
            elif tick.bid is None and tick.mark is None and seq == state.seq + 1 and not state.careful:
                price, quantity = float(tick.price), scaled(tick.quantity)
                if not (PRICE_MIN < price < PRICE_MAX and 0 <= quantity < QUANTITY_MAX):
                    raise ValueError(_out_of_range(tick))
                state.ms = state.price_ms = ms
                state.seq = seq
                state.price = price
                for lane in state.lanes:
                    if ms < lane.end:
                        if price > lane.high:
                            lane.high = price
                        elif price < lane.low:
                            lane.low = price
                        lane.close = price
                        lane.volume += quantity
                        lane.trades += 1
                    else:
                        _next_bar(state, lane, price, quantity, published)
            else:
                _trade(state, ms, seq, tick, published)
        except _UNREADABLE as error:
            folded.unreadable.append(Unreadable(entry_id, fields, _reason(error)))
            _lost(state)
            state.ms, state.seq = ms, seq
    return folded


def _trade(state: SymbolState, ms: int, seq: int, trade: Trade, published: list[Published]) -> None:
    price, quantity = float(trade.price), scaled(trade.quantity)
    if not (PRICE_MIN < price < PRICE_MAX and 0 <= quantity < QUANTITY_MAX):
        raise ValueError(_out_of_range(trade))
    _quote(state, ms, trade)
    if state.seq == 0:  # the first of a stretch: nobody knows what was traded before it in this bar
        for lane in state.lanes:
            lanes.tear(lane)
    elif seq != state.seq + 1:  # trimmed before it was read, or removed by hand
        _lost(state)
    state.ms = state.price_ms = ms
    state.seq = seq
    state.price = price
    state.careful = False
    if state.marker:
        _mark(state, published)
    for lane in state.lanes:
        if ms < lane.end:
            lane.high = max(lane.high, price)
            lane.low = min(lane.low, price)
            lane.close = price
            lane.volume += quantity
            lane.trades += 1
            lane.torn = False
        else:
            _next_bar(state, lane, price, quantity, published)


def _next_bar(state: SymbolState, lane: lanes.Lane, price: float, quantity: int, published: list[Published]) -> None:
    """Close the bar before the trade that was just noted, publish its analysis, and open the trade's bar."""
    torn = lane.torn
    bar = lanes.finish(lane, state.config)
    if bar is not None:
        if bar.trades:
            k = len(published) - _before(published, state.at)
            published.append(Published(output_id(state.at, k), conclude(state, lane, bar, k), state.at))
        if not torn and state.ms < bar.open_time + 2 * bar.length_ms:
            learn(state, lane, bar, price)
    lanes.fill(lane, state.ms, state.config)
    lanes.begin(lane, state.ms, price, quantity)


def _before(published: list[Published], cause: StreamId) -> int:
    """How many outputs there were before this tick's; they are at most a handful, at the end."""
    count = len(published)
    while count and published[count - 1].cause == cause:
        count -= 1
    return count


def _seed(state: SymbolState, seed: Seed) -> None:
    for lane in state.lanes:
        bar = lanes.add_seed(lane, seed, state.config)
        if bar is not None:
            learn(state, lane, bar, bar.close)


def _lost(state: SymbolState) -> None:
    """Trades are missing here, and for good."""
    for lane in state.lanes:
        lanes.tear(lane)
        lanes.degrade(lane)
    state.careful = True


def _mark(state: SymbolState, published: list[Published]) -> None:
    marker = Marker(symbol=state.symbol, kind=state.marker, value=state.config.name, cause=str(state.at))
    published.append(Published(output_id(state.at, 0), marker, state.at))
    state.marker = ""


def _quote(state: SymbolState, ms: int, trade: Trade) -> None:
    """Note what the first trade of a second brings along. A quote that is no number is no quote."""
    if trade.bid is not None and trade.ask is not None:
        state.bid, state.ask, state.quote_ms = _positive(trade.bid), _positive(trade.ask), ms
    if trade.mark is not None:
        state.mark = _positive(trade.mark)
    if trade.funding is not None:
        state.funding = _finite(trade.funding)


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if -PRICE_MAX < value < PRICE_MAX else None


def _positive(text: str) -> float | None:
    value = _finite(text)
    return value if value is not None and value > 0 else None


def _out_of_range(trade: Trade) -> str:
    return f"price {trade.price!r} or quantity {trade.quantity!r} is out of range"


def _reason(error: Exception) -> str:
    return "no field d" if isinstance(error, KeyError) else str(error)
