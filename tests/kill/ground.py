"""One Redis, one Postgres, one paper exchange, and executors that come and go. The test plays the engine."""

import asyncio
import hashlib
import hmac
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from sqlalchemy import text

from phoenix95.common import keys
from phoenix95.common.bus import connect as connect_redis
from phoenix95.common.bus.append import append
from phoenix95.common.bus.prices import write_prices
from phoenix95.common.bus.symbols import add_symbol
from phoenix95.common.events import Analysis, Quality
from phoenix95.executor.ledger.connect import connect as connect_postgres
from phoenix95.executor.venue.binance import Binance
from phoenix95.executor.venue.exchange import Requests
from phoenix95.stack.address import LOOPBACK, Address, free_port
from phoenix95.stack.postgres_server import SOCKET_PORT, PostgresServer
from phoenix95.stack.redis_server import RedisServer
from tests.kill.cable import Cable
from tests.kill.nursery import Nursery

PARTITIONS: Final = 16
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "XRPUSDT")
KEY: Final = "test-key"
SECRET: Final = "test-secret"
BALANCE: Final = 10_000
START_S: Final = 60.0
ACTIVE: Final = "select 1 from ledger.trades where status in ('pending', 'filled')"
ENDED: Final = "('FILLED', 'CANCELED', 'REJECTED', 'ABSENT', 'EXPIRED')"


class Ground:
    """The place where executors are tried; `executor_env` is what each of them is started with.

    Between an executor and its exchange, and between it and Postgres, lies a cable that can be cut or listened to.
    """

    def __init__(
        self, folder: Path, redis: RedisServer, postgres: PostgresServer, nursery: Nursery,
        to_exchange: Cable, to_postgres: Cable, ports: Mapping[str, int],
    ) -> None:  # fmt: skip
        self.folder, self.redis_server, self.postgres_server = folder, redis, postgres
        self.nursery, self.to_exchange, self.to_postgres = nursery, to_exchange, to_postgres
        self.ports = ports
        self.url = f"http://{LOOPBACK}:{ports['rest']}"
        self.redis = connect_redis(redis.url, name="test")
        self.engine = connect_postgres(postgres.url("p95"))
        self.http = httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=10)
        self.venue = Binance(Requests(self.url, KEY, SECRET), self.now_ms, 60_000)
        self.offset_ms = 0.0
        self.said: list[str] = []
        self.executor_env = {
            "PATH": os.environ["PATH"],
            "P95_LOG_FORMAT": "json",
            "P95_REDIS_URL": redis.url,
            "P95_POSTGRES_URL": _through(postgres, to_postgres.port),
            "P95_EXCHANGE_REST_URL": f"http://{LOOPBACK}:{to_exchange.port}",
            "P95_EXCHANGE_WS_URL": f"ws://{LOOPBACK}:{ports['ws']}",
            "P95_EXECUTOR_API_KEY": KEY,
            "P95_EXECUTOR_API_SECRET": SECRET,
            "P95_EXECUTOR_HTTP_PORT": str(ports["ops"]),
            **EXECUTOR_SETTINGS,
        }

    def now_ms(self) -> int:
        """Exchange time."""
        return int(time.time() * 1000 + self.offset_ms)

    async def start(self, **env: str) -> int:
        """An executor; its pid."""
        return await self.nursery.start({**self.executor_env, **env}, self.folder / "executor.log")

    async def ready(self) -> bool:
        try:
            answer = await self.http.get(f"http://{LOOPBACK}:{self.ports['ops']}/readyz")
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    async def until_ready(self) -> None:
        await until(self.ready, START_S, "the executor to be ready")

    async def say(self, symbol: str, price: float, **changes: Any) -> str:
        """Write an analysis as the engine would; `stop` and `target` are distances in shares of the price."""
        analysis = an_analysis(f"{len(self.said):06}", symbol, price, self.now_ms(), **changes)
        self.said.append(analysis.id)
        await append(self.redis, keys.analysis(symbol, PARTITIONS), analysis)
        return analysis.id

    async def market(self) -> dict[str, float]:
        """The marks by symbol; and tell them to Redis, as the feed would, so that the gates know a market."""
        answer = await self.http.get("/fapi/v1/premiumIndex")
        answer.raise_for_status()
        now = str(self.now_ms())
        marks = {one["symbol"]: one["markPrice"] for one in answer.json()}
        times = {"trade_time": now, "book_time": now, "mark_time": now}
        told = {
            symbol: {**times, **dict.fromkeys(("price", "bid", "ask", "mark"), marks[symbol])} for symbol in SYMBOLS
        }
        await write_prices(self.redis, told, PARTITIONS)
        return {symbol: float(mark) for symbol, mark in marks.items()}

    async def signed(self, method: str, path: str, params: Mapping[str, str]) -> httpx.Response:
        """One signed request to the exchange, by hand."""
        query = urlencode({**params, "timestamp": str(self.now_ms()), "recvWindow": "60000"})
        signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        headers = {"X-MBX-APIKEY": KEY}
        return await self.http.request(method, f"{path}?{query}&signature={signature}", headers=headers)

    async def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        async with self.engine.connect() as connection:
            return [dict(row._mapping) for row in await connection.execute(text(sql), values)]

    async def all_decided(self) -> bool:
        return bool((await self.rows("select count(*) as n from ledger.signals"))[0]["n"] >= len(self.said))

    async def all_over(self) -> bool:
        """Every analysis was decided on and no trade is under way."""
        return await self.all_decided() and not await self.rows(ACTIVE)

    async def unfinished(self) -> object:
        """What is still under way, for the message of a failure."""
        return await self.rows(
            "select t.analysis_id, t.stage, i.role, i.attempt, i.state, i.quantity, i.filled, i.reason"
            " from ledger.trades t join ledger.intents i using (analysis_id)"
            " where t.status in ('pending', 'filled') order by 1, 3, 4"
        )

    async def close(self) -> None:
        await self.to_exchange.close()
        await self.to_postgres.close()
        await self.venue.close()
        await self.http.aclose()
        await self.redis.aclose()
        await self.engine.dispose()


# A test's clock is short: positions are compared each second and looked at five times a second.
EXECUTOR_SETTINGS: Final = {
    "P95_EXECUTOR_RECV_WINDOW_MS": "4000",
    "P95_EXECUTOR_RECONCILE_MS": "1000",
    "P95_EXECUTOR_POLL_MS": "200",
    # a busy machine answers late, which is no reason to refuse here
    "P95_EXECUTOR_MAX_CLOCK_UNCERTAINTY_MS": "2000",
    # a test trades more than anybody should
    "P95_EXECUTOR_STOP_COOLDOWN_MS": "0",
    "P95_EXECUTOR_DUPLICATE_MS": "1",
    "P95_EXECUTOR_MAX_ENTRIES_10S": "1000",
    "P95_EXECUTOR_MAX_ENTRIES_MINUTE": "1000",
}


def an_analysis(number: str, symbol: str, price: float, now_ms: int, **changes: Any) -> Analysis:
    stop, target = changes.pop("stop", 0.01), changes.pop("target", 0.02)
    sign = 1 if changes.setdefault("side", "BUY") == "BUY" else -1
    fields: dict[str, Any] = {
        "id": f"test-{symbol}-{number}",
        "strategy": "test",
        "symbol": symbol,
        "action": "EXECUTE",
        "cause": f"{now_ms}-1",
        "ts": now_ms,
        "expires_at": now_ms + changes.pop("live_ms", 3_000),
        "price": price,
        "confidence": 0.9,
        "phoenix95_score": 0.8,
        "risk_level": "low",
        "win_probability": 0.6,
        "win_samples": 100,
        "brier": 0.2,
        "position_fraction": 0.02,
        "leverage": 10,
        "stop_loss": price * (1 - sign * stop),
        "take_profit": price * (1 + sign * target),
        "hold_ms": 60_000,
        "bar": None,
        "indicators": {"rsi": 55.0, "macd": 0.1},
        "factors": (),
        "quality": Quality(warm=True, bars=100, degraded_bars=0, spread_bps=1.0),
        "reasoning": ("test",),
        "config": "test",
    }
    return Analysis(**{**fields, **changes})


@asynccontextmanager
async def ground(
    folder: Path, *, seed: int = 95, durable: bool = False, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Ground]:
    """Start everything but the executor. `settings` are the paper exchange's own; `durable`: Postgres syncs."""
    redis = RedisServer(folder / "redis")
    postgres = PostgresServer(folder / "postgres", password="only-for-tests", durable=durable)
    ports = {name: free_port() for name in ("rest", "ws", "paper", "ops")}
    paper: subprocess.Popen[bytes] | None = None
    nursery = await Nursery.open(folder / "nursery.log")
    try:
        await asyncio.to_thread(redis.start)
        await asyncio.to_thread(postgres.start)
        postgres.create_database("p95")
        await _migrate(postgres.url("p95"))
        paper = _start_paper(folder, seed, ports, settings or {})
        to_exchange = await Cable(Address(port=ports["rest"])).open()
        to_postgres = await Cable(_socket_of(postgres)).open()
        made = Ground(folder, redis, postgres, nursery, to_exchange, to_postgres, ports)
        try:
            for symbol in SYMBOLS:
                await add_symbol(made.redis, symbol)
            await until(lambda: _paper_answers(made), START_S, "the paper exchange to answer")
            yield made
        finally:
            await made.close()
    finally:
        await nursery.close()
        if paper is not None:
            paper.kill()
            paper.wait()
        await asyncio.to_thread(postgres.kill)
        await asyncio.to_thread(redis.kill)


async def until(
    condition: Callable[[], Awaitable[bool]],
    seconds: float,
    what: str,
    story: Callable[[], Awaitable[object]] | None = None,
    *,
    every_s: float = 0.02,
) -> None:
    """Wait for a condition. Raises TimeoutError that says what was waited for, and how far it came."""
    end = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}: {await story() if story is not None else ''}")
        await asyncio.sleep(every_s)


async def _migrate(url: str) -> None:
    """In a process of its own: two lanes must not share Alembic's globals."""
    command = [sys.executable, "-m", "phoenix95.executor", "migrate"]
    process = await asyncio.create_subprocess_exec(
        *command, env={"PATH": os.environ["PATH"], "P95_POSTGRES_URL": url}, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(errors.decode())


def _start_paper(
    folder: Path, seed: int, ports: Mapping[str, int], settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    env = {
        "PATH": os.environ["PATH"],
        "P95_LOG_FORMAT": "json",
        "P95_PAPER_PORT": str(ports["rest"]),
        "P95_PAPER_WS_PORT": str(ports["ws"]),
        "P95_PAPER_HTTP_PORT": str(ports["paper"]),
        "P95_PAPER_SOURCE": f"synthetic:{seed}",
        "P95_PAPER_BALANCE": str(BALANCE),
        "P95_PAPER_API_KEY": KEY,
        "P95_PAPER_API_SECRET": SECRET,
        # restarts by the dozen use up what the exchange allows a minute; its limits have tests of their own
        "P95_PAPER_LIMIT_WEIGHT": "1000000",
        "P95_PAPER_LIMIT_ORDERS_10S": "1000000",
        "P95_PAPER_LIMIT_ORDERS_1M": "1000000",
        **settings,
    }
    with (folder / "paper.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "phoenix95.paper"], env=env, stdout=log, stderr=log)


async def _paper_answers(made: Ground) -> bool:
    try:
        reading = (await made.http.get("/paper/v1/clock")).json()
    except httpx.HTTPError:
        return False
    made.offset_ms = reading["serverTime"] - time.time() * 1000
    return bool(reading["rate"])


def _socket_of(postgres: PostgresServer) -> Address:
    if postgres.address.path is None:
        return postgres.address
    return Address(path=postgres.address.path / f".s.PGSQL.{SOCKET_PORT}")


def _through(postgres: PostgresServer, port: int) -> str:
    return f"postgresql://p95:{postgres.password}@{LOOPBACK}:{port}/p95?sslmode=disable"
