"""The bookkeeper on a real Postgres, with services whose operations port is the real one."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from phoenix95.common.errors import TransientError
from phoenix95.common.health import Health
from phoenix95.common.metrics import Metrics
from phoenix95.common.ops_server import OpsServer
from phoenix95.common.serve import Context, bind
from phoenix95.common.settings import Secret
from phoenix95.monitor.bookkeeper import Bookkeeper
from phoenix95.monitor.config import MonitorSettings
from phoenix95.monitor.ledger.postgres import Postgres
from phoenix95.monitor.probes.figures import BODY_BYTES_MAX, DEADLINE_S, FigureProbe

WAIT_S = 20
POLL_S = 0.05
EVENTS = "SELECT event_type, component, severity FROM ledger.system_events ORDER BY id"


async def until(holds):
    for _ in range(int(WAIT_S / POLL_S)):
        if found := holds():
            return found
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"{holds} did not hold within {WAIT_S} s")


@contextlib.asynccontextmanager
async def a_service(metrics, port):
    server = OpsServer(bind("127.0.0.1", port, "P95_ENGINE_HTTP_PORT"), Health(), metrics)
    task = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.stop()
        await task


@contextlib.asynccontextmanager
async def books(postgres_url, *targets):
    settings = MonitorSettings(postgres_url=Secret(postgres_url), figures_ms=1_000, targets=targets)
    context = Context("monitor", settings)
    task = asyncio.create_task(Bookkeeper(context, Postgres(settings.postgres_url)).run())
    try:
        yield context
    finally:
        context.stop.set()
        began = time.monotonic()
        await task
        assert time.monotonic() - began < 5


async def test_every_services_figures_are_written_each_interval(ledger_url, ask, free_port):
    metrics = Metrics()
    metrics.hop_histogram("engine_to_commit").observe(4)
    ticks = metrics.counter("p95_engine_ticks_total", "ticks")
    ticks.inc(3)

    def ticks_written():
        return [
            row["value"]
            for row in ask(
                ledger_url,
                "SELECT value FROM ledger.performance_metrics WHERE name = 'p95_engine_ticks_total' ORDER BY id",
            )
        ]

    async with a_service(metrics, free_port), books(ledger_url, f"engine=http://127.0.0.1:{free_port}") as context:
        await until(ticks_written)
        ticks.inc(2)
        await until(lambda: 5.0 in ticks_written())
        assert context.health.reasons()["postgres"] is None
        assert context.metrics.average("p95_monitor_rows", table="performance_metrics") > 0
    assert ticks_written()[0] == 3.0
    (hop, *_) = ask(ledger_url, "SELECT * FROM ledger.performance_metrics WHERE type = 'histogram' ORDER BY id")
    assert (hop["name"], hop["tags"]) == ("p95_hop_latency_ms", {"hop": "engine_to_commit", "service": "engine"})
    assert [hop[name] for name in ("count", "min", "max", "avg", "p50", "p95", "p99")] == [1, 4, 4, 4, 4, 4, 4]
    services = ask(ledger_url, "SELECT DISTINCT tags->>'service' AS name FROM ledger.performance_metrics ORDER BY 1")
    assert [row["name"] for row in services] == ["engine", "monitor"]
    assert ask(ledger_url, EVENTS) == []


async def test_who_goes_away_and_comes_back_is_told_once_each(ledger_url, ask, free_port):
    def told():
        return [(row["event_type"], row["severity"]) for row in ask(ledger_url, EVENTS)]

    async with books(ledger_url, f"engine=http://127.0.0.1:{free_port}"):
        await until(told)
        await asyncio.sleep(2.2)  # two more intervals without an answer
        assert told() == [("service_away", "warning")]
        async with a_service(Metrics(), free_port):
            await until(lambda: len(told()) == 2)
    assert told() == [("service_away", "warning"), ("service_back", "info")]
    assert {row["component"] for row in ask(ledger_url, EVENTS)} == {"engine"}


async def test_events_wait_while_postgres_is_away(make_postgres, migrate_now, ask, free_port):
    server = make_postgres()
    server.create_database("phoenix95")
    url = server.url("phoenix95")
    migrate_now(url)
    server.stop()
    async with books(url, f"engine=http://127.0.0.1:{free_port}") as context:
        await until(lambda: context.health.reasons().get("postgres") == "Postgres does not answer")
        server.start()
        await until(lambda: context.health.reasons()["postgres"] is None)
    assert [row["event_type"] for row in ask(url, EVENTS)] == ["service_away"]


# ---------------------------------------------------------------- what a scrape may meet


@contextlib.asynccontextmanager
async def answering(*parts, every_s=0.0):
    async def answer(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(every_s)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    finally:
        server.close()


OK = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([b"HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n"], "it answers 503"),
        ([b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"], "it answers 302"),
        ([OK, b"<html>who are you?</html>\n"], "no Prometheus text"),
        ([OK, b"\xff\x00{{{"], "no Prometheus text"),
        ([OK, b"# TYPE a histogram\na_count x\n"], "no Prometheus text"),
        ([OK, *[b"#" * 65536] * (BODY_BYTES_MAX // 65536 + 2)], "longer than"),
        ([b"nonsense\r\n\r\n"], "no answer"),
        ([], "no answer"),
    ],
)
async def test_a_bad_answer_is_an_absent_service(parts, says):
    async with FigureProbe() as probe, answering(*parts) as url:
        with pytest.raises(TransientError, match=says):
            await probe.readings(url)


async def test_an_answer_that_drips_is_given_up():
    async with FigureProbe() as probe, answering(OK, *[b"# slow\n"] * 1000, every_s=0.1) as url:
        began = time.monotonic()
        with pytest.raises(TransientError, match="no answer in time"):
            await probe.readings(url)
        assert time.monotonic() - began < DEADLINE_S + 1


async def test_nobody_listening_is_told(free_port):
    async with FigureProbe() as probe:
        with pytest.raises(TransientError, match="no answer: "):
            await probe.readings(f"http://127.0.0.1:{free_port}/metrics")


# ---------------------------------------------------------------- as processes


def test_monitor_and_engine_as_processes_leave_rows(redis_url, ledger_url, ask, free_port):
    with contextlib.ExitStack() as stack:
        shared = {
            **{name: value for name, value in os.environ.items() if not name.startswith("P95_")},
            "P95_REDIS_URL": redis_url,
        }
        engine_env = {**shared, "P95_ENGINE_HTTP_PORT": str(free_port)}
        monitor_env = {
            **shared,
            "P95_POSTGRES_URL": ledger_url,
            "P95_MONITOR_HTTP_PORT": "0",
            "P95_MONITOR_FIGURES_MS": "1000",
            "P95_MONITOR_TARGETS": f"engine=http://127.0.0.1:{free_port}",
        }
        processes = []
        for service, env in (("engine", engine_env), ("monitor", monitor_env)):
            process = subprocess.Popen(
                [sys.executable, "-m", f"phoenix95.{service}"], env=env, stderr=subprocess.PIPE, text=True
            )
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        names = "SELECT DISTINCT tags->>'service' AS name FROM ledger.performance_metrics ORDER BY 1"
        for _ in range(int(WAIT_S / POLL_S)):
            if [row["name"] for row in ask(ledger_url, names)] == ["engine", "monitor"]:
                break
            time.sleep(POLL_S)
        else:
            raise AssertionError(ask(ledger_url, names))
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
            assert "Traceback" not in process.communicate(timeout=WAIT_S)[1]
            assert process.returncode == 0
