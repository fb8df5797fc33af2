"""The executor as a process, with a real Redis, a real Postgres and the paper exchange as a process of its own.

The test plays the engine: it writes analyses. Afterwards the exchange's own lists are compared with the ledger.
"""

import asyncio
import hmac
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import psycopg
import pytest
from sqlalchemy import text

from phoenix95.common import keys
from phoenix95.common.bus import connect as connect_redis
from phoenix95.common.bus.acl import user_rules
from phoenix95.common.bus.append import append
from phoenix95.common.bus.prices import write_price
from phoenix95.common.bus.reader import tail
from phoenix95.common.bus.symbols import add_symbol
from phoenix95.common.errors import ConfigError
from phoenix95.common.events import Analysis, ClosePosition, Decided, OrderChanged, PlaceTrade, PositionChanged
from phoenix95.common.wire import ack_decoder, order_decoder
from phoenix95.executor.core.decide import decide
from phoenix95.executor.core.intents import Intent
from phoenix95.executor.ledger.connect import connect as connect_postgres
from phoenix95.executor.ledger.control import set_by_person
from phoenix95.executor.ledger.store import PostgresLedger
from phoenix95.executor.ledger.writing import Writer
from phoenix95.executor.venue.binance import Binance
from phoenix95.executor.venue.exchange import Requests
from tests.kill.nursery import Fork, Forks

D = Decimal
SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "XRPUSDT")
KEY, SECRET = "test-key", "test-secret"
RECV_WINDOW_MS = 4_000
RATE_LIMIT_S = 61
START_S = 30.0


class Stand:
    """One paper exchange, one Redis, one Postgres, and executors that are started and killed."""

    def __init__(self, forks: Forks, folder: Path, redis_url: str, postgres_url: str, port: Callable[[], int]) -> None:
        self.forks, self.folder = forks, folder
        self.redis_url, self.postgres_url = redis_url, postgres_url
        self.rest, self.ws, self.paper_ops, self.ops = (port() for _ in range(4))
        self.port = port
        self.processes: list[Fork] = []
        self.redis = connect_redis(redis_url, name="test")
        self.engine = connect_postgres(postgres_url)
        self.http = httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=10)
        self.requests = Requests(self.url, KEY, SECRET)
        self.venue = Binance(self.requests, self._now_ms, 60_000)
        self.offset_ms = 0.0
        self.count = 0
        self.redis_server: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rest}"

    def _now_ms(self) -> int:
        return int(time.time() * 1000 + self.offset_ms)

    def spawn(self, name: str, *words: str, env: dict[str, str]) -> Fork:
        process = self.forks.start(
            name, words, {"PATH": os.environ["PATH"], "P95_LOG_FORMAT": "json", **env}, self.folder / f"{name}.log"
        )
        self.processes.append(process)
        return process

    async def start_paper(self) -> None:
        self.spawn(
            "paper",
            env={
                "P95_PAPER_PORT": str(self.rest), "P95_PAPER_WS_PORT": str(self.ws),
                "P95_PAPER_HTTP_PORT": str(self.paper_ops), "P95_PAPER_SOURCE": "synthetic:95",
                "P95_PAPER_API_KEY": KEY, "P95_PAPER_API_SECRET": SECRET,
            },
        )  # fmt: skip
        await until(self.paper_answers, START_S, "the paper exchange to answer")

    async def paper_answers(self) -> bool:
        try:
            reading = (await self.http.get("/paper/v1/clock")).json()
        except httpx.HTTPError:
            return False
        self.offset_ms = reading["serverTime"] - time.time() * 1000
        return bool(reading["rate"])

    def executor(self, *words: str, ops: int | None = None, **extra: str) -> Fork:
        return self.spawn(
            "executor", *words,
            env={
                "P95_REDIS_URL": self.redis_url, "P95_REDIS_USERNAME": "executor", "P95_REDIS_PASSWORD": SECRET,
                "P95_POSTGRES_URL": self.postgres_url,
                "P95_EXCHANGE_REST_URL": self.url, "P95_EXCHANGE_WS_URL": f"ws://127.0.0.1:{self.ws}",
                "P95_EXECUTOR_API_KEY": KEY, "P95_EXECUTOR_API_SECRET": SECRET,
                "P95_EXECUTOR_RECV_WINDOW_MS": str(RECV_WINDOW_MS), "P95_EXECUTOR_RECONCILE_MS": "1000",
                "P95_EXECUTOR_POLL_MS": "200", "P95_EXECUTOR_HTTP_PORT": str(ops or self.ops),
                # a busy machine answers late, which is no reason to refuse here
                "P95_EXECUTOR_MAX_CLOCK_UNCERTAINTY_MS": "2000",
                # the same few symbols are entered again and again here, with stops that are to be hit
                "P95_EXECUTOR_DUPLICATE_MS": "0", "P95_EXECUTOR_STOP_COOLDOWN_MS": "0",
                "P95_EXECUTOR_MIN_STOP_PERCENT": "0.0001", "P95_EXECUTOR_MIN_STOP_TICKS": "1",
                # room to raise an order to the exchange's minimum, whatever the price of BTCUSDT
                "P95_EXECUTOR_MAX_POSITION_RISK_PERCENT": "0.03", **extra,
            },
        )  # fmt: skip

    async def ready(self, ops: int | None = None) -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"http://127.0.0.1:{ops or self.ops}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    async def start_executor(self, **extra: str) -> Fork:
        process = self.executor(**extra)

        async def ready() -> bool:
            assert process.poll() is None, (self.folder / "executor.log").read_text()[-5_000:]
            return await self.ready()

        await until(ready, START_S, "the executor to be ready", self.unfinished)
        return process

    async def unfinished(self) -> object:
        return [
            await self.story(row["analysis_id"])
            for row in await self.rows("select analysis_id from ledger.trades where status in ('pending', 'filled')")
        ]

    async def arm(self, path: str, kind: str, count: int = 1, method: str = "POST") -> None:
        answer = await self.http.post(
            "/paper/v1/faults", params={"method": method, "path": path, "kind": kind, "count": count}
        )
        assert answer.status_code == 200, answer.text

    async def price(self, symbol: str) -> float:
        """The mark. Many restarts can use up the exchange's weight for the rest of a minute."""
        for _ in range(RATE_LIMIT_S):
            answer = await self.http.get("/fapi/v1/premiumIndex", params={"symbol": symbol})
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                break
            await asyncio.sleep(1)
        assert answer.status_code == httpx.codes.OK, answer.text
        return float(answer.json()["markPrice"])

    async def say(
        self, make: Callable[..., Analysis], symbol: str = "BTCUSDT", *, stream: str = "", **changes: Any
    ) -> str:
        """Write an analysis as the engine would; prices are relative to the market's: `stop`, `target` in shares."""
        self.count += 1
        price = await self.price(symbol)
        stop, target = changes.pop("stop", 0.02), changes.pop("target", 0.03)
        sign = 1 if changes.get("side", "BUY") == "BUY" else -1
        now_ms = self._now_ms()
        await self.tell_price(symbol, price, now_ms, **changes.pop("market", {}))
        analysis = make(
            **{
                "id": f"test-{symbol}-{self.count}", "symbol": symbol, "cause": f"{now_ms}-{self.count}",
                "ts": now_ms, "expires_at": now_ms + changes.pop("live_ms", 10_000),
                "price": price, "stop_loss": price * (1 - sign * stop), "take_profit": price * (1 + sign * target),
                **changes,
            }
        )  # fmt: skip
        await append(self.redis, stream or keys.analysis(symbol, 16), analysis)
        return analysis.id

    def account_of(self, **settings: Any) -> Binance:
        """The exchange with other settings than the executor's."""
        return Binance(self.requests, self._now_ms, 60_000, **settings)

    async def signed(self, path: str, **params: Any) -> Any:
        """Ask the exchange for something in its own words."""
        text = urlencode({**params, **self.venue.stamp()})
        signature = hmac.new(SECRET.encode(), text.encode(), "sha256").hexdigest()
        answer = await self.http.get(f"{path}?{text}&signature={signature}", headers={"X-MBX-APIKEY": KEY})
        return answer.json()

    async def tell_price(self, symbol: str, price: float, now_ms: int, **changes: str) -> None:
        """Write the price hash as the feed would."""
        now = str(now_ms)
        fields = {
            "price": str(price), "trade_time": now, "bid": str(price), "ask": str(price), "book_time": now,
            "mark": str(price), "mark_time": now,
        }  # fmt: skip
        await write_price(self.redis, symbol, 16, fields | changes)

    async def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        async with self.engine.connect() as connection:
            return [dict(row._mapping) for row in await connection.execute(text(sql), values)]

    async def rows_changed(self, sql: str, **values: Any) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(sql), values)

    async def trade(self, analysis_id: str) -> dict[str, Any]:
        found = await self.rows("select * from ledger.trades where analysis_id = :id", id=analysis_id)
        return found[0] if found else {"status": "", "stage": ""}

    async def until_trade(self, analysis_id: str, stage: str, seconds: float = 20.0) -> dict[str, Any]:
        async def reached() -> bool:
            return bool((await self.trade(analysis_id))["stage"] == stage)

        await until(reached, seconds, f"{analysis_id} to be {stage}", lambda: self.story(analysis_id))
        return await self.trade(analysis_id)

    async def story(self, analysis_id: str) -> object:
        return (
            await self.trade(analysis_id),
            await self.rows("select * from ledger.intents where analysis_id = :id", id=analysis_id),
            await self.rows("select accepted, reason from ledger.signals where analysis_id = :id", id=analysis_id),
            await self.venue.positions(),
        )

    async def position(self, analysis_id: str) -> dict[str, Any]:
        return (await self.rows("select * from ledger.positions where analysis_id = :id", id=analysis_id))[0]

    async def check(self) -> None:
        """Exchange and ledger tell the same story, and nothing is left over."""
        twice = await self.rows(
            "select analysis_id, count(*) from ledger.intents where role = 'entry' group by 1 having count(*) > 1"
        )
        assert twice == []
        assert await self.venue.positions() == ()
        assert await self.venue.open_conditionals(None) == ()
        live = await self.rows(
            "select * from ledger.intents where state not in ('FILLED', 'CANCELED', 'REJECTED', 'ABSENT', 'EXPIRED')"
        )
        assert live == []
        for symbol in SYMBOLS:
            theirs = await self.venue.fills(symbol, since_ms=self._now_ms() - 3_600_000, after_id=None)
            ours = await self.rows("select * from ledger.fills where symbol = :s order by trade_id", s=symbol)
            assert [(one.trade_id, one.quantity, one.price, one.fee) for one in theirs] == [
                (one["trade_id"], one["quantity"], one["price"], one["fee"]) for one in ours
            ]
            entries = await self.rows(
                "select order_id, count(distinct analysis_id) as n from ledger.fills where symbol = :s group by 1",
                s=symbol,
            )
            assert all(row["n"] == 1 for row in entries)

    async def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        await self.venue.close()
        await self.http.aclose()
        await self.redis.aclose()
        await self.engine.dispose()


async def until(
    condition: Callable[[], Any], seconds: float, what: str, story: Callable[[], Any] | None = None
) -> None:
    """Wait for a condition; on failure say what was waited for and how far it came."""
    end = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds} s for {what}: {await story() if story is not None else ''}")
        await asyncio.sleep(0.05)


@pytest.fixture
def ports(free_port: int) -> Callable[[], int]:
    from phoenix95.stack.address import free_port as another

    first: Iterator[int] = iter([free_port])
    return lambda: next(first, 0) or another()


@pytest.fixture
async def stand(
    forks: Forks, tmp_path: Path, make_redis: Callable[..., Any], ledger_url: str, ports: Callable[[], int]
) -> AsyncIterator[Stand]:
    rules = f"user executor on >{SECRET} resetkeys resetchannels -@all {user_rules('executor')}"
    redis = make_redis(acl=f"user default on nopass ~* &* +@all\n{rules}\n")
    made = Stand(forks, tmp_path, redis.url, ledger_url, ports)
    made.redis_server = redis
    try:
        for symbol in SYMBOLS:
            await add_symbol(made.redis, symbol)
        await made.start_paper()
        yield made
    finally:
        await made.close()


Make = Callable[..., Analysis]


@pytest.mark.parametrize(
    ("hedge_mode", "margin_type"), [("true", "isolated"), ("false", "cross")], ids=["hedge_isolated", "one_way_cross"]
)
async def test_entered_protected_and_closed_by_the_time_barrier(
    stand: Stand, an_analysis: Make, hedge_mode: str, margin_type: str
) -> None:
    settings = {"P95_EXECUTOR_HEDGE_MODE": hedge_mode, "P95_EXECUTOR_MARGIN_TYPE": margin_type}
    process = await stand.start_executor(**settings)
    name = await stand.say(an_analysis, hold_ms=2_000, request="1-1", side="SELL")
    await stand.until_trade(name, "PROTECTED")
    assert {(order.symbol, order.state) for order in await stand.venue.open_conditionals(None)} == {("BTCUSDT", "OPEN")}
    stops = await stand.rows("select * from ledger.intents where analysis_id = :id and role = 'stop'", id=name)
    position = (await stand.venue.positions())[0]
    assert (stops[0]["state"], stops[0]["quantity"]) == ("OPEN", position.size)
    assert position.position_side == "SHORT"
    held = (await stand.signed("/fapi/v2/positionRisk", symbol="BTCUSDT"))[-1]
    assert (held["positionSide"], held["marginType"]) == ("SHORT" if hedge_mode == "true" else "BOTH", margin_type)
    with pytest.raises(ConfigError, match="P95_EXECUTOR_HEDGE_MODE"):
        await stand.account_of(hedge=hedge_mode != "true").use_position_mode()
    await stand.until_trade(name, "CLOSED")
    closed = await stand.position(name)
    assert (closed["exit_reason"], closed["side"], closed["is_active"]) == ("time_barrier", "short", False)
    assert closed["fees"] > 0
    wallet = (await stand.venue.account()).wallet
    assert wallet == D(10_000) + closed["realized_pnl"]
    await stand.check()
    await until_published(stand)
    events = [order_decoder.decode(fields[b"d"]) for _, fields in await tail(stand.redis, keys.ORDER, 100)]
    assert isinstance(events[0], Decided)
    assert {event.state for event in events if isinstance(event, PositionChanged)} == {"opened", "protected", "closed"}
    assert {event.role for event in events if isinstance(event, OrderChanged)} == {"entry", "stop", "target", "exit"}
    assert all(event.request == "1-1" for event in events)
    assert (await stand.rows("select count(*) as n from ledger.portfolio"))[0]["n"] >= 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


async def until_published(stand: Stand) -> None:
    async def published() -> bool:
        return (await stand.rows("select count(*) as n from ledger.outbox where not published"))[0]["n"] == 0

    await until(published, 15, "the outbox to be published")


async def test_closed_by_stop_or_target(stand: Stand, an_analysis: Make) -> None:
    await stand.start_executor()
    names = [
        await stand.say(an_analysis, symbol, stop=0.0004, target=0.0004, hold_ms=600_000, side=side, leverage=10)
        for symbol, side in zip(SYMBOLS, ("BUY", "SELL", "BUY", "SELL", "BUY"), strict=True)
    ]
    for name in names:
        await stand.until_trade(name, "CLOSED", 60)
    assert {(await stand.position(name))["exit_reason"] for name in names} <= {"stop_loss", "take_profit"}
    await stand.check()


async def test_every_analysis_and_reply_is_a_row_and_a_command_closes(stand: Stand, an_analysis: Make) -> None:
    await stand.start_executor()
    held = await stand.say(an_analysis, hold_ms=600_000)
    await stand.until_trade(held, "PROTECTED")
    reply = keys.reply("BTCUSDT", 16)
    said = {
        await stand.say(an_analysis, action="HOLD"): "the engine says HOLD",
        await stand.say(an_analysis, stream=reply, request="5-0", trade=False): "only an analysis",
        await stand.say(an_analysis, stream=reply, request="6-0"): "already held",
        await stand.say(an_analysis, "ETHUSDT", expires_at=1): "expired",
        await stand.say(an_analysis, "ETHUSDT", confidence=0.5): "confidence",
        await stand.say(an_analysis, "ETHUSDT", position_fraction=0.5): "size: size 0.5",
    }
    await stand.redis.xadd(keys.analysis("XRPUSDT", 16), {"d": "{broken"})

    async def all_rows() -> bool:
        return (await stand.rows("select count(*) as n from ledger.signals"))[0]["n"] == len(said) + 2

    await until(all_rows, 20, "a row for each")
    for name, reason in said.items():
        row = (await stand.rows("select * from ledger.signals where analysis_id = :id", id=name))[0]
        assert reason in row["reason"]
        assert not row["accepted"]
    assert (await stand.rows("select action from ledger.signals where symbol = 'XRPUSDT'")) == [{"action": "ERROR"}]
    await until_published(stand)
    assert len(await tail(stand.redis, keys.dead_letter("executor"), 10)) == 1
    command = await append(stand.redis, keys.COMMAND, ClosePosition(symbol="BTCUSDT", reason="enough"))
    await stand.until_trade(held, "CLOSED")
    assert (await stand.position(held))["exit_reason"] == "manual"
    await until_published(stand)
    assert command.encode() in (await tail(stand.redis, keys.ACK, 10))[-1][1][b"d"]
    await stand.check()


async def test_scaled_targets_and_exits_by_signals_although_all_is_halted(stand: Stand, an_analysis: Make) -> None:
    """The first target lies behind the price when it is placed: its share is taken at the market, the rest goes on."""
    await stand.start_executor(
        P95_EXECUTOR_TARGETS="0.5@0.01,0.5@5", P95_EXECUTOR_BREAKEVEN_R="3", P95_EXECUTOR_TRAILING_PERCENT="0.2"
    )
    price = await stand.price("BTCUSDT")
    other = await stand.say(an_analysis, "ETHUSDT", hold_ms=600_000)
    held = await stand.say(an_analysis, price=price * 0.998, hold_ms=600_000)
    await stand.until_trade(other, "PROTECTED")
    await stand.until_trade(held, "PROTECTED")

    async def half() -> bool:
        resting = await stand.venue.open_conditionals("BTCUSDT")
        positions = [one for one in await stand.venue.positions() if one.symbol == "BTCUSDT"]
        sizes = {one.size for one in positions} | {one.quantity for one in resting}
        return len(sizes) == 1 and sorted(one.client_id[3] for one in resting) == ["r", "s", "t"]

    await until(half, 20, "half of it to be taken, the rest with its stops and its target", stand.unfinished)
    filled = "select role, slot, filled, trigger_price from ledger.intents where filled > 0 and symbol = 'BTCUSDT'"
    assert {(row["role"], row["slot"], row["trigger_price"]) for row in await stand.rows(filled)} == {
        ("entry", 0, None),
        ("target", 0, None),
    }
    await set_by_person(stand.engine, "account", "HALT", "test", "me")
    await stand.say(an_analysis, "ETHUSDT", side="SELL", confidence=0.1)
    await stand.say(an_analysis, "ETHUSDT", side="SELL")
    await stand.say(an_analysis, action="EXIT", side=None, strategy="another")
    await stand.say(an_analysis, action="EXIT", side=None, expires_at=1)
    await stand.until_trade(held, "CLOSED")
    assert (await stand.position(held))["exit_reason"] == "strategy"
    await stand.until_trade(other, "CLOSED")
    assert (await stand.position(other))["exit_reason"] == "opposite_signal"
    await stand.check()


async def test_an_entry_whose_answer_is_lost_is_resolved_and_never_sent_again(stand: Stand, an_analysis: Make) -> None:
    await stand.start_executor(P95_EXECUTOR_RECV_WINDOW_MS="2000")
    expected = {"drop_before": "FAILED", "refuse": "FAILED", "drop_after": "CLOSED", "unknown": "CLOSED"}
    names: dict[str, tuple[str, str]] = {}
    for symbol, kind in zip(SYMBOLS, expected, strict=False):
        await stand.arm("/fapi/v1/order", kind)
        names[kind] = symbol, await stand.say(an_analysis, symbol, hold_ms=1_500)

        async def signed(symbol: str = symbol) -> bool:
            return bool(
                await stand.rows("select 1 from ledger.intents where symbol = :s and signed_ms is not null", s=symbol)
            )

        await until(signed, 20, f"{symbol} to be sent")
        await asyncio.sleep(0.3)  # the request follows its signature: the next fault is not for it
    for kind, (symbol, name) in names.items():
        await stand.until_trade(name, expected[kind], 30)
        entries = [one for one in await stand.venue.fills(symbol, since_ms=0, after_id=None) if one.side == "BUY"]
        assert len({one.order_id for one in entries}) == (1 if expected[kind] == "CLOSED" else 0)
    await stand.check()


async def test_three_refused_stops_close_the_position_and_halt_the_symbol(stand: Stand, an_analysis: Make) -> None:
    await stand.start_executor()
    await stand.arm("/fapi/v1/algoOrder", "refuse", 3)
    name = await stand.say(an_analysis, hold_ms=600_000)
    await stand.until_trade(name, "CLOSED")
    assert (await stand.position(name))["exit_reason"] == "unprotected"
    assert (await stand.rows("select scope, mode from ledger.control")) == [{"scope": "BTCUSDT", "mode": "HALT"}]
    await until_published(stand)
    assert b"unprotected" in (await tail(stand.redis, keys.ALERT, 1))[0][1][b"d"]
    refused = await stand.say(an_analysis)

    async def decided() -> bool:
        return bool(await stand.rows("select 1 from ledger.signals where analysis_id = :id", id=refused))

    await until(decided, 15, "the next decision")
    row = (await stand.rows("select reason from ledger.signals where analysis_id = :id", id=refused))[0]
    assert "HALT" in row["reason"]
    assert stand.executor("control", "RUN", "--symbol", "BTCUSDT", "--reason", "mended").wait(30) == 0
    again = await stand.say(an_analysis, hold_ms=1_000)
    await stand.until_trade(again, "CLOSED")
    await stand.check()


async def test_lost_answers_of_stops_and_exits_leave_nothing_behind(stand: Stand, an_analysis: Make) -> None:
    await stand.start_executor()
    await stand.arm("/fapi/v1/algoOrder", "drop_after", 1)
    await stand.arm("/fapi/v1/algoOrder", "drop_before", 1)
    name = await stand.say(an_analysis, hold_ms=3_000)
    await stand.until_trade(name, "PROTECTED")
    await stand.arm("/fapi/v1/order", "drop_after", 1)
    await stand.until_trade(name, "CLOSED", 40)
    await stand.check()


async def test_a_standby_takes_over_when_the_active_one_is_killed(stand: Stand, an_analysis: Make) -> None:
    first = await stand.start_executor()
    name = await stand.say(an_analysis, hold_ms=6_000)
    await stand.until_trade(name, "PROTECTED")
    other = stand.port()
    stand.executor(ops=other)

    async def stands_by() -> bool:
        return "another executor is active" in (stand.folder / "executor.log").read_text()

    await until(stands_by, 20, "the second one to stand by")
    assert not await stand.ready(other)
    first.kill()
    await until(lambda: stand.ready(other), 20, "the standby to take over")
    await stand.until_trade(name, "CLOSED")
    await stand.check()


async def test_without_postgres_a_position_that_lost_its_stop_is_closed_and_then_booked(
    stand: Stand, an_analysis: Make
) -> None:
    """The stored emergency exit is sent from memory; the executor stays, and takes the account's lock again."""
    process = await stand.start_executor()
    name = await stand.say(an_analysis, hold_ms=600_000)
    await stand.until_trade(name, "PROTECTED")
    database = (await stand.rows("select current_database() as name"))[0]["name"]
    admin = psycopg.connect(stand.postgres_url.replace(f"/{database}", "/postgres"), autocommit=True)
    with admin:
        admin.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false')
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,))
        for order in await stand.venue.open_conditionals(None):
            await stand.venue.cancel_conditional(order.symbol, order.client_id)

        async def flat() -> bool:
            return await stand.venue.positions() == ()

        await until(flat, 15, "the emergency exit")
        admin.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')
    await stand.until_trade(name, "CLOSED")
    await until(stand.ready, 15, "the executor to be ready again")
    assert process.poll() is None
    assert (await stand.position(name))["exit_reason"] == "unprotected"
    assert (await stand.rows("select mode from ledger.control where scope = 'BTCUSDT'"))[0]["mode"] == "HALT"
    await stand.check()


async def test_wrong_keys_are_named_and_without_redis_a_trade_is_closed_all_the_same(
    stand: Stand, an_analysis: Make
) -> None:
    wrong = stand.executor(P95_EXECUTOR_API_SECRET="wrong")
    assert wrong.wait(20) == 2
    log = (stand.folder / "executor.log").read_text()
    assert "P95_EXECUTOR_API_SECRET" in log
    assert "Traceback" not in log
    await stand.http.post("/paper/v1/restrictions", params={"enableWithdrawals": "true"})
    assert stand.executor().wait(20) == 2
    assert "P95_EXECUTOR_API_KEY must not be traded with" in (stand.folder / "executor.log").read_text()
    await stand.http.post("/paper/v1/restrictions", params={"enableWithdrawals": "false"})
    first = await stand.start_executor()
    name = await stand.say(an_analysis, hold_ms=5_000)
    await stand.until_trade(name, "PROTECTED")
    first.kill()
    first.wait()
    stand.executor(P95_REDIS_URL=f"redis://127.0.0.1:{stand.port()}/0")
    await stand.until_trade(name, "CLOSED", 30)
    assert not await stand.ready()
    await stand.check()


async def test_a_manual_trade_is_entered_once_and_what_is_too_late_is_not(stand: Stand) -> None:
    price = await stand.price("ETHUSDT")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        await stand.tell_price(symbol, await stand.price(symbol), stand._now_ms())
    now_ms = stand._now_ms()
    late = PlaceTrade(
        symbol="BTCUSDT", side="BUY", requested_at=now_ms - 9, expires_at=now_ms - 1, leverage=2, equity_fraction="0.01"
    )
    amount = f"{150 / price:.3f}"
    trade = PlaceTrade(
        symbol="ETHUSDT", side="SELL", requested_at=now_ms, expires_at=now_ms + 60_000, leverage=3, amount=amount
    )
    await append(stand.redis, keys.COMMAND, late)
    command_id = await append(stand.redis, keys.COMMAND, trade)
    name = f"manual-ETHUSDT-c{command_id}"
    process = await stand.start_executor()
    await stand.until_trade(name, "PROTECTED")
    position = (await stand.venue.positions())[0]
    assert (position.position_side, position.size) == ("SHORT", D(amount))
    stored = await stand.trade(name)
    assert stored["stop_loss"] == pytest.approx(D(price) * D("1.01"), rel=D("0.005"))

    process.kill()
    process.wait()
    await stand.rows_changed("update ledger.offsets set last_id = '0-0' where stream = :s", s=keys.COMMAND)
    await stand.start_executor()
    await append(stand.redis, keys.COMMAND, ClosePosition(symbol="ETHUSDT", reason="enough"))
    await stand.until_trade(name, "CLOSED")
    assert (await stand.position(name))["exit_reason"] == "manual"
    await until_published(stand)
    acks = [ack_decoder.decode(fields[b"d"]) for _, fields in await tail(stand.redis, keys.ACK, 100)]
    assert [ack.ok for ack in acks] == [False, True, True]
    assert "fresh: expired" in acks[0].message
    assert acks[1].command_id == command_id
    events = [order_decoder.decode(fields[b"d"]) for _, fields in await tail(stand.redis, keys.ORDER, 100)]
    assert [event.accepted for event in events if isinstance(event, Decided)] == [False, True]
    assert {event.request for event in events if event.symbol == "ETHUSDT"} == {command_id}
    await stand.check()


def by_a_person(stand: Stand, client_id: str, role: Any = "entry", **changes: Any) -> Intent:
    """An order of 0.05 BTC that the executor knows nothing of."""
    now_ms = stand._now_ms()
    fields: dict[str, Any] = {
        "client_id": client_id, "analysis_id": "none", "symbol": "BTCUSDT", "role": role, "attempt": 0,
        "side": "BUY" if role == "entry" else "SELL", "position_side": "LONG", "quantity": D("0.05"),
        "signed_ms": now_ms, "deadline_ms": now_ms + 60_000,
    }  # fmt: skip
    return Intent(**{**fields, **changes})


async def test_a_strangers_position_is_adopted_protected_and_flattened_while_redis_is_down(
    stand: Stand, an_analysis: Make
) -> None:
    await stand.venue.use_position_mode()
    await stand.venue.prepare("BTCUSDT", 5)
    await stand.venue.place(by_a_person(stand, "aperson1"))
    await stand.start_executor(P95_EXECUTOR_RECONCILE_FULLY_MS="1000")
    (adopted,) = await stand.rows("select * from ledger.trades")
    assert (adopted["risk_level"], adopted["leverage"]) == ("adopted", 5)
    await stand.until_trade(adopted["analysis_id"], "PROTECTED", 5)
    (stop,) = await stand.venue.open_conditionals(None)
    assert stop.quantity == D("0.05")
    refused = await stand.say(an_analysis)

    async def told() -> bool:
        return bool(await stand.rows("select 1 from ledger.signals where analysis_id = :id", id=refused))

    await until(told, 20, "the decision")
    assert (await stand.trade(refused))["status"] == ""
    control = await stand.rows("select scope, mode, changed_by from ledger.control")
    assert control == [{"scope": "BTCUSDT", "mode": "REDUCE_ONLY", "changed_by": "executor"}]
    history = await stand.rows("select cause from ledger.control_history")
    assert history == [{"cause": "foreign_position"}]

    # a person goes on trading it by hand: the stop follows
    await stand.venue.place(by_a_person(stand, "aperson2", quantity=D("0.02")))

    async def followed() -> bool:
        return {one.quantity for one in await stand.venue.open_conditionals("BTCUSDT")} == {D("0.07")}

    await until(followed, 15, "the stop to follow the size", lambda: stand.story(adopted["analysis_id"]))

    stand.redis_server.kill()
    await stand.rows_changed(
        "select * from ledger.set_control('account', 'FLATTEN', 'enough', 'a person', 'command', false)"
    )
    closed = await stand.until_trade(adopted["analysis_id"], "CLOSED")
    assert (await stand.venue.account()).wallet == D(10_000) + closed["pnl"]
    booked = "select coalesce(sum(amount), 0) as booked from ledger.income where analysis_id = :id"

    async def all_booked() -> bool:
        return (await stand.rows(booked, id=adopted["analysis_id"]))[0]["booked"] == closed["pnl"]

    await until(all_booked, 15, "the income history", lambda: stand.rows("select * from ledger.income"))
    (seen,) = await stand.rows(
        "select extract(epoch from applied - changed) as s from ledger.control_history where mode = 'FLATTEN'"
    )
    assert seen["s"] < 2
    alerts = await stand.rows("select body from ledger.outbox where stream = :s order by seq", s=keys.ALERT)
    kinds = [msgspec.json.decode(row["body"])["kind"] for row in alerts]
    assert kinds == ["foreign_position", "changed_by_hand", "control"]
    await stand.check()


async def test_without_services_a_person_reconciles_and_flattens_directly(stand: Stand) -> None:
    await stand.venue.use_position_mode()
    price = await stand.price("BTCUSDT")
    for side, opening, closing in (("LONG", "BUY", "SELL"), ("SHORT", "SELL", "BUY")):
        away = 0.9 if side == "LONG" else 1.1
        given = {"position_side": side, "trigger_price": D(round(price * away))}
        await stand.venue.place(by_a_person(stand, f"web{side}", side=opening, position_side=side))
        await stand.venue.place_conditional(by_a_person(stand, f"p95s{side}", "stop", side=closing, **given))
    assert stand.executor("reconcile", "--apply").wait(50) == 0, (stand.folder / "executor.log").read_text()
    assert len(await stand.rows("select 1 from ledger.trades where stage = 'PROTECTED'")) == 2
    nothing_else = {"P95_REDIS_URL": "", "P95_POSTGRES_URL": ""}
    assert stand.executor("flatten", **nothing_else).wait(30) == 1  # nobody can be asked
    assert len(await stand.venue.positions()) == 2
    await stand.arm("/fapi/v1/order", "drop_before")  # the first attempt is lost
    assert stand.executor("flatten", "--yes", **nothing_else).wait(30) == 0
    assert await stand.venue.positions() == ()
    assert await stand.venue.open_conditionals(None) == ()
    said = (stand.folder / "executor.log").read_text()
    assert "Flat: closed 2 position(s), cancelled 2 order(s)." in said


async def test_a_leftover_stop_is_cancelled_although_its_symbol_is_held(stand: Stand, an_analysis: Make) -> None:
    await stand.start_executor()
    name = await stand.say(an_analysis, "ETHUSDT", hold_ms=600_000)
    await stand.until_trade(name, "PROTECTED")
    price = D(round(await stand.price("ETHUSDT") * 0.9))
    stop = by_a_person(stand, "p95sleftover", "stop", symbol="ETHUSDT", trigger_price=price)
    await stand.venue.place_conditional(stop)
    assert len(await stand.venue.open_conditionals("ETHUSDT")) == 3

    async def gone() -> bool:
        return all(one.client_id != "p95sleftover" for one in await stand.venue.open_conditionals("ETHUSDT"))

    await until(gone, 20, "the leftover stop to be cancelled")
    assert len(await stand.venue.open_conditionals("ETHUSDT")) == 2


async def test_a_trade_that_nobody_drives_is_taken_up(
    stand: Stand, an_analysis: Make, surroundings_at: Callable[[int], dict[str, Any]]
) -> None:
    """Its decision was stored, but the reply of the commit was lost: nothing may hold its symbol for ever."""
    await stand.start_executor()
    token = (await stand.rows("select token from ledger.accounts"))[0]["token"]
    now_ms = stand._now_ms()
    decision = decide(
        an_analysis(ts=now_ms, expires_at=now_ms + 10), account="main", now_ms=now_ms, uncertainty_ms=1.0,
        **surroundings_at(now_ms),
    )  # fmt: skip
    ledger = PostgresLedger(Writer(stand.engine, "main", token, lambda: None))
    await ledger.decide([decision], None, await ledger.modes())
    await stand.until_trade(decision.analysis.id, "FAILED", 5)


async def test_what_no_text_of_postgres_can_hold_is_kept_as_unreadable(stand: Stand, an_analysis: Make) -> None:
    process = await stand.start_executor()
    await stand.say(an_analysis, reasoning=("a\0b",), action="HOLD")
    await stand.redis.xadd(keys.analysis("XRPUSDT", 16), {"d": b"{\0broken"})
    await append(stand.redis, keys.COMMAND, ClosePosition(symbol="A\0B", reason="test"))

    async def kept() -> bool:
        return await stand.redis.xlen(keys.dead_letter("executor")) == 3

    await until(kept, 20, "three dead letters")
    assert process.poll() is None
