"""Verdicts on health, and figures from looks."""

import pytest

from phoenix95.common.events import Heartbeat
from phoenix95.common.ids import StreamId
from phoenix95.gateway.core.health import SERVICES, components_of, own_check, report, unknown_services
from phoenix95.gateway.core.pipeline import Look, SymbolLook, figures


def a_beat(service, instance="a", progress=1_000):
    return Heartbeat(service=service, instance=instance, version="1", started_wall_ms=0, progress_wall_ms=progress)


def test_with_every_heartbeat_all_is_well():
    found = report("1", components_of([a_beat(service) for service in SERVICES], now_wall_ms=1_500))
    assert found.status == "healthy"
    assert found.unhealthy == ()
    assert found.components["feed"].progress_age_ms == 500


@pytest.mark.parametrize("missing", SERVICES)
def test_the_one_without_a_heartbeat_is_named(missing):
    beats = [a_beat(service) for service in SERVICES if service != missing]
    found = report("1", components_of(beats, now_wall_ms=1_000))
    assert (found.status, found.unhealthy) == ("unhealthy", (missing,))


def test_copies_of_a_service_are_counted_and_the_latest_progress_tells():
    found = components_of([a_beat("engine", "a", 1_000), a_beat("engine", "b", 3_000)], now_wall_ms=2_000)["engine"]
    assert (found.instances, found.progress_age_ms) == (2, 0)  # clocks may disagree: never negative


def test_unknown_is_not_healthy():
    found = report("1", {"redis": own_check("Redis does not answer"), **unknown_services("unknown")})
    assert found.unhealthy == ("redis", *SERVICES)


def a_look(at_s, *, ticks=0, analyses=0, top=None, offset=None):
    look = SymbolLook(
        ticks=ticks,
        analyses=analyses,
        replies=0,
        tick_top=top and StreamId.parse(top),
        engine_offset=offset and StreamId.parse(offset),
    )
    return Look(at_s=at_s, symbols={"BTCUSDT": look})


def test_rates_are_over_the_whole_span():
    total, symbols = figures(
        [a_look(0, ticks=100, analyses=1), a_look(5, ticks=150), a_look(10, ticks=200, analyses=2)]
    )
    assert (total.ticks, total.ticks_per_s, total.analyses_per_min) == (200, 10.0, 6.0)
    assert symbols["BTCUSDT"].ticks_per_s == 10.0


def test_one_look_has_no_rate():
    total, _ = figures([a_look(3, ticks=100)])
    assert (total.ticks, total.ticks_per_s) == (100, 0.0)


def test_a_stream_begun_anew_has_no_negative_rate():
    total, _ = figures([a_look(0, ticks=100, analyses=9), a_look(10, ticks=5)])
    assert (total.ticks_per_s, total.analyses_per_min) == (0.0, 0.0)


def test_a_symbol_that_is_new_has_no_rate_yet():
    _, symbols = figures([Look(at_s=0, symbols={}), a_look(10, ticks=500)])
    assert symbols["BTCUSDT"].ticks_per_s == 0.0


@pytest.mark.parametrize(
    ("top", "offset", "lag"),
    [
        ("2000-10", "2000-10", (0, 0)),
        ("2000-11", "1000-10", (1, 1000)),
        ("2000-11", None, (None, None)),
        (None, None, (None, None)),
        ("2000-0", "1000-0", (None, 1000)),  # seeds count nothing
        ("3000-7", "2000-0", (None, 1000)),
        ("2000-10", "2500-12", (0, 0)),  # the look at the stream came first
        ("0-0", "0-0", (0, 0)),
    ],
)
def test_lag_is_in_ticks_and_exchange_time(top, offset, lag):
    _, symbols = figures([a_look(0, top=top, offset=offset)])
    assert (symbols["BTCUSDT"].lag_ticks, symbols["BTCUSDT"].lag_ms) == lag


def test_the_worst_lag_is_the_pipelines():
    slow = a_look(0, top="9000-9", offset="1000-1").symbols["BTCUSDT"]
    quick = a_look(0, top="9000-9", offset="9000-9").symbols["BTCUSDT"]
    total, _ = figures([Look(at_s=0, symbols={"A1": quick, "B1": slow})])
    assert total.lag_ms == 8000
