"""The monitor against a real Redis: what it writes, when Redis goes, and as a process."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

import pytest

from phoenix95.common import keys
from phoenix95.common.bus import connect
from phoenix95.common.bus.acl import acl_file
from phoenix95.common.bus.append import append
from phoenix95.common.bus.beat import list_heartbeats, read_value
from phoenix95.common.bus.reader import tail
from phoenix95.common.errors import ConfigError
from phoenix95.common.events import Subscribe
from phoenix95.common.serve import Context
from phoenix95.common.settings import Secret
from phoenix95.common.wire import alert_decoder, host_decoder, monitor_status_decoder
from phoenix95.monitor.config import MonitorSettings
from phoenix95.monitor.service import main

WAIT_S = 10
POLL_S = 0.02


async def until(holds):
    for _ in range(int(WAIT_S / POLL_S)):
        if found := await holds():
            return found
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"{holds} did not hold within {WAIT_S} s")


async def running(context, work):
    """Run the monitor while `work` does."""
    task = asyncio.create_task(main(context))
    worker = asyncio.create_task(work)
    await asyncio.wait({task, worker}, return_when=asyncio.FIRST_COMPLETED)
    context.stop.set()
    await task
    await worker


def a_context(redis_url, **settings):
    return Context("monitor", MonitorSettings(redis_url=redis_url, sample_ms=100, **settings))


async def test_the_state_is_written_with_an_expiry_and_kept_in_the_stream(redis_url):
    context = a_context(redis_url)
    redis = connect(redis_url, name="test")

    async def work():
        value = await until(lambda: read_value(redis, keys.HOST_NOW))
        assert host_decoder.decode(value).cpu_count == os.cpu_count()
        assert 0 < await redis.pttl(keys.HOST_NOW) <= 200  # two intervals
        entries = await until(lambda: two_entries(redis))
        kept = host_decoder.decode(entries[-1][1][b"d"])
        assert kept.memory_total > 0
        assert kept.other_python == ()  # those are for the moment
        assert any(process.pid == os.getpid() for process in host_decoder.decode(value).other_python)
        (beat,) = await list_heartbeats(redis)
        assert (beat.service, beat.instance) == ("monitor", context.instance)
        assert context.health.ready
        assert b"p95_host_cpu_percent" in context.metrics.text()

    await running(context, work())
    await redis.aclose()


async def test_the_status_is_made_of_what_the_streams_hold(redis_url):
    redis = connect(redis_url, name="test")

    async def status_of(context, holds):
        async def held():
            value = await read_value(redis, keys.MONITOR_STATUS)
            found = None if value is None else monitor_status_decoder.decode(value)
            ours = found is not None and found.started_wall_ms == context.started_wall_ms
            return found if ours and holds(found) else None

        status = await until(held)
        assert await redis.pttl(keys.MONITOR_STATUS) <= 200
        return status

    async def first(context):
        status = await status_of(context, lambda status: status.averaged == 20)
        assert status.running
        assert status.latest.process_memory >= 0
        assert (status.memory_limit, status.notifications.channels) == (500_000_000, ())
        assert 0 < status.uptime_ms < WAIT_S * 1000
        assert status.healthy == (not status.unhealthy)

    async def again(context):
        # a new monitor knows at once what the one before saw
        assert (await status_of(context, lambda status: status.averaged == 20)).samples_1h >= 20

    for work in (first, again):
        context = a_context(redis_url)
        await running(context, work(context))
    await redis.aclose()


async def test_what_is_above_a_limit_becomes_an_alert_once(redis_url):
    redis = connect(redis_url, name="test")
    context = a_context(redis_url, memory_threshold=0.001, cpu_threshold=100, disk_threshold=100, max_memory_mb=10**9)

    async def alerts():
        return [alert_decoder.decode(fields[b"d"]) for _, fields in await tail(redis, keys.ALERT, 10)]

    async def counted():
        value = await read_value(redis, keys.MONITOR_STATUS)
        return value is not None and monitor_status_decoder.decode(value).alerts_24h == 1

    async def work():
        await until(counted)
        await asyncio.sleep(0.5)  # some samples more
        (alert,) = await alerts()
        assert (alert.kind, alert.severity, alert.service) == ("system_memory", "warning", "monitor")
        assert b'p95_monitor_alerts_total{kind="system_memory"} 1.0' in context.metrics.text()

    await running(context, work())
    await redis.aclose()


async def test_alerts_wait_while_redis_is_away(make_redis):
    server = make_redis()
    server.stop()
    context = a_context(server.url, memory_threshold=0.001)
    redis = connect(server.url, name="test")

    async def work():
        await asyncio.sleep(0.3)
        server.start()
        await until(lambda: read_value(redis, keys.HOST_NOW))
        kinds = {alert_decoder.decode(fields[b"d"]).kind for _, fields in await tail(redis, keys.ALERT, 10)}
        assert "system_memory" in kinds

    await running(context, work())
    await redis.aclose()


async def two_entries(redis):
    entries = await tail(redis, keys.HOST, 10)
    return entries if len(entries) >= 2 else None


async def test_it_outlives_redis_and_goes_on(make_redis):
    server = make_redis()
    context = a_context(server.url)

    async def work():
        await until(lambda: ready(context))
        server.kill()
        await until(lambda: not_ready(context))
        assert context.health.reasons()["redis"] == "Redis does not answer"
        server.start()
        await until(lambda: ready(context))

    await running(context, work())


async def ready(context):
    return context.health.ready


async def not_ready(context):
    return not context.health.ready


async def test_its_own_redis_user_is_enough_and_may_do_no_more(make_redis):
    server = make_redis(acl=acl_file({"monitor": "only-for-tests"}))
    redis = connect(server.url, name="test", username="monitor", password="only-for-tests")
    url = f"unix://monitor:only-for-tests@{server.url.removeprefix('unix://')}"
    context = a_context(url)

    async def work():
        await until(lambda: read_value_as_user(redis))
        with pytest.raises(ConfigError):
            await append(redis, keys.COMMAND, Subscribe(symbol="BTCUSDT"))

    await running(context, work())
    await redis.aclose()


async def read_value_as_user(redis):
    return await read_value(redis, keys.HOST_NOW)


async def test_a_path_that_is_not_there_is_named():
    context = a_context("redis://127.0.0.1:1", disk_path="/no/such/path")
    with pytest.raises(ConfigError, match="P95_MONITOR_DISK_PATH: /no/such/path: No such file"):
        await main(context)


async def test_a_channel_that_is_none_ends_it():
    context = a_context("redis://127.0.0.1:1", notify_urls=Secret("hunter2://x"))
    with pytest.raises(ConfigError, match="form of address 1 of 1"):
        await main(context)


def test_the_process_says_that_it_waits_for_redis_and_stops_when_asked(free_port):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("P95_")},
            "P95_REDIS_URL": f"redis://127.0.0.1:{unused.getsockname()[1]}/0",
            "P95_MONITOR_HTTP_PORT": str(free_port),
        }
        process = subprocess.Popen([sys.executable, "-m", "phoenix95.monitor"], env=env, stderr=subprocess.PIPE)
        seen = b""
        while b"waiting_for" not in seen:
            line = process.stderr.readline()
            assert line, seen
            seen += line
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=WAIT_S)[1]
    assert process.returncode == 0
    assert b"Traceback" not in seen + rest
