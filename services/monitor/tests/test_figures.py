"""Figures as rows, whose they are, and what is told of who is away."""

import pytest

from phoenix95.common.errors import ConfigError
from phoenix95.common.metrics import Metrics
from phoenix95.common.settings import load
from phoenix95.monitor.config import MonitorSettings
from phoenix95.monitor.core.rows import PerformanceMetric, change_of, rows_of
from phoenix95.monitor.core.targets import Target, targets_of


def test_every_kind_of_figure_becomes_a_row():
    metrics = Metrics()
    metrics.counter("p95_ticks", "ticks", ["symbol"]).labels("X").inc(3)
    metrics.gauge("p95_lag_ms", "lag").set(7)
    metrics.hop_histogram("feed").observe(4)
    metrics.hop_histogram("idle")
    rows = {(row.name, row.tags.get("hop")): row for row in rows_of("feed", metrics.read_out(), wall_ms=5)}
    assert rows["p95_ticks_total", None] == PerformanceMetric(
        name="p95_ticks_total", type="counter", tags={"symbol": "X", "service": "feed"}, wall_ms=5, value=3.0
    )
    assert rows["p95_lag_ms", None] == PerformanceMetric(
        name="p95_lag_ms", type="gauge", tags={"service": "feed"}, wall_ms=5, value=7.0
    )
    assert rows["p95_hop_latency_ms", "feed"] == PerformanceMetric(
        name="p95_hop_latency_ms", type="histogram", tags={"hop": "feed", "service": "feed"}, wall_ms=5,
        count=1, min=4.0, max=4.0, avg=4.0, p50=4.0, p95=4.0, p99=4.0,
    )  # fmt: skip
    assert ("p95_hop_latency_ms", "idle") not in rows
    assert ("process_resident_memory_bytes", None) in rows


def test_figures_of_others_are_not_kept():
    metrics = Metrics()
    metrics.gauge("python_gc", "of a library").set(1)
    assert not [row for row in rows_of("feed", metrics.read_out(), wall_ms=5) if row.name == "python_gc"]


def test_targets_are_names_with_addresses():
    assert targets_of(["engine-1=http://127.0.0.1:9102", "feed=https://feed.example/ops/"]) == (
        Target("engine-1", "http://127.0.0.1:9102/metrics"),
        Target("feed", "https://feed.example/ops/metrics"),
    )
    assert targets_of([]) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("engine", "'engine' is not like engine=http"),
        ("http://127.0.0.1:9102", "is not like"),
        ("=http://127.0.0.1:9102", "is not like"),
        ("engine=127.0.0.1:9102", "is not like"),
        ("engine=ftp://x", "is not like"),
        ("engine=http://", "is not like"),
        ("engine=http://x:0", "is not like"),
        ("engine=http://x:99999", "is not like"),
        ("engine=http://x?y=z", "is not like"),
        ("Engine=http://x", "is not like"),
        ("monitor=http://x", "keeps its own figures anyway"),
        ("a=http://x,a=http://y", "a is given twice"),
    ],
)
def test_mistakes_in_targets_are_named_with_their_variable(text, says):
    with pytest.raises(ConfigError, match="P95_MONITOR_TARGETS: .*" + says):
        load(MonitorSettings, "monitor", {"P95_MONITOR_TARGETS": text})


def test_only_a_change_is_told():
    assert change_of("engine", None, None, wall_ms=1) is None
    assert change_of("engine", "no answer", "no answer in time", wall_ms=1) is None
    away = change_of("engine", "no answer", None, wall_ms=1)
    assert (away.event_type, away.severity, away.message) == ("service_away", "warning", "engine: no answer")
    back = change_of("engine", None, "no answer", wall_ms=2)
    assert (back.event_type, back.severity, back.component) == ("service_back", "info", "engine")
