"""The triple barrier, what is learned from it, and what size follows."""

import pytest

from phoenix95.common.events import Bar, Side
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.outcomes import Chance, Tally, brier, chance, enter, resolve
from phoenix95.engine.core.sizing import (
    Edge,
    edge,
    kelly_fraction,
    liquidation_distance,
    risk_level,
    round_trip_cost,
    safe_leverage,
)

CONFIG = Config(stop_atr=2.0, target_atr=3.0, hold_bars=3)
MINUTE = 60_000


def bar(number: int, low: float, high: float, close: float) -> Bar:
    return Bar(
        open_time=number * MINUTE, length_ms=MINUTE, open=close, high=high, low=low, close=close, volume=1.0,
        trades=1, whole=True,
    )  # fmt: skip


def entered(side: Side) -> Tally:
    """A trade at 100 with an average range of 1: stop 2 away, target 3, three bars to live."""
    tally = Tally()
    enter(tally, side, 100.0, 0, MINUTE, 1.0, CONFIG)
    return tally


@pytest.mark.parametrize(
    ("side", "low", "high", "ending"),
    [
        ("BUY", 98.0, 100.0, "losses"),  # touching the stop is enough
        ("BUY", 98.01, 103.0, "wins"),
        ("BUY", 98.0, 103.0, "losses"),  # both: the path is unknown, the worse counts
        ("BUY", 98.01, 102.99, None),
        ("SELL", 100.0, 102.0, "losses"),
        ("SELL", 97.0, 101.99, "wins"),
        ("SELL", 97.01, 101.99, None),
    ],
)
def test_a_barrier_is_reached_when_it_is_touched(side: Side, low: float, high: float, ending: str | None) -> None:
    tally = entered(side)
    resolve(tally, side, bar(0, low, high, 100.0))
    assert tally.samples == (0 if ending is None else 1)
    assert (tally.open is None) == (ending is not None)
    if ending is not None:
        assert getattr(tally, ending) == 1


@pytest.mark.parametrize(("side", "result"), [("BUY", 0.5), ("SELL", -0.5)])
def test_the_time_barrier_counts_the_result_in_stop_distances(side: Side, result: float) -> None:
    tally = entered(side)
    for number in range(2):
        resolve(tally, side, bar(number, 99, 101, 101))
        assert tally.open is not None
    resolve(tally, side, bar(2, 99, 101, 101))
    assert (tally.timeouts, tally.timeout_stops) == (1, pytest.approx(result))


def test_a_second_signal_does_not_open_a_second_trade() -> None:
    tally = entered("BUY")
    enter(tally, "BUY", 50.0, 0, MINUTE, 1.0, CONFIG)
    assert tally.open is not None
    assert tally.open.entry == 100.0


@pytest.mark.parametrize("atr", [0.0, 50.0])
def test_barriers_that_cannot_be_set_open_nothing(atr: float) -> None:
    tally = Tally()
    enter(tally, "BUY", 100.0, 0, MINUTE, atr, CONFIG)
    assert tally.open is None


def test_without_outcomes_the_chance_is_that_of_a_fair_game() -> None:
    found = chance(Tally(), stop=0.02, target=0.03, config=CONFIG)
    assert (found.win, found.loss, found.timeout) == (pytest.approx(0.4), pytest.approx(0.6), 0.0)
    assert edge(found, stop=0.02, target=0.03, cost=0.001).expected == pytest.approx(-0.001)


def test_outcomes_move_the_chance_by_their_share() -> None:
    found = chance(Tally(wins=24, losses=10, timeouts=6), stop=0.02, target=0.03, config=CONFIG)
    assert found.win == pytest.approx((24 + 4) / 50)
    assert found.loss == pytest.approx((10 + 6) / 50)
    assert found.win + found.loss + found.timeout == pytest.approx(1)


def test_the_brier_score_is_the_mean_squared_error_of_what_was_said() -> None:
    tally = entered("BUY")
    assert brier(tally) is None
    resolve(tally, "BUY", bar(0, 99, 103, 103))
    assert brier(tally) == pytest.approx(0.6**2)


def test_the_edge_is_what_the_three_endings_are_worth_after_costs() -> None:
    found = edge(Chance(0.5, 0.3, 0.2, timeout_stops=0.5), stop=0.02, target=0.03, cost=0.001)
    assert found.expected == pytest.approx(0.5 * 0.029 - 0.3 * 0.021 + 0.2 * 0.009)
    assert found.square == pytest.approx(0.5 * 0.029**2 + 0.3 * 0.021**2 + 0.2 * 0.009**2)


@pytest.mark.parametrize(
    ("expected", "size"), [(-0.001, 0.0), (0.0, 0.0), (0.000_001, 0.25 * 0.000_001 / 0.0004), (0.01, 0.02)]
)
def test_size_is_a_quarter_of_kelly_under_the_cap(expected: float, size: float) -> None:
    assert kelly_fraction(Edge(expected, 0.0004), CONFIG) == pytest.approx(size)


@pytest.mark.parametrize(
    ("side", "funding", "due"), [("BUY", 0.0001, 0.0001), ("SELL", 0.0001, 0.0), ("SELL", -0.0001, 0.0001)]
)
def test_costs_are_two_fees_the_spread_and_funding_that_is_due_but_never_received(
    side: Side, funding: float, due: float
) -> None:
    cost = round_trip_cost(side, spread_bps=3.0, funding=funding, hold_ms=28_800_000, config=CONFIG)
    assert cost == pytest.approx(0.001 + 0.0003 + due)


@pytest.mark.parametrize(("stop", "leverage"), [(0.001, 20), (0.02, 20), (0.021, 19), (0.1, 4), (0.6, 1)])
def test_liquidation_lies_beyond_twice_the_stop(stop: float, leverage: int) -> None:
    assert safe_leverage(stop, CONFIG) == leverage
    if leverage > 1:
        assert liquidation_distance(leverage, CONFIG) >= CONFIG.liquidation_margin * stop - 1e-12


@pytest.mark.parametrize(
    ("volatility", "spread_bps", "leverage", "stop", "level"),
    [
        (0.001, 1.0, 5, 0.01, "low"),
        (None, None, 5, 0.01, "low"),
        (0.001, 1.0, 20, 0.01, "medium"),
        (0.031, 1.0, 5, 0.01, "high"),
        (0.001, 101.0, 5, 0.01, "critical"),
        (0.001, 1.0, 20, 0.05, "critical"),  # liquidated before the stop
    ],
)
def test_risk_is_the_worst_of_its_marks(
    volatility: float | None, spread_bps: float | None, leverage: int, stop: float, level: str
) -> None:
    found = risk_level(volatility=volatility, spread_bps=spread_bps, leverage=leverage, stop=stop, config=CONFIG)
    assert found == level
