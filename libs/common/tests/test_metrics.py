"""Metrics: what is scraped is what was counted, and percentiles are exact over the last observations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from phoenix95.common.metrics import HOP_WINDOW, Metrics, quantile


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_counters_and_gauges_are_scraped() -> None:
    metrics = Metrics()
    metrics.counter("p95_ticks", "ticks", ["symbol"]).labels("BTCUSDT").inc(3)
    metrics.gauge("p95_lag_ms", "lag").set(7)
    found = samples(metrics)
    assert found["p95_ticks_total", (("symbol", "BTCUSDT"),)] == 3
    assert found["p95_lag_ms", ()] == 7
    assert found["process_resident_memory_bytes", ()] > 0


def test_asking_twice_gives_the_same_metric_and_another_kind_is_refused() -> None:
    metrics = Metrics()
    assert metrics.counter("a", "a") is metrics.counter("a", "a")
    assert metrics.histogram("b", "b") is metrics.histogram("b", "b")
    assert metrics.hop_histogram("c") is metrics.hop_histogram("c")
    with pytest.raises(TypeError, match="a is a Counter"):
        metrics.gauge("a", "a")
    with pytest.raises(TypeError, match="a is a Counter"):
        metrics.histogram("a", "a")


def test_two_processes_worth_of_metrics_do_not_meet() -> None:
    Metrics().counter("p95_ticks", "ticks").inc()
    assert ("p95_ticks_total", ()) not in samples(Metrics())


def test_a_hop_has_a_histogram_and_exact_quantiles() -> None:
    metrics = Metrics()
    hop = metrics.hop_histogram("feed_to_engine")
    for ms in range(1, 101):
        hop.observe(ms)
    found = samples(metrics)
    label = ("hop", "feed_to_engine")
    assert found["p95_hop_latency_ms_count", (label,)] == 100
    assert found["p95_hop_latency_ms_bucket", (label, ("le", "10.0"))] == 10
    assert found["p95_hop_latency_ms_quantile", (label, ("quantile", "0.5"))] == 50
    assert found["p95_hop_latency_ms_quantile", (label, ("quantile", "0.99"))] == 99


def test_a_hop_nobody_passed_has_no_quantile() -> None:
    metrics = Metrics()
    assert metrics.hop_histogram("idle").quantile(0.5) is None
    assert not [name for name, _ in samples(metrics) if name == "p95_hop_latency_ms_quantile"]


def test_quantiles_forget_what_is_older_than_the_window() -> None:
    hop = Metrics().hop_histogram("x")
    hop.observe(1e9)
    for _ in range(HOP_WINDOW):
        hop.observe(1.0)
    assert hop.quantiles() == [(0.5, 1.0), (0.95, 1.0), (0.99, 1.0)]


@pytest.mark.parametrize(("q", "value"), [(0.0, 1), (0.25, 1), (0.26, 2), (0.5, 2), (0.51, 3), (1.0, 4)])
def test_a_quantile_is_the_nearest_rank(q: float, value: float) -> None:
    assert quantile([1, 2, 3, 4], q) == value


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.floats(0, 1))
def test_a_quantile_is_one_of_the_numbers_with_its_share_at_or_below(numbers: list[float], q: float) -> None:
    ranked = sorted(numbers)
    value = quantile(ranked, q)
    assert value in ranked
    assert sum(number <= value for number in ranked) >= q * len(ranked) - 1e-9
