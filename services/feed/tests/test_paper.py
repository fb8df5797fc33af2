"""The feed and the paper exchange, both as processes, on a real Redis."""

import asyncio
import gzip
import itertools
import json
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from phoenix95.common.bus.prices import read_price
from phoenix95.common.events import Resume, Seed, Trade
from phoenix95.stack.address import free_port

Until = Callable[..., Awaitable[None]]
START_MS = 1_721_347_200_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
RECORDED = ("usdm_btcusdt_20240719.gz", "usdm_ethusdt_20240719.gz")


class Pair:
    """A paper exchange and a feed; each can be killed and started again."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self.redis_url = redis_url
        self.ports = {name: str(free_port()) for name in ("PAPER_PORT", "PAPER_WS_PORT", "FEED_HTTP_PORT")}
        self.rest = f"http://127.0.0.1:{self.ports['PAPER_PORT']}"
        self.state = folder / "paper.sqlite"
        self.processes: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, service: str, **variables: str) -> None:
        env = {
            "REDIS_URL": self.redis_url,
            "EXCHANGE_REST_URL": self.rest,
            "EXCHANGE_WS_URL": f"ws://127.0.0.1:{self.ports['PAPER_WS_PORT']}",
            "PAPER_HTTP_PORT": "0",
            "PAPER_STATE": str(self.state),
            "LOG_LEVEL": "warning",
            **self.ports,
            **variables,
        }
        known = {name: text for name, text in env.items() if not name.startswith(("FEED_", "PAPER_"))}
        known |= {name: text for name, text in env.items() if name.startswith(service.upper())}
        self.processes[service] = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"phoenix95.{service}",
            env={"PATH": os.environ["PATH"], **{f"P95_{name}": text for name, text in known.items()}},
        )

    async def kill(self, service: str) -> None:
        process = self.processes.pop(service)
        process.kill()
        await process.wait()

    async def ready(self, service: str) -> bool:
        url = self.rest + "/paper/v1/status"
        if service == "feed":
            url = f"http://127.0.0.1:{self.ports['FEED_HTTP_PORT']}/readyz"
        try:
            async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # noqa: S501  plain HTTP
                return (await client.get(url)).is_success
        except httpx.HTTPError:
            return False

    async def status(self) -> Any:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # noqa: S501  plain HTTP
            return (await client.get(self.rest + "/paper/v1/status")).json()


@pytest.fixture
async def pair(redis_url: str, tmp_path: Path) -> AsyncIterator[Pair]:
    started = Pair(redis_url, tmp_path)
    yield started
    for service in list(started.processes):
        await started.kill(service)


@pytest.fixture
def recording(tmp_path: Path) -> list[Path]:
    """Recorded files of two symbols: real ones where they are, else a written stretch of the same form."""
    folder = os.environ.get("P95_TEST_DATA")
    if folder:
        return [Path(folder, "recorded", name) for name in RECORDED]
    chance = random.Random(95)
    paths = []
    for symbol in SYMBOLS:
        lines = []
        for number in range(6000):
            at = START_MS + number * 50
            trade = {"e": "trade", "E": at, "T": at, "s": symbol, "t": 1 + number, "q": "0.1", "X": "MARKET"}
            trade |= {"p": f"{100 + chance.randrange(50) / 10:.1f}", "m": bool(chance.randrange(2))}
            frame = json.dumps({"stream": f"{symbol.lower()}@trade", "data": trade}, separators=(",", ":"))
            lines.append(f"{at}000000 {frame}")
        paths.append(tmp_path / f"{symbol}.gz")
        paths[-1].write_bytes(gzip.compress("\n".join(lines).encode()))
    return paths


async def holes(stream: Any, symbol: str) -> list[tuple[int, int]]:
    """Jumps of ids between entries that are no opening of a stretch."""
    ids = await stream.ids(symbol)
    return [(a, b) for a, b in itertools.pairwise(ids) if a and b not in (0, a + 1)]


async def count(stream: Any, kind: type, symbol: str) -> int:
    return sum(isinstance(tick, kind) for _, tick in await stream.entries(symbol))


async def reached(stream: Any, symbol: str, last: int) -> bool:
    return bool((await stream.ids(symbol) or [0])[-1] >= last)


async def test_a_synthetic_market_is_seeded_and_followed(pair: Pair, stream: Any, eventually: Until) -> None:
    await pair.start("paper", PAPER_SPEED="20")
    await pair.start("feed", FEED_SEED_BARS="300")
    await eventually(lambda: pair.ready("feed"), within_s=20)
    for symbol in ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "XRPUSDT"):
        await eventually(lambda symbol=symbol: _trades(stream, symbol, 200), within_s=20)
        assert await count(stream, Seed, symbol) == 300
        entries = await stream.entries(symbol)
        last_seed, first_trade = entries[299], entries[300]
        assert isinstance(first_trade[1], Trade)
        # The open minute is whole: the first trade follows the last seed's close within seconds.
        assert 0 < int(first_trade[0].split("-")[0]) - int(last_seed[0].split("-")[0]) < 15_000
        assert await holes(stream, symbol) == []
        carried = [tick for _, tick in entries if isinstance(tick, Trade) and tick.bid]
        assert any(tick.mark and tick.funding for tick in carried)
        await eventually(lambda symbol=symbol: _priced(stream, symbol), within_s=20)


async def _priced(stream: Any, symbol: str) -> bool:
    """Whether every field is there; ticker and mark come on routes of their own, at their own time."""
    fields = await read_price(stream.redis, symbol, 16) or {}
    return {"price", "change", "change_percent", "volume", "high", "low", "timestamp", "bid", "mark"} <= set(fields)


async def _trades(stream: Any, symbol: str, least: int) -> bool:
    return await count(stream, Trade, symbol) >= least


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_recording_arrives_whole_through_kills_of_the_feed(
    pair: Pair, stream: Any, recording: list[Path], eventually: Until
) -> None:
    chance = random.Random(5)
    await pair.start("paper", PAPER_SOURCE="recorded:" + ",".join(map(str, recording)), PAPER_SPEED="20")
    await eventually(lambda: pair.ready("paper"), within_s=30)
    await pair.start("feed", FEED_SYMBOLS=",".join(SYMBOLS))
    for _ in range(5):
        await asyncio.sleep(1 + chance.random())
        await pair.kill("feed")
        await asyncio.sleep(chance.random())
        await pair.start("feed", FEED_SYMBOLS=",".join(SYMBOLS))

    async def whole() -> bool:
        status = await pair.status()
        ends = [await reached(stream, symbol, status["symbols"][symbol]["lastAggId"]) for symbol in SYMBOLS]
        return bool(status["done"] and all(ends))

    await eventually(whole, within_s=40)
    status = await pair.status()
    for symbol in SYMBOLS:
        said = status["symbols"][symbol]
        ids = await stream.ids(symbol)
        first = said["lastAggId"] - said["trades"] + 1
        assert [number for number in ids if number] == list(range(first, said["lastAggId"] + 1))
        assert set(await stream.kinds(symbol)) <= {"s", "t"}


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_restart_of_the_exchange_loses_nothing(pair: Pair, stream: Any, eventually: Until) -> None:
    await pair.start("paper", PAPER_SPEED="10")
    await pair.start("feed", FEED_SEED_BARS="5")
    await eventually(lambda: pair.ready("feed"), within_s=20)
    for least in (100, 200, 300):
        await eventually(lambda least=least: _trades(stream, "BTCUSDT", least), within_s=20)
        await pair.kill("paper")
        await asyncio.sleep(0.5)
        await pair.start("paper", PAPER_SPEED="10")
    await eventually(lambda: _trades(stream, "BTCUSDT", 400), within_s=20)
    for symbol in ("BTCUSDT", "XRPUSDT"):
        assert await holes(stream, symbol) == []
        assert set(await stream.kinds(symbol)) == {"s", "t"}
        assert await count(stream, Resume, symbol) == 0
