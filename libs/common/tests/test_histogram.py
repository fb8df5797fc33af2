"""Histograms: nothing is forgotten, percentiles are those of the ranked list, and memory is bounded."""

import math
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoenix95.common.histogram import BUCKETS_MS, HIGHEST, OTHER, SERIES_MAX, STEP, Histogram, Series

CELL = 1e-3  # how wide a cell may be, relative to its values
MANY = 200_000


def a_histogram(*labels: str, step: float = STEP, highest: float = HIGHEST) -> Histogram:
    return Histogram("x_ms", "x", labels, buckets=BUCKETS_MS, step=step, highest=highest)


def a_series(*values: float) -> Series:
    series = a_histogram().labels()
    for value in values:
        series.observe(value)
    return series


def nearest_rank(values: list[float], q: float) -> float:
    return sorted(values)[max(0, math.ceil(q * len(values) - 1e-9) - 1)]


@pytest.mark.parametrize(("q", "value"), [(0.0, 1), (0.25, 1), (0.26, 2), (0.5, 2), (0.51, 3), (0.75, 3), (1.0, 4)])
def test_a_quantile_is_the_nearest_rank(q: float, value: float) -> None:
    assert a_series(0.004, 0.001, 0.003, 0.002).quantile(q) == value / 1000


def test_a_rank_is_rounded_up_and_not_to_the_nearest() -> None:
    # 0.95 * 13 is 12.35: the thirteenth value has 95 % at or below it, the twelfth has not.
    assert a_series(*range(1, 14)).quantile(0.95) == 13


def test_a_share_that_floats_cannot_hold_keeps_its_rank() -> None:
    assert a_series(*range(1, 101)).quantile(0.07) == pytest.approx(7, rel=CELL)  # 0.07 * 100 is 7.000000000000001


@given(st.lists(st.floats(0, HIGHEST), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_that_of_the_ranked_list_to_three_digits(values: list[float], q: float) -> None:
    assert a_series(*values).quantile(q) == pytest.approx(nearest_rank(values, q), rel=CELL, abs=STEP / 2 * 1.001)


def test_no_observation_is_forgotten() -> None:
    chance = random.Random(95)
    values = [chance.lognormvariate(0, 2) for _ in range(MANY)]
    series = a_series(99_999.0, *values)
    found = series.quantiles((0.5, 0.95, 0.99, 0.9999, 1.0))
    assert series.count == MANY + 1
    assert found.pop(1.0) == 99_999.0  # the first of all, long before the others
    for q, value in found.items():
        assert value == pytest.approx(nearest_rank([99_999.0, *values], q), rel=CELL, abs=STEP)


@given(st.lists(st.floats(-1e9, 1e9)))
def test_count_sum_extremes_and_buckets_are_exact(values: list[float]) -> None:
    series = a_series(*values)
    reading = series.reading()
    assert (reading.count, reading.sum) == (len(values), sum(values))
    assert (reading.min, reading.max) == (min(values, default=None), max(values, default=None))
    assert reading.avg == (sum(values) / len(values) if values else None)
    assert series.buckets() == [
        *((str(float(bound)), sum(value <= bound for value in values)) for bound in BUCKETS_MS),
        ("+Inf", len(values)),
    ]


def test_what_is_out_of_range_counts_at_its_end() -> None:
    series = a_series(-5.0, *[HIGHEST * 2] * 3)
    assert (series.count, series.reading().min, series.reading().max) == (4, -5.0, HIGHEST * 2)
    assert series.quantile(0.25) == 0
    assert series.quantile(0.5) == pytest.approx(HIGHEST, rel=CELL)


def test_a_quantile_is_never_outside_of_what_was_observed() -> None:
    assert a_series(50.001, 50.001).quantile(0.5) == 50.001  # its cell ends at 50.015
    assert a_series(0.0004).quantile(0.5) == 0.0004
    assert a_series(-2.0, -1.0).quantile(0.9) == -1.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_and_leaves_nothing(value: float) -> None:
    series = a_series(1.0)
    with pytest.raises(ValueError, match="cannot be observed"):
        series.observe(value)
    assert (series.count, series.sum) == (1, 1.0)


# ---------------------------------------------------------------- tags


def test_tags_go_by_position_or_by_name() -> None:
    histogram = a_histogram("symbol", "side")
    assert histogram.labels("X", "buy") is histogram.labels(side="buy", symbol="X")
    assert histogram.labels("X", "buy").tags == {"symbol": "X", "side": "buy"}
    assert histogram.labels("X", 5) is histogram.labels("X", "5")


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        ((), {}),
        (("X",), {}),
        (("X", "buy", "z"), {}),
        (("X",), {"side": "buy"}),
        ((), {"symbol": "X"}),
        ((), {"symbol": "X", "sied": "buy"}),
        (("X", "buy"), {"side": "buy"}),
    ],
)
def test_other_tags_are_refused(values: tuple[str, ...], tags: dict[str, str]) -> None:
    histogram = a_histogram("symbol", "side")
    with pytest.raises(ValueError, match=r"x_ms has the tags \(symbol, side\)"):
        histogram.labels(*values, **tags)
    assert histogram.series() == ()


def test_a_histogram_with_tags_wants_them() -> None:
    with pytest.raises(ValueError, match=r"x_ms has the tags \(symbol\)"):
        a_histogram("symbol").observe(1)


@pytest.mark.parametrize(
    ("labels", "buckets", "step", "highest", "says"),
    [
        (["le"], BUCKETS_MS, STEP, HIGHEST, "le and quantile are"),
        (["quantile"], BUCKETS_MS, STEP, HIGHEST, "le and quantile are"),
        ([], (), STEP, HIGHEST, "buckets must ascend"),
        ([], (2, 1), STEP, HIGHEST, "buckets must ascend"),
        ([], (1, 1), STEP, HIGHEST, "buckets must ascend"),
        ([], (-1, 1), STEP, HIGHEST, "buckets must ascend"),
        ([], (1,), 0, HIGHEST, "step 0 does not fit"),
        ([], (1,), 1, 1, "step 1 does not fit below 1"),
    ],
)
def test_a_histogram_that_cannot_be_is_refused(
    labels: list[str], buckets: tuple[float, ...], step: float, highest: float, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Histogram("x_ms", "x", labels, buckets=buckets, step=step, highest=highest)


# ---------------------------------------------------------------- bounds


def test_series_have_a_bound_and_the_rest_is_counted_together() -> None:
    histogram = a_histogram("symbol", step=1, highest=100)
    for number in range(SERIES_MAX + 10):
        histogram.labels(f"S{number}").observe(1)
    assert len(histogram.series()) == SERIES_MAX + 1
    assert histogram.labels(OTHER).count == 10
    assert histogram.labels("S0").count == 1  # those that were first keep their own


def test_a_series_takes_172_kb_however_much_it_observes() -> None:
    chance = random.Random(95)
    values = [chance.uniform(0, HIGHEST) for _ in range(20_000)]
    tracemalloc.start()
    try:
        series = a_series()
        empty = tracemalloc.get_traced_memory()[0]
        for value in values:
            series.observe(value)
        full = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert empty < 180_000
    assert full - empty < 10_000
