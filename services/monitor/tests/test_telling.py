"""People are told of what really stands in the streams: on a real Redis and Postgres, over real HTTP."""

import asyncio
import contextlib
import time

import pytest

from phoenix95.common import keys
from phoenix95.common.bus import connect
from phoenix95.common.bus.acl import acl_file
from phoenix95.common.bus.append import append, append_once
from phoenix95.common.bus.client import execute
from phoenix95.common.bus.offsets import read_offsets
from phoenix95.common.bus.reader import tail
from phoenix95.common.events import Alert, Notify, OrderChanged, PositionChanged, Subscribe
from phoenix95.common.ids import StreamId
from phoenix95.common.serve import Context
from phoenix95.common.settings import Secret
from phoenix95.common.wire import ack_decoder, alert_decoder, dead_letter_decoder
from phoenix95.monitor.config import MonitorSettings
from phoenix95.monitor.core.bucket import CAPACITY, RESERVE
from phoenix95.monitor.service import main

WAIT_S = 15
POLL_S = 0.02
EVENTS = "SELECT event_type, severity, message, component, symbol, metadata FROM ledger.system_events ORDER BY id"
HOUR_MS = 3_600_000


async def until(holds):
    for _ in range(int(WAIT_S / POLL_S)):
        if found := await holds():
            return found
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"{holds} did not hold within {WAIT_S} s")


async def until_told(receiver, *titles):
    async def told():
        return set(receiver.titles()) >= {f"[PAPER] {title}" for title in titles}

    await until(told)


@contextlib.asynccontextmanager
async def a_monitor(redis_url, *urls, **changes):
    # Limits that this machine does not reach, so that only what a test raises is told.
    calm = {"max_memory_mb": 10**9, "memory_threshold": 100, "cpu_threshold": 100, "disk_threshold": 100}
    calm |= {"connections_threshold": 10**9, "sample_ms": 60_000, "notify_urls": Secret("\n".join(urls))}
    context = Context("monitor", MonitorSettings(redis_url=redis_url, **calm | changes))
    task = asyncio.create_task(main(context))
    try:
        async with asyncio.timeout(WAIT_S):
            while not context.health.ready:
                await asyncio.sleep(POLL_S)
                if task.done():
                    await task
        yield context
    finally:
        context.stop.set()
        began = time.monotonic()
        await task
        assert time.monotonic() - began < 8


@pytest.fixture
async def redis(redis_url):
    connection = connect(redis_url, name="test")
    yield connection
    await connection.aclose()


def an_alert(**changes):
    values = {"service": "executor", "severity": "critical", "kind": "unprotected", "message": "no stop", **changes}
    return Alert(ts_wall_ms=1_700_000_000_000, **values)


def opened(number, **changes):
    values = {"state": "opened", "side": "long", "size": "1", "entry_price": str(number), **changes}
    return PositionChanged(analysis_id=f"a{number}", symbol="BTCUSDT", ts=number, **values)


async def ack_of(redis, command_id):
    async def acked():
        found = [ack_decoder.decode(fields[b"d"]) for _, fields in await tail(redis, keys.ACK, 100)]
        return next((ack for ack in found if ack.command_id == command_id), None)

    return await until(acked)


async def test_an_alert_of_any_service_is_a_row_before_it_is_told(redis_url, redis, ledger_url, ask, receiver):
    receiver.look = lambda: ask(ledger_url, EVENTS)
    async with a_monitor(redis_url, receiver.json_url, postgres_url=Secret(ledger_url)):
        entry_id = await append(redis, keys.ALERT, an_alert(symbol="BTCUSDT"))
        await until_told(receiver, "Critical: unprotected BTCUSDT")
    ((row,),) = receiver.seen  # at the moment of telling it was there
    assert receiver.told[0]["title"] == "[PAPER] Critical: unprotected BTCUSDT"
    assert receiver.told[0]["message"] == "no stop (executor)"
    assert (row["event_type"], row["severity"], row["message"]) == ("unprotected", "critical", "no stop")
    assert (row["component"], row["symbol"], row["metadata"]["alert"]) == ("executor", "BTCUSDT", entry_id)


async def test_the_same_alert_is_told_once_in_ten_minutes_but_kept_each_time(
    redis_url, redis, ledger_url, ask, receiver
):
    async with a_monitor(redis_url, receiver.json_url, postgres_url=Secret(ledger_url)):
        for _ in range(3):
            await append(redis, keys.ALERT, an_alert())
        await append(redis, keys.ALERT, an_alert(kind="other"))
        await until_told(receiver, "Critical: unprotected", "Critical: other")
    assert len(receiver.told) == 2
    assert len(ask(ledger_url, EVENTS)) == 4


async def test_trades_are_told_success_and_failure(redis_url, redis, receiver):
    refused = OrderChanged(
        analysis_id="b", symbol="ETHUSDT", ts=5, client_id="c", role="entry", state="REJECTED", side="BUY",
        quantity="2", reason="-2019: margin is insufficient",
    )  # fmt: skip
    async with a_monitor(redis_url, receiver.json_url):
        await append_once(redis, keys.ORDER, opened(1), StreamId(1, 0))
        await append_once(redis, keys.ORDER, opened(1, state="protected"), StreamId(2, 0))
        await append_once(redis, keys.ORDER, refused, StreamId(5, 0))
        await until_told(receiver, "Success: trade opened BTCUSDT", "Error: trade failed ETHUSDT")
    assert len(receiver.told) == 2
    assert "margin is insufficient" in receiver.told[1]["message"]


async def test_a_restart_goes_on_where_it_was(redis_url, redis, receiver):
    await append_once(redis, keys.ORDER, opened(1), StreamId(1, 0))  # before anybody looked: no news
    async with a_monitor(redis_url, receiver.json_url):
        await append_once(redis, keys.ORDER, opened(2), StreamId(2, 0))
        await until_told(receiver, "Success: trade opened BTCUSDT")
    await append_once(redis, keys.ORDER, opened(3), StreamId(3, 0))
    async with a_monitor(redis_url, receiver.json_url):
        await until(lambda: told_of(receiver, 2))
    assert [told["message"] for told in receiver.told] == ["long 1 BTCUSDT at 2", "long 1 BTCUSDT at 3"]
    assert (await read_offsets(redis, keys.MONITOR_OFFSETS))["order"] == "3-0"


async def told_of(receiver, count):
    return len(receiver.told) >= count


# ---------------------------------------------------------------- what a person wants said


async def test_a_message_is_kept_told_and_acknowledged(redis_url, redis, ledger_url, ask, receiver):
    async with a_monitor(redis_url, receiver.json_url, postgres_url=Secret(ledger_url)):
        await append(redis, keys.COMMAND, Subscribe(symbol="BTCUSDT"))  # another's
        for number in (1, 2):  # said twice means twice
            ack = await ack_of(redis, await append(redis, keys.COMMAND, Notify(message="lunch", severity="info")))
            assert (ack.ok, ack.service, ack.message) == (True, "monitor", "told over JSON")
            assert len(receiver.told) == number
        await asyncio.sleep(1.2)  # it comes back as an alert, and is not told again
    assert receiver.titles() == ["[PAPER] Info: message"] * 2
    assert len(await tail(redis, keys.ACK, 10)) == 2
    assert [(row["event_type"], row["message"]) for row in ask(ledger_url, EVENTS)] == [("message", "lunch")] * 2
    alert = alert_decoder.decode((await tail(redis, keys.ALERT, 1))[0][1][b"d"])
    assert (alert.kind, alert.service, alert.message) == ("message", "monitor", "lunch")


async def test_without_a_channel_a_message_is_kept_and_says_so(redis_url, redis):
    async with a_monitor(redis_url):
        ack = await ack_of(redis, await append(redis, keys.COMMAND, Notify(message="lunch", severity="info")))
    assert ack.ok
    assert ack.message == "kept as an alert; nobody was told, because no channel is set"
    assert len(await tail(redis, keys.ALERT, 10)) == 1


async def test_a_channel_that_fails_is_named(redis_url, redis, receiver, free_port):
    async with a_monitor(redis_url, receiver.json_url, f"xml://127.0.0.1:{free_port}/"):
        ack = await ack_of(redis, await append(redis, keys.COMMAND, Notify(message="lunch", severity="info")))
    assert (ack.ok, ack.message) == (False, "told over JSON; not taken by XML")


async def test_what_is_old_is_no_news(redis_url, redis, ledger_url, ask, receiver):
    old_ms = time.time_ns() // 1_000_000 - HOUR_MS
    await append(redis, keys.ALERT, an_alert(), id=f"{old_ms}-0")
    command_id = await append(redis, keys.COMMAND, Notify(message="lunch", severity="info"), id=f"{old_ms}-0")
    async with a_monitor(redis_url, receiver.json_url, postgres_url=Secret(ledger_url)):
        ack = await ack_of(redis, command_id)
        assert (ack.ok, ack.message) == (False, "nobody was told: the monitor was away for too long")
        await until(lambda: rows(ask, ledger_url, 1))
    assert receiver.told == []


async def rows(ask, url, count):
    return len(ask(url, EVENTS)) >= count


async def test_more_than_people_can_read_is_left_out_but_not_what_is_urgent(redis_url, redis, receiver):
    async with a_monitor(redis_url, receiver.json_url) as context:
        for number in range(CAPACITY + 5):
            await append_once(redis, keys.ORDER, opened(number + 1), StreamId(number + 1, 0))
        await until(lambda: left_out(context))
        await append(redis, keys.ALERT, an_alert())
        await until_told(receiver, "Critical: unprotected")
    assert CAPACITY - RESERVE < len(receiver.told) < CAPACITY
    assert "were too many at a time and left out" in receiver.told[-1]["message"]


async def left_out(context):
    text = context.metrics.text().decode()
    return 'channel="all",outcome="left_out"} ' in text and 'left_out"} 0.0' not in text


# ---------------------------------------------------------------- outages


async def test_while_postgres_is_away_people_are_told_and_rows_come_later(
    redis_url, redis, make_postgres, migrate_now, ask, receiver
):
    server = make_postgres()
    server.create_database("phoenix95")
    url = server.url("phoenix95")
    migrate_now(url)
    async with a_monitor(redis_url, receiver.json_url, postgres_url=Secret(url)) as context:
        server.stop()
        await append(redis, keys.ALERT, an_alert())
        await until_told(receiver, "Critical: unprotected")
        assert "does not answer" in context.health.reasons()["system_events"]
        await append(redis, keys.ALERT, an_alert(kind="other"))
        server.start()
        await until(lambda: rows(ask, url, 2))
    assert [row["event_type"] for row in ask(url, EVENTS)] == ["unprotected", "other"]


async def test_it_outlives_redis_and_a_stream_that_lost_everything(make_redis, receiver):
    server = make_redis()
    redis = connect(server.url, name="test")
    async with a_monitor(server.url, receiver.json_url, sample_ms=100) as context:
        await append(redis, keys.ALERT, an_alert(), id=f"{time.time_ns() // 1_000_000 + 60_000}-0")
        await until_told(receiver, "Critical: unprotected")
        server.kill()
        await until(lambda: redis_is(context, "Redis does not answer"))
        server.start()
        await until(lambda: redis_is(context, None))
        await execute(redis, "FLUSHALL")
        await append(redis, keys.ALERT, an_alert(kind="other"))
        await until_told(receiver, "Critical: other")
    await redis.aclose()


async def redis_is(context, reason):
    return context.health.reasons()["redis"] == reason


async def test_an_entry_that_nobody_can_read_is_buried_and_does_not_stop_the_rest(redis_url, redis, receiver):
    async with a_monitor(redis_url, receiver.json_url):
        await execute(redis, "XADD", keys.ALERT, "*", "d", "{no json")
        await execute(redis, "XADD", keys.ALERT, "*", "x", b"\xff")
        await execute(redis, "XADD", keys.COMMAND, "*", "d", '{"t":"nonsense"}')
        await execute(redis, "XADD", keys.ORDER, "1-1", "d", b"\xff\xfe")
        await append(redis, keys.ALERT, an_alert())
        await until_told(receiver, "Critical: unprotected")
        letters = await until(lambda: three_letters(redis))
    assert {letter.source for letter in letters} == {keys.ALERT, keys.ORDER}


async def three_letters(redis):
    found = [dead_letter_decoder.decode(fields[b"d"]) for _, fields in await tail(redis, "p95:dlq:monitor", 10)]
    return found if len(found) >= 3 else None


async def test_its_own_redis_user_is_enough(make_redis, receiver):
    server = make_redis(acl=acl_file({"monitor": "only-for-tests", "gateway": "only-for-tests"}))
    path = server.url.removeprefix("unix://")
    gateway = connect(server.url, name="test", username="gateway", password="only-for-tests")
    async with a_monitor(f"unix://monitor:only-for-tests@{path}", receiver.json_url):
        await ack_of(gateway, await append(gateway, keys.COMMAND, Notify(message="lunch", severity="info")))
    assert len(receiver.told) == 1
    await gateway.aclose()
