"""The synthetic market: the same again for a seed, with the edge that it promises."""

import pytest

from phoenix95.paper.core.frames import AggTrade
from phoenix95.paper.core.specs import DEFAULT_SYMBOLS, spec_of
from phoenix95.paper.sources.synthetic import HISTORY_BARS, START_MS, SyntheticSource

MINUTE = 60_000


def test_a_seed_gives_the_same_market_again_and_another_seed_another() -> None:
    first, second, other = (SyntheticSource(seed, ["BTCUSDT", "ETHUSDT"]) for seed in (95, 95, 96))
    assert first.history("BTCUSDT") == second.history("BTCUSDT") != other.history("BTCUSDT")
    until = START_MS + 30_000
    events = first.due(until, 10_000)
    pieces = [event for step in range(0, 30_001, 700) for event in second.due(START_MS + step, 10_000)]
    assert [event.payload for event in events if event.ms <= pieces[-1].ms] == [event.payload for event in pieces]
    assert events != other.due(until, 10_000)


def test_a_symbol_does_not_depend_on_which_others_there_are() -> None:
    alone = SyntheticSource(95, ["ETHUSDT"]).due(START_MS + 5000, 10_000)
    among = SyntheticSource(95, ["BTCUSDT", "ETHUSDT", "XRPUSDT"]).due(START_MS + 5000, 10_000)
    assert [event.payload for event in alone] == [event.payload for event in among if event.symbol == "ETHUSDT"]


def test_a_stored_state_goes_on_exactly_as_before() -> None:
    whole, resumed = (SyntheticSource(7, ["BTCUSDT", "ADAUSDT"]) for _ in range(2))
    events = whole.due(START_MS + 3 * MINUTE, 100_000)
    at = START_MS + 2 * MINUTE
    states = {symbol: (ms, blob) for symbol, ms, blob in whole.snapshots() if ms == at}
    resumed.resume(states)
    again = resumed.due(START_MS + 3 * MINUTE, 100_000)
    assert [event.payload for event in again] == [event.payload for event in events if event.ms >= at]


def test_trades_are_contiguous_in_order_on_their_steps_and_about_five_a_second() -> None:
    source = SyntheticSource(95, DEFAULT_SYMBOLS)
    events = source.due(START_MS + 5 * MINUTE, 1_000_000)
    assert [event.ms for event in events] == sorted(event.ms for event in events)
    for symbol, spec in source.specs.items():
        trades = [event.body for event in events if event.symbol == symbol and isinstance(event.body, AggTrade)]
        assert [trade.a for trade in trades] == list(range(1, len(trades) + 1))
        assert 2.5 < len(trades) / 300 < 7
        for trade in trades:
            assert len(trade.p.partition(".")[2]) == spec.price_digits
            assert float(trade.q) >= float(spec.step)


def test_history_leads_to_the_first_price_without_a_jump() -> None:
    source = SyntheticSource(95, DEFAULT_SYMBOLS)
    for symbol in DEFAULT_SYMBOLS:
        bars = source.history(symbol)
        assert len(bars) == HISTORY_BARS
        assert [bar.open_ms for bar in bars] == [START_MS - (HISTORY_BARS - n) * MINUTE for n in range(HISTORY_BARS)]
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
        first = next(event for event in source.due(START_MS + 2000, 1) if event.symbol)
        assert first.ms >= START_MS


def true_range_share(symbol: str) -> float:
    bars = SyntheticSource(95, [symbol]).history(symbol)
    return sum((bar.high - bar.low) / bar.close for bar in bars) / len(bars)


@pytest.mark.parametrize("symbol", DEFAULT_SYMBOLS)
def test_a_minute_moves_enough_to_pay_the_fees(symbol: str) -> None:
    assert 0.0025 < true_range_share(symbol) < 0.006


@pytest.mark.parametrize("seed", [95, 1, 2])
def test_following_a_trend_wins_after_fees(seed: int) -> None:
    source = SyntheticSource(seed, DEFAULT_SYMBOLS)
    results: list[float] = []
    for symbol in DEFAULT_SYMBOLS:
        closes = [bar.close for bar in source.history(symbol)]
        for n in range(20, len(closes) - 20, 20):
            move = closes[n] / closes[n - 10] - 1
            if abs(move) > 0.008:
                later = closes[n + 15] / closes[n] - 1
                results.append((later if move > 0 else -later) - 0.0012)
    assert len(results) > 50
    assert sum(results) / len(results) > 0.001


def test_any_symbol_can_be_made_up_with_fitting_steps() -> None:
    spec = spec_of("NEWCOINUSDT")
    assert spec == spec_of("NEWCOINUSDT")
    assert spec.start_price % spec.tick == 0
    assert spec.market_quantity_max > 1000 * spec.step
    for wrong in ("btcusdt", "BTC", "BTC/USDT", "USDT", "ÄUSDT", ""):
        with pytest.raises(ValueError, match="is not a symbol"):
            spec_of(wrong)
