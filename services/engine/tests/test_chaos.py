"""Engines as processes, killed and frozen while ticks come in: the streams still are the fold of the ticks."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from phoenix95.common import keys
from phoenix95.common.bus import Connection, connect
from phoenix95.common.bus.append import append
from phoenix95.common.bus.client import execute
from phoenix95.common.bus.members import MEMBER_TTL_MS
from phoenix95.common.bus.reader import entries_between, last_id
from phoenix95.common.bus.symbols import add_symbol
from phoenix95.common.events import Request
from phoenix95.common.ids import StreamId, partition_of
from phoenix95.common.wire import encode, engine_output_decoder, request_decoder
from phoenix95.engine.core.answer import answer
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.fold import fold_entries
from phoenix95.engine.core.state import new_state

P = 16
BAR_MS = 1_000
LEASE_MS = 1_000
KILLS = 4
SYMBOLS = tuple(f"S{number}USDT" for number in range(6))
LogEntry = tuple[str, dict[bytes, bytes]]


class Engines:
    """Worker processes of one Redis; each fault hits one of them."""

    def __init__(self, url: str, folder: Path) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("P95_")},
            "P95_REDIS_URL": url,
            "P95_ENGINE_BAR_MS": str(BAR_MS),
            "P95_ENGINE_LEASE_MS": str(LEASE_MS),
            "P95_ENGINE_HTTP_PORT": "0",
        }
        self.log = folder / "engines.log"
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "phoenix95.engine"]
            self.running.append(subprocess.Popen(command, env=self._environment, stdout=log, stderr=log))

    def kill(self, at: int) -> None:
        victim = self.running.pop(at)
        victim.kill()
        victim.wait()
        self.start()

    async def freeze_owner(self, redis: Connection, symbol: str) -> None:
        """Stop the owner of a symbol until another one has taken it over, then let the zombie go on."""
        lease = keys.lease(partition_of(symbol, P))
        pids = {f"-{process.pid}:": process for process in self.running}
        victim = None
        while victim is None:
            token = (await execute(redis, "GET", lease) or b"").decode()
            victim = next((process for mark, process in pids.items() if mark in token), None)
            await asyncio.sleep(0.05)
        victim.send_signal(signal.SIGSTOP)
        await asyncio.sleep((MEMBER_TTL_MS + 2 * LEASE_MS) / 1000)
        victim.send_signal(signal.SIGCONT)

    def stop(self) -> list[int]:
        """End all in order; their exit codes."""
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        return [process.wait(timeout=15) for process in self.running]


@pytest.mark.slow
async def test_kills_and_zombies_change_nothing(
    redis_url: str, tmp_path: Path, make_log: Callable[..., list[LogEntry]]
) -> None:
    redis = connect(redis_url, name="test")
    logs = {symbol: make_log(number, minutes=1, per_minute=3_000) for number, symbol in enumerate(SYMBOLS)}
    for symbol in SYMBOLS:
        await add_symbol(redis, symbol)
    engines = Engines(redis_url, tmp_path)
    try:
        for _ in range(2):
            engines.start()
        publisher = asyncio.create_task(publish_slowly(redis, logs, over_s=16.0))
        chance = random.Random(95)
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.8, 1.6))
            engines.kill(chance.randrange(2))
        await engines.freeze_owner(redis, SYMBOLS[0])
        await publisher
        await until_read(redis)
        codes = engines.stop()
    finally:
        for process in engines.running:
            process.kill()
    assert codes == [0, 0], engines.log.read_text()
    log = engines.log.read_text()
    assert "invariant_broken" not in log
    # A zombie that was reading finds its read timed out, one that was committing is refused by the fence.
    assert "partition_lost" in log or "partition_interrupted" in log, (
        "no zombie came back: the test did not do its work"
    )
    for symbol in SYMBOLS:
        await compare_with_the_oracle(redis, symbol)
    await redis.aclose()


async def publish_slowly(redis: Connection, logs: dict[str, list[LogEntry]], *, over_s: float) -> None:
    """Append the logs in small steps, and ask something now and then."""
    steps = 200
    for step in range(steps):
        for symbol, log in logs.items():
            part = log[len(log) * step // steps : len(log) * (step + 1) // steps]
            async with redis.pipeline(transaction=False) as pipe:
                for entry_id, fields in part:
                    pipe.execute_command("XADD", keys.tick(symbol, P), entry_id, "d", fields[b"d"])
                await pipe.execute()
            if step % 20 == 0:
                asked_at = StreamId.parse(part[-1][0]).ms
                request = Request(symbol=symbol, requested_at=asked_at, side="SELL", confidence=0.8)
                await append(redis, keys.request(symbol, P), request)
        await asyncio.sleep(over_s / steps)


async def until_read(redis: Connection) -> None:
    deadline = time.monotonic() + 20
    for symbol in SYMBOLS:
        for suffix, key in ((symbol, keys.tick(symbol, P)), (f"req:{symbol}", keys.request(symbol, P))):
            top = str(await last_id(redis, key)).encode()
            checkpoint = keys.checkpoint(partition_of(symbol, P))
            while await execute(redis, "HGET", checkpoint, f"off:{suffix}") != top:
                assert time.monotonic() < deadline, f"{key} was not read to its end"
                await asyncio.sleep(0.05)


async def compare_with_the_oracle(redis: Connection, symbol: str) -> None:
    """Every analysis is the fold of the ticks; every request has its one reply, as of a tick that it names."""

    async def all_of(key: str) -> list[LogEntry]:
        return await entries_between(redis, key, "-", "+", 1_000_000)

    config = Config(bar_ms=(BAR_MS,))
    ticks = await all_of(keys.tick(symbol, P))
    state = new_state(symbol, config)
    expected = [(str(output.id), encode(output.event)) for output in fold_entries(state, ticks).published]
    assert len(expected) > 50
    assert [(entry_id, fields[b"d"]) for entry_id, fields in await all_of(keys.analysis(symbol, P))] == expected

    requests, replies = await all_of(keys.request(symbol, P)), await all_of(keys.reply(symbol, P))
    assert [entry_id for entry_id, _ in replies] == [entry_id for entry_id, _ in requests]
    state, at = new_state(symbol, config), 0
    positions = {entry_id: number + 1 for number, (entry_id, _) in enumerate(ticks)}
    for (request_id, asked), (_, replied) in zip(requests, replies, strict=True):
        as_of = engine_output_decoder.decode(replied[b"d"]).as_of  # type: ignore[union-attr]
        fold_entries(state, ticks[at : positions[as_of]])
        at = positions[as_of]
        assert replied[b"d"] == encode(answer(state, StreamId.parse(request_id), request_decoder.decode(asked[b"d"])))
