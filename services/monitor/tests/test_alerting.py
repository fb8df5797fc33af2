"""The rules of what a person should know, and how often it is said."""

import msgspec
import pytest

from phoenix95.common.events import HostSample, ProcessSample
from phoenix95.monitor.core.alerting import SAME_AGAIN_MS, look_at, raised, rules
from phoenix95.monitor.core.alerting.uptime import DAY_MS
from phoenix95.monitor.core.load import MEGABYTE, Limits, average, load_of, unhealthy

LIMITS = Limits(
    process_memory=500 * MEGABYTE, memory_percent=85.0, cpu_percent=80.0, disk_percent=85.0, connections=100
)
QUIET = HostSample(
    ts_wall_ms=1,
    cpu_percent=80.0,
    cpu_count=2,
    memory_total=100,
    memory_available=15,
    memory_percent=85.0,
    disk_total=100,
    disk_free=15,
    disk_percent=85.0,
    processes=(
        ProcessSample(pid=1, name="feed", cpu_percent=1, rss=9, pss=200 * MEGABYTE, threads=2, connections=60),
        ProcessSample(pid=2, name="up", cpu_percent=2, rss=300 * MEGABYTE, pss=None, threads=3, connections=40),
        ProcessSample(pid=3, name="paper", cpu_percent=0, rss=0, pss=0, threads=1, connections=None),
    ),
)


def with_more(pss=0, connections=0):
    more = ProcessSample(pid=9, name="cli", cpu_percent=0, rss=0, pss=pss, threads=0, connections=connections)
    return msgspec.structs.replace(QUIET, processes=(*QUIET.processes, more))


def alerts_of(sample, uptime_ms=0, told=None, now_ms=0):
    return raised(look_at(sample, LIMITS, uptime_ms), told or {}, now_ms)


def test_exactly_at_every_limit_nothing_is_said():
    assert alerts_of(QUIET, uptime_ms=DAY_MS - 1)[0] == ()


@pytest.mark.parametrize(
    ("sample", "kind", "severity", "message"),
    [
        (with_more(pss=MEGABYTE), "process_memory", "critical", "our processes take 501 MB of 500"),
        (msgspec.structs.replace(QUIET, memory_percent=85.1), "system_memory", "warning", "memory at 85.1 %"),
        (msgspec.structs.replace(QUIET, cpu_percent=80.1), "cpu", "warning", "CPU at 80.1 %, more than 80"),
        (msgspec.structs.replace(QUIET, disk_percent=85.1), "disk", "warning", "disk at 85.1 %, more than 85"),
        (with_more(connections=1), "connections", "info", "our processes hold 101 connections, more than 100"),
    ],
)
def test_one_step_past_a_limit_is_said(sample, kind, severity, message):
    ((alert,), told) = alerts_of(sample, now_ms=7)
    assert (alert.kind, alert.severity, alert.service, alert.ts_wall_ms) == (kind, severity, "monitor", 1)
    assert alert.message.startswith(message)
    assert told[kind].at_ms == 7


def test_the_same_is_said_again_after_ten_minutes_and_not_before():
    busy = msgspec.structs.replace(QUIET, cpu_percent=99.0)
    _, told = alerts_of(busy, now_ms=0)
    other = msgspec.structs.replace(QUIET, cpu_percent=81.0)  # another number is still the same alert
    for now_ms, count in ((1, 0), (SAME_AGAIN_MS - 1, 0), (SAME_AGAIN_MS, 1), (SAME_AGAIN_MS + 1, 0)):
        alerts, told = alerts_of(other, told=told, now_ms=now_ms)
        assert len(alerts) == count, now_ms


def test_one_alert_does_not_silence_another():
    _, told = alerts_of(msgspec.structs.replace(QUIET, cpu_percent=99.0))
    ((alert,), _) = alerts_of(msgspec.structs.replace(QUIET, cpu_percent=99.0, disk_percent=99.0), told=told, now_ms=1)
    assert alert.kind == "disk"


def test_each_day_up_is_said_once_however_often_and_late_one_looks():
    said, told = [], {}
    for uptime_ms in range(0, 3 * DAY_MS, 7 * 60_000):  # never exactly at a milestone
        alerts, told = alerts_of(QUIET, uptime_ms=uptime_ms, told=told, now_ms=uptime_ms)
        said += [(alert.message, alert.severity) for alert in alerts]
    assert said == [("up for 24 hours", "success"), ("up for 48 hours", "success")]


def test_every_file_is_one_rule_under_its_own_name():
    kinds = [one.kind for one in rules()]
    assert kinds == ["connections", "cpu", "disk", "process_memory", "system_memory", "uptime"]
    assert all(one.check.__module__.endswith(f".{one.kind}") and one.check.__doc__ for one in rules())


# ---------------------------------------------------------------- averages and health


def test_a_load_adds_up_our_processes():
    load = load_of(QUIET)
    assert (load.process_memory, load.threads, load.connections) == (500 * MEGABYTE, 6, 100)
    assert load.process_cpu_percent == 3


def test_an_average_is_over_the_last_twenty():
    loads = [msgspec.structs.replace(load_of(QUIET), cpu_percent=percent) for percent in (1000, *range(1, 21))]
    assert average(loads).cpu_percent == 10.5
    assert average(loads[:1]).cpu_percent == 1000
    assert average(loads).process_memory == 500 * MEGABYTE
    with pytest.raises(ValueError, match="average of nothing"):
        average([])


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"process_memory": 600 * MEGABYTE - 1, "cpu_percent": 89.9, "memory_percent": 89.9}, 0),
        ({"process_memory": 600 * MEGABYTE}, 1),
        ({"cpu_percent": 90.0}, 1),
        ({"memory_percent": 90.0}, 1),
        ({"process_memory": 10**10, "cpu_percent": 100.0, "memory_percent": 100.0}, 3),
        ({"disk_percent": 100.0}, 0),
    ],
)
def test_healthy_ends_at_its_limits(changes, reasons):
    assert len(unhealthy(msgspec.structs.replace(load_of(QUIET), **changes), LIMITS)) == reasons
