"""The collector: what is scraped is what was counted, and what was scraped can be read back."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from phoenix95.common.metrics import Metrics
from phoenix95.common.readings import CounterReading, GaugeReading, HistogramReading, Reading, readings_of


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def own(readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """Without the figures of the process, which change between two looks."""
    return tuple(reading for reading in readings if not reading.name.startswith("process_"))


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


def test_a_name_that_a_histogram_takes_is_refused_to_others() -> None:
    metrics = Metrics()
    metrics.histogram("a", "a")
    with pytest.raises(ValueError, match="a_quantile"):
        metrics.gauge("a_quantile", "a")
    metrics.gauge("b_count", "b")
    for _ in range(2):  # a refused one leaves nothing behind
        with pytest.raises(ValueError, match="b_count"):
            metrics.histogram("b", "b")


def test_a_hop_is_scraped_with_its_buckets_and_quantiles() -> None:
    metrics = Metrics()
    hop = metrics.hop_histogram("feed_to_engine")
    for ms in range(1, 101):
        hop.observe(ms)
    found = samples(metrics)
    label = ("hop", "feed_to_engine")
    assert found["p95_hop_latency_ms_count", (label,)] == 100
    assert found["p95_hop_latency_ms_sum", (label,)] == 5050
    assert found["p95_hop_latency_ms_bucket", (label, ("le", "10.0"))] == 10
    assert found["p95_hop_latency_ms_bucket", (label, ("le", "+Inf"))] == 100
    for quantile, ms in (("0", 1), ("0.5", 50), ("0.95", 95), ("0.99", 99), ("1", 100)):
        assert found["p95_hop_latency_ms_quantile", (label, ("quantile", quantile))] == pytest.approx(ms, rel=1e-3)


def test_the_text_has_the_lines_that_the_stack_looks_for() -> None:
    metrics = Metrics()
    metrics.hop_histogram("feed").observe(1.25)
    lines = metrics.text().decode().splitlines()
    assert 'p95_hop_latency_ms_quantile{hop="feed",quantile="0.5"} 1.25' in lines
    assert 'p95_hop_latency_ms_quantile{hop="feed",quantile="0.99"} 1.25' in lines


def test_a_hop_nobody_passed_has_no_quantile() -> None:
    metrics = Metrics()
    assert metrics.hop_histogram("idle").quantile(0.5) is None
    assert not [name for name, _ in samples(metrics) if name == "p95_hop_latency_ms_quantile"]


# ---------------------------------------------------------------- timers


def test_a_timer_observes_ms_also_when_its_block_raises() -> None:
    metrics = Metrics()
    with metrics.timer("p95_work_ms", "work", kind="good"):
        pass
    with pytest.raises(OSError, match="broken"), metrics.timer("p95_work_ms", "work", kind="bad"):
        raise OSError("broken")
    work = metrics.histogram("p95_work_ms", "work", ["kind"])
    assert (work.labels("good").count, work.labels("bad").count) == (1, 1)
    assert 0 < work.labels("good").sum < 1000


def test_timers_nest_and_a_histogram_without_tags_times_too() -> None:
    metrics = Metrics()
    outer = metrics.histogram("p95_outer_ms", "outer")
    with outer.time(), outer.time():
        pass
    assert outer.labels().count == 2
    assert metrics.average("p95_outer_ms") == pytest.approx(outer.labels().sum / 2)


# ---------------------------------------------------------------- read-out


def test_everything_is_read_out_typed() -> None:
    metrics = Metrics()
    metrics.counter("p95_ticks", "ticks", ["symbol"]).labels("BTCUSDT").inc(3)
    metrics.gauge("p95_lag_ms", "lag").set(7)
    for ms in (1, 2, 3, 10):
        metrics.hop_histogram("feed").observe(ms)
    assert own(metrics.read_out()) == (
        HistogramReading(
            name="p95_hop_latency_ms",
            tags={"hop": "feed"},
            count=4,
            sum=16.0,
            min=1.0,
            max=10.0,
            avg=4.0,
            p50=2.0,
            p95=10.0,
            p99=10.0,
        ),
        GaugeReading(name="p95_lag_ms", tags={}, value=7.0),
        CounterReading(name="p95_ticks_total", tags={"symbol": "BTCUSDT"}, value=3.0),
    )
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total"} <= {one.name for one in metrics.read_out()}


def test_a_reading_is_one_typed_line_of_json() -> None:
    metrics = Metrics()
    metrics.histogram("p95_idle_ms", "idle").labels()
    metrics.counter("p95_ticks", "ticks").inc()
    read = metrics.read_out()
    assert msgspec.json.decode(msgspec.json.encode(read), type=tuple[Reading, ...]) == read
    assert b'{"type":"counter","name":"p95_ticks_total","tags":{},"value":1.0}' in msgspec.json.encode(read)


values = st.floats(-1e7, 1e7)


@given(
    st.lists(values),
    st.dictionaries(st.text(min_size=1), values),
    st.dictionaries(st.text(), st.lists(values), max_size=4),
)
def test_what_is_scraped_reads_back_as_it_was_read_out(
    counts: list[float], gauges: dict[str, float], hops: dict[str, list[float]]
) -> None:
    metrics = Metrics()
    for count in counts:
        metrics.counter("p95_a", "a").inc(abs(count))
    for tag, value in gauges.items():
        metrics.gauge("p95_b", "b", ["of"]).labels(tag).set(value)
    for hop, observations in hops.items():
        series = metrics.hop_histogram(hop)
        for ms in observations:
            series.observe(ms)
    assert own(readings_of(metrics.text().decode())) == own(metrics.read_out())


def test_gauges_that_only_look_like_parts_of_others_are_kept() -> None:
    text = (
        "# TYPE a_quantile gauge\na_quantile 1\n"
        "# TYPE b_created gauge\nb_created 2\n"
        "# TYPE c_total counter\nc_total 3\n# TYPE c_created gauge\nc_created 4\n"
        "# TYPE d summary\nd_count 5\n"
    )
    assert [reading.name for reading in readings_of(text)] == ["a_quantile", "b_created", "c_total"]


def test_text_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="html"):
        readings_of("<html>\n<p>a b c d e f</p>")


# ---------------------------------------------------------------- average and reset


def test_the_average_is_over_the_series_with_the_tags() -> None:
    metrics = Metrics()
    for hop, ms in (("a", 1), ("a", 2), ("b", 9)):
        metrics.hop_histogram(hop).observe(ms)
    lag = metrics.gauge("p95_lag_ms", "lag", ["symbol"])
    lag.labels("X").set(10)
    lag.labels("Y").set(20)
    metrics.counter("p95_ticks", "ticks").inc(4)
    assert metrics.average("p95_hop_latency_ms") == 4.0
    assert metrics.average("p95_hop_latency_ms", hop="a") == 1.5
    assert metrics.average("p95_hop_latency_ms", hop="c") is None
    assert metrics.average("p95_lag_ms") == 15.0
    assert metrics.average("p95_ticks") == metrics.average("p95_ticks_total") == 4.0


def test_the_average_of_nothing_is_none_and_of_the_unknown_an_error() -> None:
    metrics = Metrics()
    metrics.histogram("p95_idle_ms", "idle", ["of"])
    assert metrics.average("p95_idle_ms") is None
    with pytest.raises(KeyError, match="p95_idel_ms"):
        metrics.average("p95_idel_ms")


def test_a_reset_puts_all_to_zero_and_who_holds_a_metric_goes_on() -> None:
    metrics = Metrics()
    ticks = metrics.counter("p95_ticks", "ticks", ["symbol"]).labels("X")
    plain = metrics.counter("p95_plain", "plain")
    lag = metrics.gauge("p95_lag_ms", "lag", ["symbol"]).labels("X")
    hop = metrics.hop_histogram("feed")
    ticks.inc(5)
    plain.inc(5)
    lag.set(5)
    hop.observe(5)
    metrics.reset()
    assert hop.reading().max is None
    assert [one.count if isinstance(one, HistogramReading) else one.value for one in own(metrics.read_out())] == [0] * 4
    ticks.inc(1)
    plain.inc(2)
    lag.set(3)
    hop.observe(4)
    found = samples(metrics)
    assert found["p95_ticks_total", (("symbol", "X"),)] == 1
    assert found["p95_plain_total", ()] == 2
    assert found["p95_lag_ms", (("symbol", "X"),)] == 3
    assert (hop.count, hop.sum, hop.quantile(0.0), hop.quantile(1.0)) == (1, 4.0, 4, 4)
