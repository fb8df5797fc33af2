"""What anyone may look at: health, info, prices, portfolio, metrics; and commands with their acknowledgement."""

import asyncio
import time

import pytest

from phoenix95.common import keys
from phoenix95.common.bus.append import append
from phoenix95.common.bus.beat import write_expiring, write_heartbeat
from phoenix95.common.bus.prices import write_price
from phoenix95.common.bus.reader import tail
from phoenix95.common.events import Ack, ClosePosition, Heartbeat, HostSample, Subscribe, Unsubscribe
from phoenix95.common.ids import partition_of
from phoenix95.common.wire import command_decoder
from phoenix95.gateway.core.health import SERVICES

P = 16

LEDGER_SQL = """
INSERT INTO ledger.signals (analysis_id, symbol, action, accepted, reason, request, ts_ms, decided_ms, created)
  VALUES ('a1', 'BTCUSDT', 'EXECUTE', true, '', '500-0', 1, 2, now()),
         ('a2', 'BTCUSDT', 'HOLD', false, 'no edge', NULL, 1, 2, now()),
         ('a3', 'ETHUSDT', 'HOLD', false, 'no edge', NULL, 1, 2, now());
INSERT INTO ledger.intents (client_id, account, analysis_id, symbol, role, attempt, side, position_side, quantity,
  state, signed_ms, filled, not_found, updated_ms) VALUES
  ('p95e1', 'main', 'a1', 'BTCUSDT', 'entry', 1, 'BUY', 'LONG', 0.002, 'FILLED', 5, 0.002, 0, 6),
  ('p95t1', 'main', 'a1', 'BTCUSDT', 'target', 1, 'SELL', 'LONG', 0.002, 'PLANNED', NULL, 0, 0, 6);
INSERT INTO ledger.fills (account, symbol, trade_id, analysis_id, order_id, side, position_side, price, quantity, fee,
  fee_asset, realized_pnl, time_ms) VALUES ('main', 'BTCUSDT', 1, 'a1', '9', 'BUY', 'LONG', 64000, 0.002, 0.064,
  'USDT', 0, 5);
INSERT INTO ledger.positions (analysis_id, account, symbol, side, size, entry_price, leverage, stop_loss, protected,
  is_active, created, updated, exit_reason) VALUES
  ('a1', 'main', 'BTCUSDT', 'long', 0.00200000, 64000.50, 5, 63000, true, true, now(), now(), NULL),
  ('a0', 'main', 'ETHUSDT', 'short', 0.1, 3500, 5, 3600, true, false, now(), now(), 'stop_loss');
INSERT INTO ledger.portfolio (account, total_balance, available_balance, used_margin, unrealized_pnl, total_risk,
  max_drawdown, active_positions, total_exposure, daily_pnl, daily_pnl_percent, daily_trades, daily_wins, daily_losses,
  created, date) VALUES
  ('main', 9000, 9000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, now(), now()),
  ('main', 10001.25000000, 9975, 25.6, 1.25, 0.0002, 0, 1, 128, 1.25, 0.0125, 1, 0, 0, now(), now());
"""


async def all_alive(redis):
    now_ms = time.time_ns() // 1_000_000
    for service in SERVICES:
        beat = Heartbeat(service=service, instance="x", version="9.9", started_wall_ms=now_ms, progress_wall_ms=now_ms)
        await write_heartbeat(redis, beat)


async def test_health_is_200_when_all_is_well_and_503_naming_who_is_not(gateway, redis):
    got = await gateway.http.get("/health")
    assert (got.status_code, got.json()["unhealthy"]) == (503, list(SERVICES))
    await all_alive(redis)
    got = await gateway.http.get("/health")
    body = got.json()
    assert (got.status_code, body["status"], body["unhealthy"]) == (200, "healthy", [])
    assert set(body["components"]) == {*SERVICES, "gateway", "redis", "postgres", "exchange_time"}
    assert body["components"]["engine"]["version"] == "9.9"
    await redis.delete(keys.heartbeat("engine", "x"))
    got = await gateway.http.get("/health")
    assert (got.status_code, got.json()["unhealthy"]) == (503, ["engine"])
    assert got.json()["components"]["engine"]["reason"] == "no heartbeat"


async def test_info_tells_what_runs_and_what_was_done(gateway, migrated_url, run_sql):
    body = (await gateway.http.get("/api/info")).json()
    assert (body["name"], body["mode"], body["equity"]) == ("Phoenix 95", "paper", None)
    run_sql(migrated_url, LEDGER_SQL)
    body = (await gateway.http.get("/api/info")).json()
    assert body["counts"] == {
        "analyses": 2,
        "replies": 1,
        "decisions": 3,
        "accepted": 1,
        "orders": 1,
        "fills": 1,
        "positions": 2,
        "active_positions": 1,
    }
    assert (body["equity"], body["status"], body["symbols"]) == ("10001.25", "running", ["BTCUSDT", "ETHUSDT"])
    assert abs(body["exchange_ms"] - time.time() * 1000) < 5_000
    assert "a-key" not in str(body)


async def test_the_portfolio_is_exact(gateway, migrated_url, run_sql):
    assert (await gateway.http.get("/api/portfolio")).json() == {"balance": None, "active_positions": [], "count": 0}
    run_sql(migrated_url, LEDGER_SQL)
    body = (await gateway.http.get("/api/portfolio")).json()
    assert (body["balance"]["total_balance"], body["count"]) == ("10001.25", 1)
    (position,) = body["active_positions"]
    assert (position["symbol"], position["size"], position["entry_price"]) == ("BTCUSDT", "0.002", "64000.5")


async def test_a_price_is_told_while_it_is_fresh(gateway, redis):
    got = await gateway.http.get("/api/price/BTCUSDT")
    assert (got.status_code, got.json()["detail"]) == (404, "no price of BTCUSDT in the last 30 s")
    await write_price(redis, "BTCUSDT", P, {"price": "64000.10", "change_percent": "-1.2"})
    for spelled in ("BTCUSDT", "btcusdt"):
        body = (await gateway.http.get(f"/api/price/{spelled}")).json()
        assert (body["symbol"], body["price"], body["change_percent"]) == ("BTCUSDT", "64000.10", "-1.2")


async def test_metrics_tell_rates_lag_and_the_host(gateway, redis):
    sample = HostSample(
        ts_wall_ms=1,
        cpu_percent=12.5,
        cpu_count=2,
        memory_total=8,
        memory_available=4,
        memory_percent=50.0,
        disk_total=9,
        disk_free=3,
        disk_percent=66.0,
        processes=(),
    )
    assert (await gateway.http.get("/api/metrics")).json()["host"] is None
    await write_expiring(redis, keys.HOST_NOW, sample, 30_000)
    for n in range(1, 101):
        await redis.xadd(keys.tick("BTCUSDT", P), {"d": b"{}"}, id=f"{1000 + n}-{n}")
    await redis.xadd(keys.analysis("BTCUSDT", P), {"d": b"{}"}, id="1050-1")
    await redis.hset(keys.checkpoint(partition_of("BTCUSDT", P)), "off:BTCUSDT", "1090-90")

    async def counted():
        body = (await gateway.http.get("/api/metrics")).json()
        return body if body["symbols"]["BTCUSDT"]["ticks"] == 100 else None

    body = await gateway.until(counted)
    btc = body["symbols"]["BTCUSDT"]
    assert (btc["lag_ticks"], btc["lag_ms"], btc["last_tick"], btc["analyses"]) == (10, 10, "1100-100", 1)
    assert 0 < btc["ticks_per_s"] <= 60
    assert (body["pipeline"]["ticks"], body["pipeline"]["lag_ms"]) == (100, 10)
    assert body["symbols"]["ETHUSDT"] == {
        "ticks": 0,
        "ticks_per_s": 0.0,
        "analyses": 0,
        "replies": 0,
        "last_tick": None,
        "lag_ticks": None,
        "lag_ms": None,
    }
    assert body["host"]["cpu_percent"] == 12.5
    assert [beat["service"] for beat in body["services"]] == ["gateway"]


async def acknowledge(redis, *, ok, message):
    """Play the service that acts on the next command; returns the command."""
    for _ in range(500):
        entries = await tail(redis, keys.COMMAND, 1)
        if entries:
            entry_id, fields = entries[0]
            await append(redis, keys.ACK, Ack(command_id=entry_id, service="feed", ok=ok, message=message))
            return entry_id, command_decoder.decode(fields[b"d"])
        await asyncio.sleep(0.01)
    raise AssertionError("no command was written")


@pytest.mark.parametrize(
    ("method", "path", "command"),
    [
        ("POST", "/api/subscribe/solusdt", Subscribe(symbol="SOLUSDT")),
        ("DELETE", "/api/subscribe/BTCUSDT", Unsubscribe(symbol="BTCUSDT")),
        ("POST", "/api/positions/BTCUSDT/close", ClosePosition(symbol="BTCUSDT", reason="asked for over the API")),
        (
            "POST",
            "/api/positions/BTCUSDT/close?side=short",
            ClosePosition(symbol="BTCUSDT", reason="asked for over the API", side="short"),
        ),
    ],
)
async def test_a_command_is_written_and_its_acknowledgement_answered(gateway, redis, method, path, command):
    asked = asyncio.create_task(gateway.act.request(method, path))
    command_id, written = await acknowledge(redis, ok=True, message="done")
    got = await asked
    assert written == command
    assert (got.status_code, got.json()["command_id"], got.json()["ack"]["message"]) == (200, command_id, "done")


async def test_a_refused_command_says_why(gateway, redis):
    asked = asyncio.create_task(gateway.act.post("/api/subscribe/NOPEUSDT"))
    await acknowledge(redis, ok=False, message="unknown symbol NOPEUSDT")
    got = await asked
    assert (got.status_code, got.json()["detail"]) == (409, "unknown symbol NOPEUSDT")
    assert got.json()["service"] == "feed"


async def test_a_command_nobody_acts_on_in_time_is_202(gateway):
    got = await gateway.act.post("/api/subscribe/SOLUSDT")
    assert (got.status_code, got.json()["ack"]) == (202, None)
