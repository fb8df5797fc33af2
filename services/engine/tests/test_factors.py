"""The contract of every factor and strategy, however many files there are, and the arithmetic above them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoenix95.common.errors import ConfigError
from phoenix95.common.events import Factor, Quality
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.evidence import confidence_for, score_components, score_of
from phoenix95.engine.core.factors.base import Rule, net, registered, weighed
from phoenix95.engine.core.indicators.base import registered as indicators
from phoenix95.engine.core.strategies.base import registered as strategies
from phoenix95.engine.core.strategies.base import strategy_named

CONFIG = Config()
GOOD = Quality(warm=True, bars=100, degraded_bars=0, spread_bps=1.0)
OUTPUTS = {name for kind in indicators() for name in kind.outputs} | {"close"}
PRICE = 100.0
prices = st.floats(min_value=50, max_value=150)


def market(rise: float, atr: float, histogram: float) -> dict[str, float]:
    """Readings of a market that has risen by `rise`; its mirror image is the one with every sign turned."""
    return {
        "close": PRICE + rise,
        "ema_fast": PRICE + rise / 2,
        "ema_slow": PRICE + rise / 4,
        "atr": atr,
        "rsi": 50 + 49 * math.tanh(rise),
        "macd": rise / 4,
        "macd_signal": rise / 4 - histogram,
        "macd_histogram": histogram,
        "bollinger_lower": PRICE - 2,
        "bollinger_middle": PRICE,
        "bollinger_upper": PRICE + 2,
    }


@pytest.mark.parametrize("rule", registered(), ids=lambda rule: rule.name)
class TestFactorContract:
    def test_reads_what_indicators_give(self, rule: Rule) -> None:
        assert set(rule.reads) <= OUTPUTS
        assert rule.weight > 0

    @given(rise=st.floats(-40, 40), atr=st.floats(0, 10), histogram=st.floats(-5, 5))
    def test_a_mirrored_market_gives_the_opposite(self, rule: Rule, rise: float, atr: float, histogram: float) -> None:
        there = rule.value({name: market(rise, atr, histogram)[name] for name in rule.reads})
        back = rule.value({name: market(-rise, atr, -histogram)[name] for name in rule.reads})
        assert there == pytest.approx(-back, abs=1e-6)

    def test_a_strong_rise_speaks_for_a_rise(self, rule: Rule) -> None:
        assert rule.value({name: market(3.0, 1.0, 0.5)[name] for name in rule.reads}) > 0

    def test_a_market_that_does_not_move_says_nothing(self, rule: Rule) -> None:
        still = {**market(0.0, 0.0, 0.0), "bollinger_upper": PRICE, "bollinger_lower": PRICE}
        assert rule.value({name: still[name] for name in rule.reads}) == 0


def test_what_is_published_is_cut_to_one_and_says_what_it_read() -> None:
    found = weighed(market(40.0, 0.5, 5.0))
    assert [factor.name for factor in found] == sorted(rule.name for rule in registered())
    assert all(factor.value == 1.0 for factor in found)
    assert all(set(factor.inputs) <= OUTPUTS for factor in found)


def test_a_factor_without_its_inputs_is_left_out() -> None:
    assert [factor.name for factor in weighed({**market(1, 1, 1), "atr": None})] == ["breakout", "strength"]
    assert weighed({"close": 1.0}) == ()
    assert net(()) is None


def factors(*values: float) -> tuple[Factor, ...]:
    return tuple(Factor(name=f"f{at}", value=value, weight=1.0, inputs={}) for at, value in enumerate(values))


@pytest.mark.parametrize(
    ("values", "buy"), [((1, 1), 1.0), ((1, -1), 0.5), ((0.5, 0.5), 0.75), ((-1, -1), 0.0), ((), 0.5)]
)
def test_confidence_is_the_share_of_the_evidence(values: tuple[float, ...], buy: float) -> None:
    assert confidence_for("BUY", factors(*values)) == buy
    assert confidence_for("SELL", factors(*values)) == 1 - buy


def scored(confidence: float, quality: Quality, cover: float | None = None, values: tuple[float, ...] = ()) -> float:
    return score_of(
        score_components("BUY", confidence, factors(*values), cost_cover=cover, quality=quality, config=CONFIG)
    )


def test_a_confident_outsider_on_a_liquid_symbol_scores_well_even_cold() -> None:
    cold = Quality(warm=False, bars=0, degraded_bars=0, spread_bps=1.0)
    assert scored(0.9, cold) == pytest.approx((0.4 * 0.9 + 0.15 + 0.1 * 0.5) / 0.65)
    assert scored(0.9, cold) >= 0.70
    assert scored(0.9, Quality(warm=False, bars=0, degraded_bars=0, spread_bps=None)) >= 0.70


@pytest.mark.parametrize(
    ("spread_bps", "liquidity"), [(5.0, 1.0), (5.1, 1 - 0.1 / 45), (27.5, 0.5), (50.0, 0.0), (80.0, 0.0)]
)
def test_liquidity_falls_from_five_to_fifty_basis_points(spread_bps: float, liquidity: float) -> None:
    parts = score_components(
        None, 0.9, (), cost_cover=None, quality=Quality(warm=True, bars=9, degraded_bars=0, spread_bps=spread_bps),
        config=CONFIG,
    )  # fmt: skip
    assert {part.name: part.value for part in parts}["liquidity"] == pytest.approx(liquidity)


def test_a_gap_lowers_the_score_until_it_heals() -> None:
    after = [scored(0.9, Quality(warm=True, bars=99, degraded_bars=bars, spread_bps=1.0)) for bars in (1, 7, 13, 14, 0)]
    assert after[0] < after[1] < after[2] < after[3] == after[4]


@pytest.mark.parametrize(("cover", "room"), [(1.0, 0.0), (0.5, 0.0), (3.0, 0.5), (5.0, 1.0), (50.0, 1.0)])
def test_volatility_counts_by_how_often_the_target_pays_the_costs(cover: float, room: float) -> None:
    parts = score_components("SELL", 0.9, (), cost_cover=cover, quality=GOOD, config=CONFIG)
    assert {part.name: part.value for part in parts}["volatility"] == room


@pytest.mark.parametrize("name", sorted(strategies()))
def test_a_strategy_has_no_favourite_side(name: str) -> None:
    strategy = strategy_named(name)
    for rise in (0.2, 1.0, 3.0, 10.0):
        up = strategy.opinion(weighed(market(rise, 1.0, rise / 5)), CONFIG)
        down = strategy.opinion(weighed(market(-rise, 1.0, -rise / 5)), CONFIG)
        assert up.confidence == pytest.approx(down.confidence)
        assert (up.side is None) == (down.side is None)
    assert (up.side, down.side) == ("BUY", "SELL")
    assert strategy.opinion(weighed(market(0, 1, 0)), CONFIG).side is None


def test_an_unknown_strategy_is_named_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"P95_ENGINE_STRATEGY: no strategy 'momentun'.*momentum"):
        strategy_named("momentun")
