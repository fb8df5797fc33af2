"""The two tables on a real Postgres: what is read back is what was written, whatever happens to the server."""

import asyncio
import os
import signal
import time
from datetime import UTC, datetime

import psycopg
import pytest

from phoenix95.common.errors import BadMessage, ConfigError, TransientError
from phoenix95.common.settings import Secret
from phoenix95.monitor.core.rows import PerformanceMetric, SystemEvent
from phoenix95.monitor.ledger.postgres import DEADLINE_S, ROWS_MAX, Postgres
from phoenix95.monitor.ledger.tables import PerformanceMetrics, SystemEvents

WALL_MS = 1_700_000_000_123
WALL = datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
ALL_METRICS = "SELECT * FROM ledger.performance_metrics ORDER BY id"
ALL_EVENTS = "SELECT * FROM ledger.system_events ORDER BY id"
AT_ONCE_S = 1.0


def metrics_of(url):
    return PerformanceMetrics(Postgres(Secret(url)))


def events_of(url):
    return SystemEvents(Postgres(Secret(url)))


def an_event(**changes):
    return SystemEvent(**{"event_type": "tried", "severity": "info", "message": "it was tried", **changes})


def a_gauge(**changes):
    return PerformanceMetric(**{"name": "p95_x", "type": "gauge", "tags": {}, "wall_ms": WALL_MS, **changes})


async def test_figures_read_back_as_written(ledger_url, ask):
    figures = {"count": 2**40, "min": -0.5, "max": 9.25, "avg": 1.1, "p50": 1.0, "p95": 7.5, "p99": 9.25}
    await metrics_of(ledger_url).write(
        [
            a_gauge(value=0.1, tags={"service": "feed", "symbol": "BTCUSDT"}),
            a_gauge(name="p95_hop_latency_ms", type="histogram", tags={"hop": "feed"}, **figures),
            a_gauge(type="counter", value=float("nan")),
        ]
    )
    gauge, histogram, odd = ask(ledger_url, ALL_METRICS)
    assert (gauge["name"], gauge["type"], gauge["value"], gauge["timestamp"]) == ("p95_x", "gauge", 0.1, WALL)
    assert gauge["tags"] == {"service": "feed", "symbol": "BTCUSDT"}
    assert gauge["count"] is gauge["p99"] is None
    assert {name: histogram[name] for name in figures} == figures
    assert (histogram["type"], histogram["value"]) == ("histogram", None)
    assert odd["value"] != odd["value"]  # NaN
    assert abs((datetime.now(UTC) - gauge["created"]).total_seconds()) < 60


async def test_events_read_back_as_written(ledger_url, ask):
    about = {"component": "engine", "symbol": "BTCUSDT", "user": "ops"}
    await events_of(ledger_url).write(
        [
            an_event(severity="critical", wall_ms=WALL_MS, details={"a": 1, "b": None, "c": "d", "e": 0.5}, **about),
            an_event(),
        ]
    )
    full, plain = ask(ledger_url, ALL_EVENTS)
    assert (full["event_type"], full["severity"], full["message"]) == ("tried", "critical", "it was tried")
    assert {name: full[name] for name in about} == about
    assert (full["created"], full["metadata"]) == (WALL, {"a": 1, "b": None, "c": "d", "e": 0.5})
    assert (plain["component"], plain["metadata"]) == (None, {})
    assert abs((datetime.now(UTC) - plain["created"]).total_seconds()) < 60


async def test_nothing_to_write_asks_nobody():
    await metrics_of("postgresql://127.0.0.1:1/x").write([])
    await events_of("postgresql://127.0.0.1:1/x").write([])


async def test_text_that_postgres_does_not_take_is_mended(ledger_url, ask):
    await events_of(ledger_url).write([an_event(message="a\0b\udcff", user="\0", details={"k\0": "v\0\ud800"})])
    await metrics_of(ledger_url).write([a_gauge(tags={"path": "\0"})])
    (event,) = ask(ledger_url, ALL_EVENTS)
    assert (event["message"], event["user"], event["metadata"]) == ("a\ufffdb?", "\ufffd", {"k\ufffd": "v\ufffd?"})
    assert ask(ledger_url, ALL_METRICS)[0]["tags"] == {"path": "\ufffd"}


async def test_all_rows_or_none(ledger_url, ask):
    with pytest.raises(BadMessage, match="out of range"):
        await metrics_of(ledger_url).write([a_gauge(value=1.0), a_gauge(count=2**63)])
    assert ask(ledger_url, ALL_METRICS) == []
    with pytest.raises(BadMessage, match="more than"):
        await metrics_of(ledger_url).write([a_gauge()] * (ROWS_MAX + 1))
    await metrics_of(ledger_url).write([a_gauge()] * ROWS_MAX)
    assert len(ask(ledger_url, ALL_METRICS)) == ROWS_MAX


# ---------------------------------------------------------------- what a caller is told


async def test_a_database_without_the_tables_is_named(postgres_url):
    with pytest.raises(TransientError, match="has not got the ledger's tables yet"):
        await metrics_of(postgres_url).write([a_gauge()])


async def test_a_user_without_the_right_is_told(ledger_url, ask):
    ask(ledger_url, "CREATE ROLE narrow LOGIN PASSWORD 'narrow'")
    try:
        narrow = psycopg.conninfo.make_conninfo(ledger_url, user="narrow", password="narrow")
        with pytest.raises(TransientError, match="refuses the monitor its tables"):
            await events_of(narrow).write([an_event()])
    finally:
        ask(ledger_url, "DROP ROLE narrow")


async def test_nobody_there_is_an_answer_that_did_not_come(free_port):
    with pytest.raises(TransientError, match="Postgres does not answer"):
        await metrics_of(f"postgresql://u@127.0.0.1:{free_port}/x").write([a_gauge()])


def test_an_address_that_is_none_is_named_and_not_shown():
    with pytest.raises(ConfigError, match="P95_POSTGRES_URL is no address") as caught:
        Postgres(Secret("postgresql://u:hunter2@h:port:x/?what=ever"))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


# ---------------------------------------------------------------- a server that fails


@pytest.fixture
def own_server(make_postgres, migrate_now):
    """A Postgres of the test's own with the ledger's tables."""
    server = make_postgres()
    server.create_database("phoenix95")
    migrate_now(server.url("phoenix95"))
    return server


async def test_a_restarted_server_is_no_special_case(own_server, ask):
    url = own_server.url("phoenix95")
    events = events_of(url)
    await events.write([an_event()])
    own_server.stop()
    with pytest.raises(TransientError, match="does not answer"):
        await events.write([an_event()])
    own_server.start()
    await events.write([an_event()])
    assert len(ask(url, ALL_EVENTS)) == 2


async def test_a_server_that_hangs_at_the_door_is_given_up(own_server):
    url = own_server.url("phoenix95")
    os.kill(own_server.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(TransientError, match="does not answer"):
            await events_of(url).write([an_event()])
        assert time.monotonic() - began < DEADLINE_S + AT_ONCE_S
    finally:
        os.kill(own_server.process.pid, signal.SIGCONT)


@pytest.fixture
def locked_url(own_server):
    """A database in which every write to system_events waits; on a server of our own, whose processes we stop."""
    url = own_server.url("phoenix95")
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE ledger.system_events")
        yield url


async def waiting_backend(ask, url):
    for _ in range(200):
        found = ask(url, "SELECT pid FROM pg_stat_activity WHERE application_name = 'p95-monitor' AND state = 'active'")
        if found:
            return found[0]["pid"]
        await asyncio.sleep(0.01)
    raise AssertionError("the write did not reach the server")


async def test_a_table_that_is_locked_takes_too_long(locked_url):
    with pytest.raises(TransientError, match="took too long"):
        await events_of(locked_url).write([an_event()])


async def test_a_server_that_hangs_in_the_middle_is_given_up_in_time(locked_url, ask):
    began = time.monotonic()
    writing = asyncio.create_task(events_of(locked_url).write([an_event()]))
    pid = await waiting_backend(ask, locked_url)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TransientError, match="does not answer"):
            await writing
        assert time.monotonic() - began < DEADLINE_S + AT_ONCE_S
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_write_that_hangs_can_be_cancelled(locked_url, ask):
    writing = asyncio.create_task(events_of(locked_url).write([an_event()]))
    pid = await waiting_backend(ask, locked_url)
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert time.monotonic() - began < AT_ONCE_S
    finally:
        os.kill(pid, signal.SIGCONT)
