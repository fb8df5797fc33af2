"""Bars by exchange time, gaps, stretches, markers: what the log says is what comes out."""

from collections.abc import Callable

import msgspec
import pytest

from phoenix95.common.errors import ConfigError, InvariantBroken
from phoenix95.common.events import Analysis, EngineOutput, Event, Gap, Marker, Resume, Seed, Trade
from phoenix95.common.ids import StreamId
from phoenix95.common.wire import encode
from phoenix95.engine.core.config import Config, checked
from phoenix95.engine.core.fold import fold, fold_entries
from phoenix95.engine.core.state import SymbolState, adopt, decode_state, encode_state, new_state

MINUTE = 60_000
T0 = 1_721_347_200_000
CONFIG = Config()
LogEntry = tuple[str, dict[bytes, bytes]]
MakeLog = Callable[..., list[LogEntry]]


def trade(price: float | str, quantity: str = "1", **quote: str) -> Trade:
    return Trade(price=str(price), quantity=quantity, buyer_is_maker=False, received_ms=0, **quote)


def seed_bar(minute: int, price: float = 100.0) -> Seed:
    return Seed(
        open_time=T0 + minute * MINUTE, length_ms=MINUTE, open=str(price), high=str(price + 1), low=str(price - 1),
        close=str(price), volume="2.5",
    )  # fmt: skip


def feed(state: SymbolState, *ticks: tuple[int, int, Event]) -> list[EngineOutput]:
    """Fold (ms after T0, seq, tick) and return the events."""
    found = []
    for ms, seq, tick in ticks:
        found += [output.event for output in fold(state, StreamId(T0 + ms, seq), tick)]  # type: ignore[arg-type]
    return found


def analyses(events: list[EngineOutput]) -> list[Analysis]:
    return [event for event in events if isinstance(event, Analysis)]


def test_a_bar_closes_with_the_first_trade_behind_it() -> None:
    state = new_state("BTCUSDT", CONFIG)
    events = feed(
        state, (0, 1, trade(100, "0.1")), (30_000, 2, trade(103, "0.2")), (59_999, 3, trade(99, "0.3")),
        (60_000, 4, trade(101, "5")),
    )  # fmt: skip
    (found,) = analyses(events)
    assert found.bar is not None
    assert (found.bar.open, found.bar.high, found.bar.low, found.bar.close) == (100, 103, 99, 99)
    assert (found.bar.volume, found.bar.trades, found.bar.open_time) == (0.6, 3, T0)
    assert (found.cause, found.ts, found.price) == (f"{T0 + 60_000}-4", T0 + 60_000, 101)
    assert found.expires_at == found.ts + CONFIG.signal_ttl_ms
    assert found.id == "momentum-BTCUSDT-4.0"
    assert (found.action, found.reasoning) == ("HOLD", ("warming up: 1 bars",))


def test_the_first_bar_of_a_stretch_is_not_whole_and_the_next_one_is() -> None:
    state = new_state("BTCUSDT", CONFIG)
    events = feed(state, *((at * 30_000, at + 1, trade(100)) for at in range(5)))
    assert [found.bar.whole for found in analyses(events) if found.bar] == [False, True]


def test_several_bar_lengths_close_on_one_trade_in_the_order_of_their_length() -> None:
    state = new_state("BTCUSDT", checked(Config(bar_ms=(300_000, 60_000))))
    outputs = []
    for at in range(6):
        outputs += fold(state, StreamId(T0 + at * MINUTE, at + 1), trade(100))
    last = outputs[-2:]
    assert [output.event.bar.length_ms for output in last] == [60_000, 300_000]  # type: ignore[union-attr]
    assert [output.id.seq for output in last] == [6 * 256, 6 * 256 + 1]
    assert [output.event.id for output in last] == ["momentum-BTCUSDT-6.0", "momentum-BTCUSDT-6.1"]  # type: ignore[union-attr]


def test_quiet_minutes_are_flat_bars_and_publish_nothing() -> None:
    state = new_state("BTCUSDT", CONFIG)
    events = feed(state, (0, 1, trade(100)), (5 * MINUTE, 2, trade(101)), (6 * MINUTE, 3, trade(101)))
    assert [found.bar.open_time for found in analyses(events) if found.bar] == [T0, T0 + 5 * MINUTE]
    assert state.lanes[0].bars == 6
    assert state.lanes[0].degraded == 0


def test_a_long_silence_starts_the_indicators_anew() -> None:
    state = new_state("BTCUSDT", CONFIG)
    feed(state, (0, 1, trade(100)), (MINUTE, 2, trade(100)), ((CONFIG.max_empty_bars + 3) * MINUTE, 3, trade(100)))
    assert state.lanes[0].bars == 0
    feed(state, ((CONFIG.max_empty_bars + 4) * MINUTE, 4, trade(100)))
    assert state.lanes[0].bars == 1


def test_a_gap_breaks_the_bar_and_heals_by_bars() -> None:
    state = new_state("BTCUSDT", CONFIG)
    feed(state, *((at * MINUTE, at + 1, trade(100)) for at in range(3)))
    events = feed(
        state, (2 * MINUTE + 500, 6, Gap(first=4, last=6)), (2 * MINUTE + 500, 7, trade(100)),
        *((at * MINUTE, at + 5, trade(100)) for at in range(3, 20)),
    )  # fmt: skip
    found = analyses(events)
    assert [each.bar.whole for each in found[:2] if each.bar] == [False, True]
    assert [each.quality.degraded_bars for each in found][:3] == [2, 3, 4]
    assert found[-1].quality.degraded_bars == 0


def test_missing_ids_without_a_word_count_as_a_gap() -> None:
    state = new_state("BTCUSDT", CONFIG)
    feed(state, (0, 1, trade(100)), (10, 2, trade(100)), (20, 9, trade(100)))
    assert state.lanes[0].degraded == 1
    assert not state.lanes[0].whole


def test_an_unreadable_entry_is_reported_and_counts_as_a_gap() -> None:
    state = new_state("BTCUSDT", CONFIG)
    good = {b"d": encode(trade(100))}
    bad = [
        {b"x": b"1"}, {b"d": b"{"}, {b"d": b'{"t":"what"}'}, {b"d": encode(trade("nan"))},
        {b"d": encode(trade("-1"))}, {b"d": encode(trade("0"))}, {b"d": encode(trade("1e999"))},
        {b"d": encode(trade(100, "-1"))}, {b"d": encode(trade(100, "x"))}, {b"d": b"\xff\xfe"},
        {b"d": encode(msgspec.structs.replace(seed_bar(0), high="1"))},
    ]  # fmt: skip
    for number, fields in enumerate(bad):
        state = new_state("BTCUSDT", CONFIG)
        folded = fold_entries(state, [(f"{T0}-1", good), (f"{T0}-2", good), (f"{T0}-3", fields), (f"{T0}-4", good)])
        assert [lost.entry_id for lost in folded.unreadable] == [f"{T0}-3"], number
        assert folded.unreadable[0].reason
        assert state.lanes[0].degraded == 1
        assert (state.seq, state.lanes[0].trades) == (4, 3)


def test_seeds_warm_the_state_count_as_history_and_publish_nothing(make_log: MakeLog) -> None:
    state = new_state("BTCUSDT", CONFIG)
    log = make_log(5, seeds=600, minutes=2)
    folded = fold_entries(state, log[:600])
    assert folded == ([], [])
    lane = state.lanes[0]
    assert (lane.bars, lane.warm, lane.end) == (600, True, 0)
    assert lane.long.samples + lane.short.samples > 20
    (first, *_) = fold_entries(state, log[600:]).published
    assert isinstance(first.event, Analysis)
    assert first.event.quality.warm
    assert first.event.bar is not None
    assert first.event.bar.open_time == T0 + 600 * MINUTE


def test_shorter_seeds_make_up_longer_bars_and_longer_ones_say_nothing() -> None:
    state = new_state("BTCUSDT", checked(Config(bar_ms=(5_000, 300_000))))
    events = feed(state, *((minute * MINUTE + 59_999, 0, seed_bar(minute, 100 + minute)) for minute in range(7)))
    short, long = state.lanes
    assert (events, short.bars, long.bars) == ([], 0, 1)
    assert long.last is not None
    assert (long.last.open, long.last.high, long.last.close, long.last.volume) == (100, 105, 104, 12.5)
    feed(state, (7 * MINUTE, 1, trade(107)))
    events = feed(state, (10 * MINUTE, 2, trade(107)))
    five = [found for found in analyses(events) if found.bar and found.bar.length_ms == 300_000]
    assert [(found.bar.open, found.bar.trades, found.bar.whole) for found in five if found.bar] == [(105, 1, False)]


def test_a_seed_that_comes_twice_or_late_says_nothing() -> None:
    state = new_state("BTCUSDT", CONFIG)
    feed(state, (59_999, 0, seed_bar(0)), (119_999, 0, seed_bar(1)))
    before = encode_state(state.lanes[0])  # type: ignore[arg-type]
    feed(state, (120_000, 0, seed_bar(0)), (120_001, 0, seed_bar(1)))
    assert encode_state(state.lanes[0]) == before  # type: ignore[arg-type]


def test_missing_minutes_behind_the_seeds_degrade() -> None:
    state = new_state("BTCUSDT", CONFIG)
    feed(state, (59_999, 0, seed_bar(0)), (4 * MINUTE, 1, trade(100)))
    assert (state.lanes[0].bars, state.lanes[0].degraded) == (4, 4)


def test_a_resumed_symbol_goes_on_without_judging_what_it_did_not_see(make_log: MakeLog) -> None:
    state = new_state("BTCUSDT", CONFIG)
    fold_entries(state, make_log(5, seeds=600, minutes=3))
    (ms, seq), lane = state.at, state.lanes[0]
    fold(state, StreamId(ms + 5 * MINUTE, 0), Resume(after=f"{ms}-{seq}"))
    assert (lane.long.open, lane.short.open, lane.torn) == (None, None, True)
    feed(state, (ms - T0 + 5 * MINUTE + 1, seq + 1000, trade(100)))
    assert lane.degraded > 0
    assert not lane.whole


def test_quotes_are_kept_with_their_age() -> None:
    state = new_state("BTCUSDT", CONFIG)
    feed(state, (0, 1, trade(100, bid="99.9", ask="100.1", mark="100", funding="0.0001")))
    (found,) = analyses(feed(state, (2000, 2, trade(100)), (MINUTE, 3, trade(100))))
    assert found.quality.spread_bps is None  # a minute old
    feed(state, (MINUTE, 4, trade(100, bid="99.9", ask="100.1")), (MINUTE, 5, trade(100, bid="x", ask="")))
    assert (state.bid, state.ask, state.funding) == (None, None, 0.0001)
    (found,) = analyses(feed(state, (2 * MINUTE, 6, trade(100, bid="99.9", ask="100.1"))))
    assert found.quality.spread_bps == pytest.approx(20.0)


def test_the_engine_never_reads_when_a_tick_was_received() -> None:
    states = [new_state("BTCUSDT", CONFIG) for _ in range(2)]
    for state, received in zip(states, (1, 999), strict=True):
        feed(
            state, *((at * MINUTE, at + 1, msgspec.structs.replace(trade(100), received_ms=received)) for at in (0, 1))
        )
    assert encode_state(states[0]) == encode_state(states[1])


def test_a_changed_config_is_marked_under_the_first_trade_that_it_governs() -> None:
    state = new_state("BTCUSDT", CONFIG)
    feed(state, (0, 1, trade(100)))
    other = Config(max_spread_bps=20.0)
    assert not adopt(state, CONFIG)
    assert adopt(state, other)
    outputs = fold(state, StreamId(T0 + MINUTE, 2), trade(100))
    assert outputs[0].event == Marker(symbol="BTCUSDT", kind="config", value=other.name, cause=f"{T0 + MINUTE}-2")
    assert [output.id.seq for output in outputs] == [512, 513]
    assert outputs[1].event.id == "momentum-BTCUSDT-2.1"  # type: ignore[union-attr]
    assert outputs[1].event.config == other.name  # type: ignore[union-attr]
    assert not feed(state, (MINUTE + 1, 3, trade(100)))


def test_new_barriers_forget_the_outcomes_and_new_limits_do_not(make_log: MakeLog) -> None:
    state = new_state("BTCUSDT", CONFIG)
    fold_entries(state, make_log(5, seeds=600, minutes=1))
    samples = state.lanes[0].long.samples
    assert samples > 0
    adopt(state, Config(max_spread_bps=20.0, bar_ms=(5_000, 60_000)))
    assert [(lane.bars > 0, lane.long.samples) for lane in state.lanes] == [(False, 0), (True, samples)]
    adopt(state, Config(stop_atr=1.0))
    assert [(lane.bars > 0, lane.long.samples) for lane in state.lanes] == [(True, 0)]


def test_a_state_of_a_newer_version_is_refused() -> None:
    stored = encode_state(new_state("BTCUSDT", CONFIG))
    with pytest.raises(InvariantBroken, match="version 2"):
        decode_state(stored.replace(b'"version":1', b'"version":2'))
    with pytest.raises(InvariantBroken, match="cannot be read"):
        decode_state(b"{")


@pytest.mark.parametrize("bar_ms", [(), (999,), (86_400_001,), (60_000, 60_000)])
def test_bar_lengths_out_of_range_are_named(bar_ms: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="P95_ENGINE_BAR_MS"):
        checked(Config(bar_ms=bar_ms))
