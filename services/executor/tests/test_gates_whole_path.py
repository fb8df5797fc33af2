"""Every gate tripped on the whole path: an entry in a Redis stream, the executor's process, the exchange, a row."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from services.executor.tests.test_process import Make, Stand, ports, stand, until

from phoenix95.common import keys
from phoenix95.common.bus import connect as connect_redis
from phoenix95.common.bus.append import append
from phoenix95.common.bus.reader import LogReader
from phoenix95.common.clock import ManualClock
from phoenix95.common.events import Analysis, ClosePosition, PlaceTrade, Quality
from phoenix95.executor.core.figures import Told
from phoenix95.executor.core.gates import gates
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.market import market_of
from phoenix95.executor.core.plan import Bounds
from phoenix95.executor.ledger.control import set_by_person
from phoenix95.executor.ledger.store import PostgresLedger
from phoenix95.executor.ledger.writing import Writer
from phoenix95.executor.ports import Ports
from phoenix95.executor.protocol.intake import Standing, take

__all__ = ["ports", "stand"]  # fixtures

D = Decimal
ALL: Final = {one.name for one in gates()}
GAP: Final = Quality(warm=True, bars=100, degraded_bars=2, spread_bps=1.0)

# what is said of a symbol, and the gate that has to refuse it; prices are relative to the market's
SAID: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("confidence", "BNBUSDT", {"confidence": 0.5}),
    ("score", "BNBUSDT", {"phoenix95_score": 0.5}),
    ("risk_level", "BNBUSDT", {"risk_level": "critical"}),
    ("side", "BNBUSDT", {"side": None}),
    ("fresh", "BNBUSDT", {"live_ms": -1}),
    ("symbol", "ADAUSDT", {}),
    ("price", "BNBUSDT", {"price": 1.0}),
    ("quality", "BNBUSDT", {"quality": GAP}),
    ("duplicate", "ETHUSDT", {}),
    ("size", "BNBUSDT", {"position_fraction": 0.5}),
    ("leverage", "BNBUSDT", {"leverage": 21}),
    ("stop", "BNBUSDT", {"stop": -0.02}),
    ("stop_distance", "BNBUSDT", {"stop": 0.07}),
    ("target", "BNBUSDT", {"target": -0.02}),
    ("liquidation", "BNBUSDT", {"leverage": 20, "stop": 0.039}),
    ("spread", "XRPUSDT", {"market": {"ask": "1000"}}),
    ("existing_position", "ETHUSDT", {"side": "SELL"}),
)
# settings under which the gates refuse what is fine otherwise
STRICT: Final = {
    "P95_EXECUTOR_DELISTING_MARGIN_MS": "100000000000000",
    "P95_EXECUTOR_MAX_ACCOUNT_AGE_MS": "1",
    "P95_EXECUTOR_MAX_PORTFOLIO_RISK_PERCENT": "0.000000001",
    "P95_EXECUTOR_MAX_EXPOSURE_PERCENT": "0.000000001",
    "P95_EXECUTOR_MAX_SYMBOL_EXPOSURE_PERCENT": "0.000000001",
    "P95_EXECUTOR_MAX_ACTIVE_POSITIONS": "1",
    "P95_EXECUTOR_MIN_FREE_MARGIN_PERCENT": "0.9999",
    "P95_EXECUTOR_MAX_ENTRIES_MINUTE": "1",
    "P95_EXECUTOR_MAX_CLOCK_UNCERTAINTY_MS": "0.0001",
    "P95_EXECUTOR_STOP_COOLDOWN_MS": "600000",
    "P95_EXECUTOR_MAX_POSITION_RISK_PERCENT": "0.001",
}
STRICTLY: Final = {
    "trading", "equity", "portfolio_risk", "exposure", "symbol_exposure", "active_positions", "free_margin",
    "order_rate", "clock", "cooldown", "daily_loss", "drawdown", "control",
}  # fmt: skip
A_LOSS: Final = """
insert into ledger.trades (analysis_id, account, symbol, side, position_side, amount, price, leverage, confidence,
  phoenix95_score, risk_level, stop_loss, status, stage, hold_ms, expires_ms, created, closed, pnl, metadata)
select 'a-loss', account, 'BNBUSDT', side, position_side, amount, price, leverage, confidence, phoenix95_score,
  risk_level, stop_loss, 'closed', 'CLOSED', hold_ms, expires_ms, created, created, -2000,
  '{"exit_reason": "stop_loss"}'
from ledger.trades where analysis_id = :good"""


async def refusals(stand: Stand, analysis_id: str) -> dict[str, str]:
    """The stored reasons by gate, once the decision is there. Every gate has left its verdict with numbers."""

    async def decided() -> bool:
        return bool(await stand.rows("select 1 from ledger.signals where analysis_id = :id", id=analysis_id))

    await until(decided, 20, f"{analysis_id} to be decided")
    row = (await stand.rows("select * from ledger.signals where analysis_id = :id", id=analysis_id))[0]
    said = {one["gate"]: one for one in row["verdicts"]}
    assert set(said) == ALL - ({g.name for g in gates() if g.of_opinion} if "manual" in analysis_id else set())
    refused = {gate: one["reason"] for gate, one in said.items() if one["reason"] is not None}
    assert all(one["numbers"] for gate, one in said.items() if gate not in refused)
    assert row["accepted"] == (not refused)
    return refused


async def test_every_gate_can_be_tripped_and_none_blocks_an_exit(stand: Stand, an_analysis: Make) -> None:
    process = await stand.start_executor(
        P95_EXECUTOR_DUPLICATE_MS="600000", P95_EXECUTOR_SYMBOLS="BTCUSDT,ETHUSDT,BNBUSDT,XRPUSDT",
        P95_EXECUTOR_EXIT_ON_OPPOSITE="false",
    )  # fmt: skip
    good = await stand.say(an_analysis, "ETHUSDT", hold_ms=600_000)
    await stand.until_trade(good, "PROTECTED")
    assert await refusals(stand, good) == {}
    said = [(gate, await stand.say(an_analysis, symbol, **changes)) for gate, symbol, changes in SAID]
    tripped = {gate for gate, name in said if gate in await refusals(stand, name)}
    assert tripped == {gate for gate, _, _ in SAID}

    process.kill()
    process.wait()
    await stand.rows_changed(A_LOSS, good=good)
    await stand.rows_changed("update ledger.accounts set peak_equity = 1000000")
    await set_by_person(stand.engine, "BNBUSDT", "HALT", "test", "tester")
    await stand.start_executor(**STRICT)
    refused = await refusals(stand, await stand.say(an_analysis, "BNBUSDT", position_fraction=0.001))
    assert set(refused) >= STRICTLY
    tripped |= STRICTLY
    if "filters" in await refusals(stand, await stand.say(an_analysis, "BTCUSDT", position_fraction=0.001)):
        tripped |= {"filters"}  # 10 of quote currency at most, and the exchange takes 100 at least

    now_ms = stand._now_ms()
    by_hand = PlaceTrade(
        symbol="BNBUSDT", side="BUY", requested_at=now_ms, expires_at=now_ms + 9_000, leverage=2,
        equity_fraction="0.001",
    )  # fmt: skip
    command = await append(stand.redis, keys.COMMAND, by_hand)
    assert set(await refusals(stand, f"manual-BNBUSDT-c{command}")) >= STRICTLY
    await append(stand.redis, keys.COMMAND, ClosePosition(symbol="ETHUSDT", reason="enough"))
    await stand.until_trade(good, "CLOSED")

    if "staged" in await refused_with_real_money(stand, an_analysis):
        tripped |= {"staged"}
    assert tripped == ALL


async def refused_with_real_money(stand: Stand, make: Callable[..., Analysis]) -> dict[str, str]:
    """The same path in this process, with the limits of mode live: the paper exchange is none that live accepts."""
    token = (await stand.rows("select token from ledger.accounts"))[0]["token"]
    now_ms = stand._now_ms()
    name = await stand.say(make, "XRPUSDT")
    stream, redis = keys.analysis("XRPUSDT", 16), connect_redis(stand.redis_url, name="staged")
    price = str(await stand.price("XRPUSDT"))

    async def market(_symbol: str) -> Any:
        return market_of({"price": price, "trade_time": str(now_ms)})

    ports = Ports(
        ledger=PostgresLedger(Writer(stand.engine, "main", token, lambda: None)), venue=stand.venue,
        clock=ManualClock(now_ms, 1.0), bounds=Bounds(), account="main", recv_window_ms=5_000, market=market,
    )  # fmt: skip
    told = Told(at_ms=now_ms, equity=D(10_000), wallet=D(10_000), available=D(10_000), unrealized=D(0))
    entries = (await LogReader(redis, 100).read({stream: "0-0"}))[0][1]
    await redis.aclose()
    again = [(entry_id, {b"d": fields[b"d"].replace(name.encode(), b"staged")}) for entry_id, fields in entries[-1:]]
    limits = Limits(mode="live", staged_notional_max=D(1))
    taken = await take(ports, stream, again, standing=Standing(told, None), limits=limits)
    assert (taken.begun, taken.ended) == ((), ())
    return await refusals(stand, "staged")
