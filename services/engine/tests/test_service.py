"""The engine on a real Redis: what it publishes is the fold of what is stored, whatever happens to it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from phoenix95.common import keys
from phoenix95.common.bus import Connection, connect
from phoenix95.common.bus.acl import USERS, acl_file
from phoenix95.common.bus.append import append
from phoenix95.common.bus.client import execute
from phoenix95.common.bus.commit import FencedLog, Output
from phoenix95.common.bus.reader import entries_between, last_id
from phoenix95.common.bus.symbols import add_symbol, remove_symbol
from phoenix95.common.errors import ConfigError, Diverged
from phoenix95.common.events import Analysis, Marker, Request, Trade
from phoenix95.common.ids import StreamId, partition_of
from phoenix95.common.serve import Context
from phoenix95.common.settings import Secret
from phoenix95.common.wire import dead_letter_decoder, encode, engine_output_decoder
from phoenix95.engine.config import EngineSettings
from phoenix95.engine.core.answer import answer
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.fold import fold_entries
from phoenix95.engine.core.state import encode_state, new_state
from phoenix95.engine.service import main

P = 16
SYMBOL, OTHER = "BTCUSDT", "ETHUSDT"
LogEntry = tuple[str, dict[bytes, bytes]]
MakeLog = Callable[..., list[LogEntry]]
SOON_S = 15.0


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Connection]:
    connection = connect(redis_url, name="test")
    yield connection
    await connection.aclose()


class Running:
    """An engine in this process."""

    def __init__(self, settings: EngineSettings, name: str) -> None:
        self.context = Context("engine", settings)
        self.context.instance = name
        self.task = asyncio.ensure_future(main(self.context))

    async def stop(self) -> None:
        self.context.stop.set()
        await self.task

    async def crash(self) -> None:
        """As kill -9 would: nothing more is committed, nothing is released."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("phoenix95.common.bus.commit.FencedLog.release", _nothing)
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task


async def _nothing(*_: object) -> None:
    """Stands in for what a killed process does not do."""


@asynccontextmanager
async def engine(redis_url: str, name: str = "one", **settings: object) -> AsyncIterator[Running]:
    running = Running(EngineSettings(redis_url=redis_url, **{"lease_ms": 1000, **settings}), name)  # type: ignore[arg-type]
    try:
        yield running
    finally:
        if not running.task.done():
            await running.stop()


async def publish(redis: Connection, symbol: str, log: list[LogEntry]) -> None:
    async with redis.pipeline(transaction=False) as pipe:
        for entry_id, fields in log:
            pipe.execute_command(
                "XADD", keys.tick(symbol, P), entry_id, *(part for pair in fields.items() for part in pair)
            )
        await pipe.execute()


async def stored(redis: Connection, key: str) -> list[tuple[str, bytes]]:
    return [(entry_id, fields[b"d"]) for entry_id, fields in await entries_between(redis, key, "-", "+", 100_000)]


async def oracle(redis: Connection, symbol: str, config: Config) -> list[tuple[str, bytes]]:
    """What the analysis stream must hold: the fold of the stored ticks, in one go."""
    ticks = await entries_between(redis, keys.tick(symbol, P), "-", "+", 1_000_000)
    folded = fold_entries(new_state(symbol, config), ticks)
    return [(str(output.id), encode(output.event)) for output in folded.published]


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + SOON_S
    while not await condition():
        assert time.monotonic() < deadline, f"waited for {what} in vain"
        await asyncio.sleep(0.02)


async def until_read(redis: Connection, *symbols: str) -> None:
    """Wait until the committed offset of each symbol is the top of its stream."""

    async def done() -> bool:
        for symbol in symbols:
            top = str(await last_id(redis, keys.tick(symbol, P)))
            offset = await execute(redis, "HGET", keys.checkpoint(partition_of(symbol, P)), f"off:{symbol}")
            if offset != top.encode():
                return False
        return True

    await until(done, f"{symbols} to be read")


async def ask(redis: Connection, request: Request, symbol: str = SYMBOL) -> tuple[str, Analysis]:
    request_id = await append(redis, keys.request(symbol, P), request)

    async def answered() -> bool:
        return str(await last_id(redis, keys.reply(symbol, P))) == request_id

    await until(answered, "the reply")
    found = engine_output_decoder.decode((await stored(redis, keys.reply(symbol, P)))[-1][1])
    assert isinstance(found, Analysis)
    return request_id, found


async def test_the_analysis_stream_is_the_fold_of_the_tick_stream(
    redis: Connection, redis_url: str, make_log: MakeLog
) -> None:
    for number, symbol in enumerate((SYMBOL, OTHER)):
        await add_symbol(redis, symbol)
        await publish(redis, symbol, make_log(number, seeds=100, minutes=30))
    async with engine(redis_url, bar_ms=(5_000, 60_000)) as running:
        await until_read(redis, SYMBOL, OTHER)
        assert running.context.health.ready, running.context.health.reasons()
        more = make_log(0, seeds=100, minutes=35)
        await publish(redis, SYMBOL, more[len(make_log(0, seeds=100, minutes=30)) :])
        await until_read(redis, SYMBOL)
    for symbol in (SYMBOL, OTHER):
        expected = await oracle(redis, symbol, Config(bar_ms=(5_000, 60_000)))
        assert len(expected) > 300
        assert await stored(redis, keys.analysis(symbol, P)) == expected
    entries = await entries_between(redis, keys.analysis(SYMBOL, P), "-", "+", 5)
    assert all(b'"received":' in fields[b"s"] for _, fields in entries)


async def test_a_crash_repeats_a_batch_and_never_an_analysis(
    redis: Connection, redis_url: str, make_log: MakeLog
) -> None:
    await add_symbol(redis, SYMBOL)
    log = make_log(7, seeds=60, minutes=40)
    at = 0
    for cut in (120, 300, len(log)):
        async with engine(redis_url, bar_ms=(5_000,)) as running:
            await publish(redis, SYMBOL, log[at:cut])
            await until_read(redis, SYMBOL)
            at = cut
            if cut < len(log):
                await running.crash()
    assert await stored(redis, keys.analysis(SYMBOL, P)) == await oracle(redis, SYMBOL, Config(bar_ms=(5_000,)))


@pytest.mark.parametrize("crash", [True, False])
async def test_another_config_governs_what_comes_after_and_is_marked_once(
    redis: Connection, redis_url: str, make_log: MakeLog, crash: bool
) -> None:
    await add_symbol(redis, SYMBOL)
    log = make_log(7, seeds=60, minutes=30)
    async with engine(redis_url) as running:
        await publish(redis, SYMBOL, log[:200])
        await until_read(redis, SYMBOL)
        if crash:
            await running.crash()
    before = await stored(redis, keys.analysis(SYMBOL, P))
    async with engine(redis_url, signal_ttl_ms=9) as running:
        await publish(redis, SYMBOL, log[200:300])
        await until_read(redis, SYMBOL)
        await running.crash()
    async with engine(redis_url, signal_ttl_ms=9):
        await publish(redis, SYMBOL, log[300:])
        await until_read(redis, SYMBOL)
    found = await stored(redis, keys.analysis(SYMBOL, P))
    events = [engine_output_decoder.decode(d) for _, d in found]
    assert found[: len(before)] == before
    markers = [at for at, event in enumerate(events) if isinstance(event, Marker)]
    assert markers == [len(before)]
    assert {event.config for event in events[len(before) :] if isinstance(event, Analysis)} == {
        Config(signal_ttl_ms=9).name
    }
    assert len(events) > len(before) + 5


async def test_a_request_is_answered_promptly_and_can_be_answered_again_from_the_log(
    redis: Connection, redis_url: str, make_log: MakeLog
) -> None:
    await add_symbol(redis, SYMBOL)
    log = make_log(7, seeds=60, minutes=5)
    await publish(redis, SYMBOL, log)
    last = StreamId.parse(log[-1][0])
    async with engine(redis_url):
        await until_read(redis, SYMBOL)
        request = Request(symbol=SYMBOL, requested_at=last.ms + 100, side="BUY", confidence=0.9, trade=True)
        began = time.monotonic()
        request_id, reply = await ask(redis, request)
        assert time.monotonic() - began < 2.0
    assert (reply.action, reply.side, reply.request, reply.as_of) == ("EXECUTE", "BUY", request_id, str(last))
    state = new_state(SYMBOL, Config())
    fold_entries(state, log)
    assert await stored(redis, keys.reply(SYMBOL, P)) == [
        (request_id, encode(answer(state, StreamId.parse(request_id), request)))
    ]


async def test_a_symbol_without_a_tick_is_answered_with_an_error(redis: Connection, redis_url: str) -> None:
    await add_symbol(redis, SYMBOL)
    async with engine(redis_url):
        _, reply = await ask(redis, Request(symbol=SYMBOL, requested_at=5, side="BUY", confidence=0.9))
    assert (reply.action, reply.reasoning) == ("ERROR", ("no trade of this symbol is known",))


async def test_a_request_waits_for_the_ticks_that_are_there_already(
    redis: Connection, redis_url: str, make_log: MakeLog
) -> None:
    await add_symbol(redis, SYMBOL)
    log = make_log(7, minutes=300)
    await publish(redis, SYMBOL, log)
    async with engine(redis_url):
        _, reply = await ask(redis, Request(symbol=SYMBOL, requested_at=StreamId.parse(log[-1][0]).ms))
    assert reply.as_of == log[-1][0]


async def test_requests_are_answered_once_across_a_crash(redis: Connection, redis_url: str, make_log: MakeLog) -> None:
    await add_symbol(redis, SYMBOL)
    log = make_log(7, seeds=60, minutes=20)
    asked = []
    for cut in range(3):
        async with engine(redis_url) as running:
            await publish(redis, SYMBOL, log[cut * 100 : cut * 100 + 100])
            asked.append((await ask(redis, Request(symbol=SYMBOL, requested_at=0, side="SELL")))[0])
            await running.crash()
    async with engine(redis_url):
        await until_read(redis, SYMBOL)
        asked.append((await ask(redis, Request(symbol=SYMBOL, requested_at=0, side="SELL")))[0])
    assert [entry_id for entry_id, _ in await stored(redis, keys.reply(SYMBOL, P))] == asked


async def test_what_cannot_be_read_is_kept_once_and_the_rest_goes_on(
    redis: Connection, redis_url: str, make_log: MakeLog
) -> None:
    await add_symbol(redis, SYMBOL)
    log = make_log(7, minutes=30)
    log[50] = (log[50][0], {b"d": b"\xff{", b"x": b"1"})
    log[90] = (log[90][0], {b"e": b"nothing"})
    async with engine(redis_url) as running:
        await publish(redis, SYMBOL, log[:200])
        await append(redis, keys.request(SYMBOL, P), Trade(price="1", quantity="1", buyer_is_maker=True, received_ms=1))
        await append(redis, keys.request(SYMBOL, P), Request(symbol=OTHER, requested_at=1))
        await until_read(redis, SYMBOL)
        await ask(redis, Request(symbol=SYMBOL, requested_at=1))
        await running.crash()
    async with engine(redis_url):
        await publish(redis, SYMBOL, log[200:])
        await until_read(redis, SYMBOL)
    letters = [
        dead_letter_decoder.decode(d) for _, d in await stored(redis, keys.dead_letter_engine(partition_of(SYMBOL, P)))
    ]
    ticks = [letter for letter in letters if letter.source == keys.tick(SYMBOL, P)]
    assert [letter.entry_id for letter in ticks] == [log[50][0], log[90][0]]
    assert ticks[0].fields == {"d": "\\xff{", "x": "1"}
    assert ticks[1].error == "no field d"
    assert [letter.error for letter in letters if letter.source == keys.request(SYMBOL, P)][1:] == [
        "asks about 'ETHUSDT'"
    ]
    assert len(letters) == 4
    assert await stored(redis, keys.analysis(SYMBOL, P)) == await oracle(redis, SYMBOL, Config())


async def test_symbols_come_and_go_while_it_runs(redis: Connection, redis_url: str, make_log: MakeLog) -> None:
    async with engine(redis_url) as running:
        await until(lambda: _ready(running), "ready without symbols")
        await add_symbol(redis, SYMBOL)
        await publish(redis, SYMBOL, make_log(1, minutes=5))
        await until_read(redis, SYMBOL)
        await remove_symbol(redis, SYMBOL)
        await add_symbol(redis, OTHER)
        await publish(redis, OTHER, make_log(2, minutes=5))
        await until_read(redis, OTHER)
        await add_symbol(redis, SYMBOL)
        await publish(redis, SYMBOL, make_log(1, minutes=6)[60:])
        await until_read(redis, SYMBOL)
    for symbol in (SYMBOL, OTHER):
        assert await stored(redis, keys.analysis(symbol, P)) == await oracle(redis, symbol, Config())


async def _ready(running: Running) -> bool:
    return running.context.health.ready


async def test_a_stream_that_went_back_is_dropped_and_claimed_again(
    redis: Connection, redis_url: str, make_log: MakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phoenix95.engine.partition.CHECK_EVERY_S", 0.2)
    await add_symbol(redis, SYMBOL)
    log = make_log(7, minutes=10)
    checkpoint = keys.checkpoint(partition_of(SYMBOL, P))
    async with engine(redis_url) as running:
        await publish(redis, SYMBOL, log[:50])
        await until_read(redis, SYMBOL)
        saved = {key: await execute(redis, "DUMP", key) for key in await execute(redis, "KEYS", "p95:*")}
        await publish(redis, SYMBOL, log[50:])
        await until_read(redis, SYMBOL)
        epoch = int(await execute(redis, "HGET", checkpoint, "epoch"))
        # Redis is restored from a backup: everything goes back together, the feed then publishes the same again.
        for key in await execute(redis, "KEYS", "p95:*"):
            if key in saved:
                await execute(redis, "RESTORE", key, 0, saved[key], "REPLACE")
            else:
                await execute(redis, "DEL", key)
        await publish(redis, SYMBOL, log[50:])
        await until_read(redis, SYMBOL)
        assert await stored(redis, keys.analysis(SYMBOL, P)) == await oracle(redis, SYMBOL, Config())
        # Only the tick stream is lost: it is waited for, and /readyz names it.
        await execute(redis, "DEL", keys.tick(SYMBOL, P))
        await publish(redis, SYMBOL, log[:5])
        await until(lambda: _says(running, keys.tick(SYMBOL, P)), "/readyz to name the stream")
        await until(lambda: _epoch_above(redis, checkpoint, epoch), "another claim")
        await publish(redis, SYMBOL, log[5:])
        await publish(redis, SYMBOL, make_log(7, minutes=11)[len(log) :])
        await until_read(redis, SYMBOL)
        await until(lambda: _ready(running), "ready again")
    assert await stored(redis, keys.analysis(SYMBOL, P)) == await oracle(redis, SYMBOL, Config())


async def _says(running: Running, what: str) -> bool:
    return what in (running.context.health.reasons()["streams"] or "")


async def _epoch_above(redis: Connection, checkpoint: str, epoch: int) -> bool:
    return int(await execute(redis, "HGET", checkpoint, "epoch")) > epoch


async def test_a_stored_analysis_that_differs_ends_the_engine(
    redis: Connection, redis_url: str, make_log: MakeLog
) -> None:
    await add_symbol(redis, SYMBOL)
    await publish(redis, SYMBOL, make_log(7, minutes=3))
    first, _ = (await oracle(redis, SYMBOL, Config()))[0]
    await execute(redis, "XADD", keys.analysis(SYMBOL, P), first, "d", "{}")
    async with engine(redis_url) as running:
        with pytest.raises(BaseExceptionGroup) as caught:
            await asyncio.wait_for(running.task, SOON_S)
    assert caught.group_contains(Diverged)


async def test_two_engines_share_the_partitions_and_hand_them_over(
    redis: Connection, redis_url: str, make_log: MakeLog
) -> None:
    symbols = [f"S{number}USDT" for number in range(8)]
    logs = {symbol: make_log(number, minutes=60) for number, symbol in enumerate(symbols)}
    for symbol in symbols:
        await add_symbol(redis, symbol)

    async def publish_part(part: int) -> None:
        for symbol, log in logs.items():
            await publish(redis, symbol, log[part * 200 : part * 200 + 200])
        await until_read(redis, *symbols)

    async with engine(redis_url, name="one") as one:
        await publish_part(0)
        async with engine(redis_url, name="two") as two:
            await until(lambda: _hold_all(one, two), "both to hold what is theirs")
            await publish_part(1)
        await publish_part(2)
        await publish_part(3)
    for symbol in symbols:
        assert await stored(redis, keys.analysis(symbol, P)) == await oracle(redis, symbol, Config())


async def _hold_all(*running: Running) -> bool:
    await asyncio.sleep(0.1)
    held = [each.context.metrics.registry.get_sample_value("p95_engine_partitions") for each in running]
    return all(held) and all(each.context.health.ready for each in running)


async def test_an_owner_that_was_robbed_is_refused_and_starts_again_from_what_is_stored(
    redis: Connection, redis_url: str, make_log: MakeLog
) -> None:
    await add_symbol(redis, SYMBOL)
    log, partition = make_log(7, minutes=30), partition_of(SYMBOL, P)
    async with engine(redis_url) as running:
        await publish(redis, SYMBOL, log[:100])
        await until_read(redis, SYMBOL)
        # Somebody else takes the partition while the owner believes it is its own, and gets some of the work done.
        await execute(redis, "DEL", keys.lease(partition))
        thief = FencedLog(redis, P)
        checkpoint = await thief.claim(partition, "thief", ttl_ms=1000)
        assert checkpoint is not None
        state = new_state(SYMBOL, Config())
        folded = fold_entries(state, log[:150])
        key = keys.analysis(SYMBOL, P)
        await thief.commit(
            partition,
            "thief",
            checkpoint.n,
            outputs=[Output(key, output.id, encode(output.event)) for output in folded.published],
            offsets={SYMBOL: str(state.at)},
            states={SYMBOL: encode_state(state)},
            ttl_ms=1000,
        )
        await publish(redis, SYMBOL, log[100:])
        await until_read(redis, SYMBOL)
        await until(lambda: _ready(running), "ready again")
    assert await stored(redis, key) == await oracle(redis, SYMBOL, Config())
    assert int(await execute(redis, "HGET", keys.checkpoint(partition), "epoch")) == 3


async def test_it_works_under_its_own_user(make_redis: Callable[..., object], make_log: MakeLog) -> None:
    server = make_redis(acl=acl_file(dict.fromkeys(USERS, "only-for-tests")))
    url: str = server.url  # type: ignore[attr-defined]
    feed = connect(url, name="feed", username="feed", password="only-for-tests")
    gateway = connect(url, name="gateway", username="gateway", password="only-for-tests")
    monitor = connect(url, name="monitor", username="monitor", password="only-for-tests")
    await add_symbol(feed, SYMBOL)
    async with engine(url, redis_username="engine", redis_password=Secret("only-for-tests")) as running:
        log = make_log(7, minutes=5)
        await execute(feed, "XADD", keys.tick(SYMBOL, P), log[0][0], "d", b"no tick")
        for entry_id, fields in log[1:]:
            await execute(feed, "XADD", keys.tick(SYMBOL, P), entry_id, "d", fields[b"d"])
        await append(gateway, keys.request(SYMBOL, P), Request(symbol=SYMBOL, requested_at=1))
        await until(lambda: _replied(monitor), "a reply")
        await until(lambda: _ready(running), "ready")
        letters = await stored(monitor, keys.dead_letter_engine(partition_of(SYMBOL, P)))
        assert len(letters) == 1
    for connection in (feed, gateway, monitor):
        await connection.aclose()


async def _replied(redis: Connection) -> bool:
    return bool(await stored(redis, keys.reply(SYMBOL, P)))


async def test_another_number_of_partitions_is_refused(redis: Connection, redis_url: str) -> None:
    async with engine(redis_url) as running:
        await until(lambda: _ready(running), "ready")
    async with engine(redis_url, partitions=8) as running:
        with pytest.raises(ConfigError, match="P95_PARTITIONS"):
            await asyncio.wait_for(running.task, SOON_S)
