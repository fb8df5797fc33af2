"""The endpoints of people and scripts: analyze, manual trade, notify, lists, history, feed, and what they refuse."""

import asyncio
import time

import pytest

from phoenix95.common import keys
from phoenix95.common.bus.append import append
from phoenix95.common.bus.beat import write_heartbeat
from phoenix95.common.bus.prices import write_price
from phoenix95.common.bus.reader import tail
from phoenix95.common.events import (
    Ack,
    Alert,
    Analysis,
    Decided,
    FeedStatus,
    Heartbeat,
    HostSample,
    Notify,
    OrderChanged,
    PlaceTrade,
    PositionChanged,
    ProcessSample,
    Quality,
    Seed,
    Trade,
)
from phoenix95.common.wire import command_decoder, request_decoder

P = 16
SIGNAL = {
    "symbol": "btcusdt",
    "action": "long",
    "price": 64000.5,
    "confidence": 0.8,
    "rsi": 40,
    "macd": -1.5,
    "volume": 10,
    "timestamp": "2024-07-19T00:00:00Z",
    "alpha_score": 0.4,
    "z_score": -1.2,
    "ml_signal": "BUY",
    "ml_confidence": 0.7,
    "strategy": "tv",
    "timeframe": "5m",
}
TRADE = {"symbol": "BTCUSDT", "side": "sell", "amount": "0.002", "leverage": 3}


LEDGER_SQL = """
INSERT INTO ledger.signals (analysis_id, symbol, action, side, accepted, reason, verdicts, request, ts_ms, decided_ms,
  created) VALUES ('a1', 'BTCUSDT', 'EXECUTE', 'BUY', true, '',
  '[{"gate": "score", "stage": "signal", "reason": null, "numbers": {"score": "0.8"}}]', '500-0', 1, 2, now()),
  ('a2', 'BTCUSDT', 'HOLD', NULL, false, 'no edge', '[]', NULL, 1, 2, now());
INSERT INTO ledger.intents (client_id, account, analysis_id, symbol, role, attempt, side, position_side, quantity,
  state, signed_ms, filled, not_found, updated_ms) VALUES
  ('p95e1', 'main', 'a1', 'BTCUSDT', 'entry', 1, 'BUY', 'LONG', 0.00200000, 'FILLED', 5, 0.00200000, 0, 6),
  ('p95s1', 'main', 'a1', 'BTCUSDT', 'stop', 1, 'SELL', 'LONG', 0.002, 'OPEN', 5, 0, 0, 6);
INSERT INTO ledger.positions (analysis_id, account, symbol, side, size, entry_price, leverage, stop_loss, protected,
  is_active, created, updated) VALUES
  ('a1', 'main', 'BTCUSDT', 'long', 0.002, 64000, 5, 63000, true, true, now(), now());
"""


def an_analysis(symbol, request, **changes):
    fields = {
        "id": f"momentum-{symbol}-r{request}",
        "strategy": "momentum",
        "symbol": symbol,
        "action": "EXECUTE",
        "side": "BUY",
        "cause": "1-1",
        "ts": 1,
        "expires_at": 2,
        "price": 100.0,
        "confidence": 0.9,
        "phoenix95_score": 0.8,
        "risk_level": "low",
        "win_probability": None,
        "win_samples": 0,
        "brier": None,
        "position_fraction": 0.01,
        "leverage": 2,
        "stop_loss": 99.0,
        "take_profit": 102.0,
        "hold_ms": 60_000,
        "bar": None,
        "indicators": {},
        "factors": (),
        "quality": Quality(warm=False, bars=0, degraded_bars=0, spread_bps=None),
        "reasoning": ("asked for",),
        "config": "c",
        "request": request,
    }
    return Analysis(**{**fields, **changes})


def a_decision(symbol, request, **changes):
    fields = {"analysis_id": f"momentum-{symbol}-r{request}", "symbol": symbol, "ts": 5, "action": "EXECUTE"}
    return Decided(**{**fields, "side": "BUY", "accepted": True, "reason": "", "request": request, **changes})


async def next_request(redis, symbol):
    """Wait for a request as the engine does; returns (its id, the request)."""
    for _ in range(500):
        entries = await tail(redis, keys.request(symbol, P), 1)
        if entries:
            return entries[0][0], request_decoder.decode(entries[0][1][b"d"])
        await asyncio.sleep(0.01)
    raise AssertionError("no request was written")


async def next_command(redis):
    """Wait for a command as a service does; returns (its id, the command)."""
    for _ in range(500):
        entries = await tail(redis, keys.COMMAND, 1)
        if entries:
            return entries[0][0], command_decoder.decode(entries[0][1][b"d"])
        await asyncio.sleep(0.01)
    raise AssertionError("no command was written")


# ---------------------------------------------------------------- analyze


async def test_a_signal_is_analysed_and_not_traded(gateway, redis):
    asked = asyncio.create_task(gateway.act.post("/api/analyze", json=SIGNAL))
    request_id, request = await next_request(redis, "BTCUSDT")
    await append(redis, keys.reply("BTCUSDT", P), an_analysis("BTCUSDT", request_id, action="HOLD"), id=request_id)
    got = await asked
    assert got.status_code == 200
    assert (got.json()["request_id"], got.json()["analysis"]["action"]) == (f"BTCUSDT-{request_id}", "HOLD")
    assert (request.trade, request.side, request.signal_ms) == (False, "BUY", 1_721_347_200_000)
    assert (request.alpha_score, request.z_score, request.ml_signal) == (0.4, -1.2, "BUY")
    assert (request.ml_confidence, request.strategy, request.timeframe) == (0.7, "tv", "5m")


async def test_without_an_action_the_engines_own_opinion_is_asked(gateway, redis):
    asked = asyncio.create_task(gateway.act.post("/api/analyze", json={"symbol": "BTCUSDT"}))
    request_id, request = await next_request(redis, "BTCUSDT")
    assert request.side is None
    await append(redis, keys.reply("BTCUSDT", P), an_analysis("BTCUSDT", request_id), id=request_id)
    assert (await asked).status_code == 200


async def test_a_late_analysis_is_202_with_where_to_ask(gateway):
    got = await gateway.act.post("/api/analyze", json={"symbol": "BTCUSDT"})
    assert got.status_code == 202
    assert (await gateway.act.get(got.headers["location"])).json()["state"] == "waiting"


# ---------------------------------------------------------------- manual trade


def an_event(kind, command_id, **fields):
    name = {"analysis_id": f"manual-BTCUSDT-c{command_id}", "symbol": "BTCUSDT", "ts": 5, "request": command_id}
    return kind(**name, **fields)


async def test_a_manual_trade_is_a_command_and_is_answered_with_what_came_of_it(gateway, redis):
    asked = asyncio.create_task(gateway.act.post("/api/manual_trade", json={**TRADE, "stop_loss": 65000.5}))
    command_id, command = await next_command(redis)
    assert isinstance(command, PlaceTrade)
    assert (command.symbol, command.side, command.amount, command.leverage) == ("BTCUSDT", "SELL", "0.002", 3)
    assert (command.stop_loss, command.equity_fraction) == ("65000.5", None)
    assert abs(command.requested_at - time.time() * 1000) < 5_000
    assert command.expires_at == command.requested_at + 5_000
    # A request of the same symbol and the same id is another thing.
    await append(redis, keys.ORDER, a_decision("BTCUSDT", command_id, accepted=False, reason="not mine"))
    order = {"client_id": "p95e", "role": "entry", "side": "SELL", "quantity": "0.002"}
    position = {"side": "short", "size": "0.002", "entry_price": "64000"}
    for event in (
        an_event(Decided, command_id, action="EXECUTE", side="SELL", accepted=True, reason="all gates passed"),
        an_event(OrderChanged, command_id, state="FILLED", **order),
        an_event(PositionChanged, command_id, state="protected", **position),
    ):
        await append(redis, keys.ORDER, event)
    got = await asked
    body = got.json()
    assert (got.status_code, body["command_id"], body["decision"]["accepted"]) == (200, command_id, True)
    assert (body["orders"][0]["state"], body["position"]["state"]) == ("FILLED", "protected")


async def test_a_refused_manual_trade_says_why(gateway, redis):
    asked = asyncio.create_task(
        gateway.act.post("/api/manual_trade", json={"symbol": "BTCUSDT", "side": "long", "equity_fraction": 0.9})
    )
    command_id, command = await next_command(redis)
    assert (command.equity_fraction, command.amount, command.leverage) == ("0.9", None, 1)
    refused = an_event(Decided, command_id, action="EXECUTE", side="BUY", accepted=False, reason="size: too large")
    await append(redis, keys.ORDER, refused)
    got = await asked
    assert (got.status_code, got.json()["decision"]["reason"]) == (200, "size: too large")


async def test_a_trade_nobody_acted_on_is_followed_by_its_command(gateway, redis, migrated_url, run_sql):
    got = await gateway.act.post("/api/manual_trade", json=TRADE)
    command_id = got.json()["command_id"]
    assert (got.status_code, got.headers["location"]) == (202, f"/api/commands/{command_id}")
    body = (await gateway.http.get(got.headers["location"])).json()
    assert (body["state"], body["ack"], body["command"]["t"]) == ("waiting", None, "place_trade")
    run_sql(migrated_url, LEDGER_SQL.replace("'a1'", f"'manual-BTCUSDT-c{command_id}'").replace("500-0", command_id))
    await append(redis, keys.ACK, Ack(command_id=command_id, service="executor", ok=True, message="passed"))
    body = (await gateway.http.get(got.headers["location"])).json()
    assert (body["state"], body["decision"]["accepted"], len(body["orders"])) == ("done", True, 2)
    assert body["positions"][0]["symbol"] == "BTCUSDT"
    # The same id asked for as a request is not this trade.
    assert (await gateway.act.get(f"/api/execute/BTCUSDT-{command_id}")).status_code == 404


# ---------------------------------------------------------------- notify


async def test_a_notice_is_a_command_to_the_monitor(gateway, redis):
    asked = asyncio.create_task(gateway.act.post("/api/notify", json={"message": " stand by ", "severity": "warning"}))
    command_id, command = await next_command(redis)
    assert command == Notify(message="stand by", severity="warning")
    await append(redis, keys.ACK, Ack(command_id=command_id, service="monitor", ok=True, message="told"))
    got = await asked
    assert (got.status_code, got.json()["ack"]["service"]) == (200, "monitor")


# ---------------------------------------------------------------- what was


async def test_past_prices_come_from_the_tick_stream_of_one_hour(gateway, redis):
    key, now_ms = keys.tick("BTCUSDT", P), 1_721_347_200_000
    seed = Seed(open_time=1, length_ms=60_000, open="1", high="1", low="1", close="1", volume="1")
    await append(redis, key, seed, id=f"{now_ms - 3_700_000}-0")
    for n, age_ms in enumerate((3_600_001, 3_600_000, 1_000, 0), 1):
        trade = Trade(price=str(n), quantity="2", buyer_is_maker=n % 2 == 0, received_ms=1)
        await append(redis, key, trade, id=f"{now_ms - age_ms}-{n}")
    await redis.xadd(key, {"d": b"{}"}, id=f"{now_ms}-9")
    body = (await gateway.http.get("/api/prices/btcusdt/history")).json()
    assert [(one["id"], one["price"], one["side"]) for one in body["prices"]] == [
        (2, "2", "SELL"),
        (3, "3", "BUY"),
        (4, "4", "SELL"),
    ]
    assert (body["symbol"], body["count"], body["prices"][-1]["ms"]) == ("BTCUSDT", 3, now_ms)
    body = (await gateway.http.get("/api/prices/BTCUSDT/history?limit=2")).json()
    assert [one["id"] for one in body["prices"]] == [3, 4]
    assert (await gateway.http.get("/api/prices/ETHUSDT/history")).json()["count"] == 0
    assert (await gateway.http.get("/api/prices/NOPEUSDT/history")).status_code == 404


async def test_the_feed_tells_its_connection(gateway, redis):
    body = (await gateway.http.get("/api/feed")).json()
    assert (body["connected"], body["reason"], body["count"]) == (False, "no feed is alive", 2)
    status = FeedStatus(connected=True, reason=None, symbols=("BTCUSDT",), connections=3, reconnects=1, frames=99)
    beat = Heartbeat(service="feed", instance="a", version="1", started_wall_ms=1, progress_wall_ms=2, feed=status)
    await write_heartbeat(redis, beat)
    await write_price(redis, "BTCUSDT", P, {"price": "64000.10"})
    now_ms = time.time_ns() // 1_000_000
    await redis.xadd(keys.tick("BTCUSDT", P), {"d": b"{}"}, id=f"{now_ms}-1")

    async def seen():
        body = (await gateway.http.get("/api/feed")).json()
        return body if body["symbols"][0]["age_ms"] is not None else None

    body = await gateway.until(seen)
    assert (body["connected"], body["reason"], body["reconnects"], body["frames"]) == (True, None, 1, 99)
    assert (body["cached"], body["symbols"][0]["price"], body["symbols"][1]["last_ms"]) == (1, "64000.10", None)
    assert 0 <= body["symbols"][0]["age_ms"] < 15_000
    assert body["instances"][0]["status"]["symbols"] == ["BTCUSDT"]


async def test_the_ledgers_lists_are_newest_first_and_can_be_narrowed(gateway, migrated_url, run_sql):
    for path in ("decisions", "orders", "positions"):
        assert (await gateway.http.get(f"/api/{path}")).json() == {path: [], "count": 0}
    run_sql(migrated_url, LEDGER_SQL)
    body = (await gateway.http.get("/api/decisions")).json()
    assert [one["analysis_id"] for one in body["decisions"]] == ["a2", "a1"]
    assert body["decisions"][1]["verdicts"][0]["gate"] == "score"
    body = (await gateway.http.get("/api/decisions?accepted=true&symbol=btcusdt&action=EXECUTE&limit=5")).json()
    assert [one["analysis_id"] for one in body["decisions"]] == ["a1"]
    assert (await gateway.http.get("/api/decisions?limit=1")).json()["count"] == 1
    body = (await gateway.http.get("/api/orders?state=OPEN")).json()
    assert [(one["client_id"], one["symbol"], one["quantity"]) for one in body["orders"]] == [
        ("p95s1", "BTCUSDT", "0.002")
    ]
    assert (await gateway.http.get("/api/positions?active=true")).json()["positions"][0]["protected"] is True
    assert (await gateway.http.get("/api/positions?active=false")).json()["count"] == 0
    assert (await gateway.http.get("/api/positions?symbol=ETHUSDT")).json()["count"] == 0


RECALLED_SQL = """
INSERT INTO ledger.signals (analysis_id, symbol, action, accepted, reason, request, cache_hit, ts_ms, decided_ms,
  created) SELECT 'c' || n, 'BTCUSDT', 'HOLD', false, '', CASE WHEN n < 5 THEN n || '-0' END,
  CASE WHEN n < 4 THEN n = 1 WHEN n = 5 THEN false END, 1, 2, now() FROM generate_series(1, 5) AS n;
"""


async def test_the_hit_rate_is_of_the_requests_whose_answer_tells(gateway, migrated_url, run_sql):
    empty = (await gateway.http.get("/api/performance")).json()["analyses"]
    assert (empty["cache_hits"], empty["cache_hit_rate"]) == (0, None)
    run_sql(migrated_url, RECALLED_SQL)  # one recalled, two computed, one that does not tell, and a bar's analysis
    found = (await gateway.http.get("/api/performance?hours=1")).json()["analyses"]
    assert (found["analysis_count"], found["cache_hits"]) == (5, 1)
    assert found["cache_hit_rate"] == pytest.approx(1 / 3, abs=1e-6)


TRADES_SQL = """
INSERT INTO ledger.trades (analysis_id, account, symbol, side, position_side, amount, price, leverage, confidence,
  phoenix95_score, risk_level, stop_loss, status, stage, hold_ms, expires_ms, created, pnl, fee) VALUES
  ('t1', 'main', 'BTCUSDT', 'BUY', 'LONG', 1, 1, 1, 1, 1, 'low', 1, 'closed', 'CLOSED', 1, 1, now(), 2.50, 0.1),
  ('t2', 'main', 'BTCUSDT', 'BUY', 'LONG', 1, 1, 1, 1, 1, 'low', 1, 'closed', 'CLOSED', 1, 1, now(), -1, 0.1),
  ('t3', 'main', 'BTCUSDT', 'BUY', 'LONG', 1, 1, 1, 1, 1, 'low', 1, 'cancelled', 'FAILED', 1, 1, now(), NULL, 0),
  ('t4', 'main', 'BTCUSDT', 'BUY', 'LONG', 1, 1, 1, 1, 1, 'low', 1, 'closed', 'CLOSED', 1, 1,
   now() - interval '3 hours', 100, 0);
INSERT INTO ledger.portfolio (account, total_balance, available_balance, used_margin, unrealized_pnl, total_risk,
  max_drawdown, active_positions, total_exposure, daily_pnl, daily_pnl_percent, daily_trades, daily_wins, daily_losses,
  created, date) SELECT 'main', 10000 + n, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, now() - n * interval '10 seconds', now()
  FROM generate_series(1000, 1, -1) AS n;
"""


async def test_performance_counts_the_hours_that_were_asked_for(gateway, redis, migrated_url, run_sql):
    empty = (await gateway.http.get("/api/performance")).json()
    assert (empty["trades"]["total"], empty["trades"]["success_rate"], empty["equity"]) == (0, None, [])
    assert (empty["analyses"]["analysis_count"], empty["analyses"]["execution_rate"]) == (0, None)
    run_sql(migrated_url, LEDGER_SQL + TRADES_SQL)
    sample = HostSample(
        ts_wall_ms=time.time_ns() // 1_000_000, cpu_percent=12.5, cpu_count=2, memory_total=8, memory_available=4,
        memory_percent=50.0, disk_total=9, disk_free=3, disk_percent=66.0,
        processes=(ProcessSample(pid=1, name="feed", cpu_percent=1.0, rss=1, pss=2 << 20, threads=1),),
    )  # fmt: skip
    await append(redis, keys.HOST, sample)
    body = (await gateway.http.get("/api/performance?hours=1")).json()
    trades = body["trades"]
    assert (trades["total"], trades["successful"], trades["failed"], trades["closed"]) == (3, 2, 1, 2)
    assert (trades["wins"], trades["losses"], trades["pnl"], trades["best_pnl"]) == (1, 1, "1.5", "2.5")
    assert (trades["success_rate"], trades["win_rate"]) == (pytest.approx(2 / 3, abs=1e-6), 0.5)
    assert body["analyses"]["analysis_count"] == 2
    assert 150 <= len(body["equity"]) <= 201
    assert body["equity"][-1]["total_balance"] == "10001"
    assert [(point["cpu_percent"], point["processes_mb"]) for point in body["host"]] == [(12.5, 2.0)]
    assert (await gateway.http.get("/api/performance?hours=24")).json()["trades"]["total"] == 4
    told = (await gateway.http.get("/api/info")).json()["statistics"]
    assert (told["trades"]["total"], told["analyses"]["analysis_count"]) == (4, 2)
    history = (await gateway.http.get("/api/host")).json()
    assert (history["now"], len(history["history"])) == (None, 1)


async def test_alerts_are_newest_first_within_their_hours(gateway, redis):
    now_ms = time.time_ns() // 1_000_000
    for n, age_ms in enumerate((7_200_000, 60_000, 0)):
        alert = Alert(ts_wall_ms=now_ms - age_ms, service="monitor", severity="warning", kind="cpu", message=str(n))
        await append(redis, keys.ALERT, alert, id=f"{now_ms - age_ms}-0")
    await redis.xadd(keys.ALERT, {"d": b"{"})
    body = (await gateway.http.get("/api/alerts?hours=1")).json()
    assert [one["alert"]["message"] for one in body["alerts"]] == ["2", "1"]
    assert (await gateway.http.get("/api/alerts?hours=24&limit=2")).json()["count"] == 1  # the unreadable one is there


# ---------------------------------------------------------------- what is refused

BAD_BODIES = [
    ("/api/analyze", {"symbol": "BTCUSDT", "confidence": 2}, 422, "confidence"),
    ("/api/analyze", {"symbol": "BTCUSDT", "timestamp": "yesterday"}, 422, "timestamp"),
    ("/api/analyze", {"symbol": "BTCUSDT", "timestamp": "2024-07-19T00:00:00"}, 422, "time zone"),
    ("/api/analyze", {"symbol": "BTCUSDT", "timestamp": -1}, 422, "timestamp"),
    ("/api/analyze", {"symbol": "BTCUSDT", "timestamp": "0001-01-01T00:00:00+23:59"}, 422, "timestamp"),
    ("/api/analyze", {"symbol": "BTCUSDT", "ml_signal": "x" * 65}, 422, "ml_signal"),
    ("/api/analyze", {"symbol": "BTCUSDT", "ml_confidence": -0.1}, 422, "ml_confidence"),
    ("/api/analyze", {"symbol": "BTCUSDT", "stop_loss": 1}, 422, "stop_loss"),
    ("/api/analyze", {"symbol": "NOPEUSDT"}, 404, "NOPEUSDT"),
    ("/api/analyze", {}, 422, "symbol"),
    ("/api/manual_trade", {"symbol": "BTCUSDT", "side": "buy"}, 422, "either amount"),
    ("/api/manual_trade", {**TRADE, "equity_fraction": 0.1}, 422, "either amount"),
    ("/api/manual_trade", {**TRADE, "amount": 0}, 422, "amount"),
    ("/api/manual_trade", {**TRADE, "amount": -1}, 422, "amount"),
    ("/api/manual_trade", {**TRADE, "amount": "NaN"}, 422, "amount"),
    ("/api/manual_trade", {**TRADE, "amount": "sNaN"}, 422, "amount"),
    ("/api/manual_trade", {**TRADE, "amount": "Infinity"}, 422, "amount"),
    ("/api/manual_trade", {**TRADE, "amount": "1E+999999"}, 422, "amount"),
    ("/api/manual_trade", {**TRADE, "amount": "1E-999999"}, 422, "amount"),
    ("/api/manual_trade", {**TRADE, "amount": True}, 422, "amount"),
    ("/api/manual_trade", {**TRADE, "amount": "much"}, 422, "amount"),
    ("/api/manual_trade", {**TRADE, "amount": None, "equity_fraction": 1.01}, 422, "equity_fraction"),
    ("/api/manual_trade", {**TRADE, "leverage": 0}, 422, "leverage"),
    ("/api/manual_trade", {**TRADE, "leverage": 126}, 422, "leverage"),
    ("/api/manual_trade", {**TRADE, "leverage": 2.5}, 422, "leverage"),
    ("/api/manual_trade", {**TRADE, "side": "hold"}, 422, "side"),
    ("/api/manual_trade", {**TRADE, "hold_ms": 999}, 422, "hold_ms"),
    ("/api/manual_trade", {**TRADE, "stop_loss": 10, "take_profit": 11}, 422, "stop_loss"),
    ("/api/manual_trade", {**TRADE, "levrage": 3}, 422, "levrage"),
    ("/api/manual_trade", {**TRADE, "symbol": "NOPEUSDT"}, 404, "NOPEUSDT"),
    ("/api/notify", {"message": "  "}, 422, "message"),
    ("/api/notify", {"message": "x" * 1001}, 422, "message"),
    ("/api/notify", {"message": "x", "severity": "loud"}, 422, "severity"),
    ("/api/notify", {"message": 1}, 422, "message"),
]


async def test_a_wrong_body_is_named_and_nothing_is_written(gateway, redis):
    for path, body, status, words in BAD_BODIES:
        got = await gateway.act.post(path, json=body)
        assert got.status_code == status, (path, body, got.text)
        assert got.headers["content-type"] == "application/problem+json"
        assert words in got.json()["detail"], (body, got.text)
    assert await redis.exists(keys.COMMAND, keys.request("BTCUSDT", P)) == 0


BAD_QUERIES = [
    ("/api/decisions?limit=0", 422),
    ("/api/decisions?limit=1001", 422),
    ("/api/decisions?limit=ten", 422),
    ("/api/decisions?limit=", 422),
    ("/api/decisions?limit=1&limit=2", 422),
    ("/api/decisions?accepted=perhaps", 422),
    ("/api/decisions?action=SELL", 422),
    ("/api/decisions?symbol=...", 422),
    ("/api/decisions?limt=5", 422),
    ("/api/orders?symbol=%00", 422),
    ("/api/orders?state=%00", 422),
    ("/api/orders?state=PLANNED", 422),
    ("/api/positions?active=2", 422),
    ("/api/performance?hours=0", 422),
    ("/api/performance?hours=nan", 422),
    ("/api/performance?hours=1e9", 422),
    ("/api/performance?hours=-1", 422),
    ("/api/alerts?hours=721", 422),
    ("/api/host?points=0", 422),
    ("/api/prices/BTCUSDT/history?limit=1001", 422),
    ("/api/commands/none", 422),
    ("/api/commands/99-0", 404),
    ("/api/commands/18446744073709551616-0", 422),
]


async def test_a_wrong_query_is_the_callers_mistake(gateway):
    for path, status in BAD_QUERIES:
        got = await gateway.http.get(path)
        assert got.status_code == status, (path, got.text)
        assert got.headers["content-type"] == "application/problem+json"
