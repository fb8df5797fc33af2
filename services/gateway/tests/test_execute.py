"""POST /api/execute and what becomes of it, with the test in the place of engine and executor."""

import asyncio
import time

from phoenix95.common import keys
from phoenix95.common.bus.append import append
from phoenix95.common.bus.reader import tail
from phoenix95.common.events import Analysis, Decided, OrderChanged, PositionChanged, Quality
from phoenix95.common.wire import request_decoder
from phoenix95.gateway.streams import follow

P = 16
BODY = {"symbol": "BTCUSDT", "action": "buy", "confidence": 0.9}


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


def an_order(symbol, request, role, state):
    return OrderChanged(
        analysis_id=f"momentum-{symbol}-r{request}",
        symbol=symbol,
        ts=6,
        client_id=f"p95{role[0]}{symbol}",
        role=role,
        state=state,
        side="BUY",
        quantity="1",
        request=request,
    )


def a_position(symbol, request, state):
    return PositionChanged(
        analysis_id=f"momentum-{symbol}-r{request}",
        symbol=symbol,
        ts=7,
        state=state,
        side="long",
        size="1",
        entry_price="100",
        request=request,
    )


async def next_request(redis, symbol):
    """Wait for a request as the engine does; returns (its id, the request)."""
    for _ in range(500):
        entries = await tail(redis, keys.request(symbol, P), 1)
        if entries:
            return entries[0][0], request_decoder.decode(entries[0][1][b"d"])
        await asyncio.sleep(0.01)
    raise AssertionError("no request was written")


async def answer(redis, symbol, *events):
    """Play the engine and the executor: the reply, then these events made by functions of (symbol, request)."""
    request_id, request = await next_request(redis, symbol)
    await append(redis, keys.reply(symbol, P), an_analysis(symbol, request_id), id=request_id)
    for make in events:
        await append(redis, keys.ORDER, make(symbol, request_id))
    return request_id, request


async def test_an_accepted_order_is_answered_with_analysis_decision_orders_and_position(gateway, redis):
    asked = asyncio.create_task(gateway.act.post("/api/execute", json={**BODY, "rsi": 31.5, "hold_ms": 60_000}))
    request_id, request = await answer(
        redis,
        "BTCUSDT",
        a_decision,
        lambda *of: an_order(*of, "entry", "SENT"),
        lambda *of: an_order(*of, "entry", "FILLED"),
        lambda *of: a_position(*of, "opened"),
        lambda *of: an_order(*of, "stop", "OPEN"),
        lambda *of: a_position(*of, "protected"),
    )
    got = await asked
    assert got.status_code == 200
    body = got.json()
    assert body["request_id"] == f"BTCUSDT-{request_id}"
    assert body["analysis"]["id"] == body["decision"]["analysis_id"] == f"momentum-BTCUSDT-r{request_id}"
    assert body["decision"]["accepted"] is True
    assert [(order["role"], order["state"]) for order in body["orders"]] == [("entry", "FILLED"), ("stop", "OPEN")]
    assert body["position"]["state"] == "protected"
    assert (request.side, request.confidence, request.rsi, request.trade) == ("BUY", 0.9, 31.5, True)
    assert abs(request.requested_at - time.time() * 1000) < 5_000


async def test_a_refused_order_is_answered_at_once_with_the_reason(gateway, redis):
    started = time.monotonic()
    asked = asyncio.create_task(gateway.act.post("/api/execute", json=BODY))
    await answer(redis, "BTCUSDT", lambda *of: a_decision(*of, accepted=False, reason="too many positions"))
    got = await asked
    assert time.monotonic() - started < 1.5
    assert (got.status_code, got.json()["decision"]["reason"], got.json()["orders"]) == (200, "too many positions", [])


async def test_an_entry_that_came_to_nothing_ends_the_wait(gateway, redis):
    started = time.monotonic()
    asked = asyncio.create_task(gateway.act.post("/api/execute", json=BODY))
    await answer(redis, "BTCUSDT", a_decision, lambda *of: an_order(*of, "entry", "REJECTED"))
    got = await asked
    assert time.monotonic() - started < 1.5
    assert got.json()["orders"][0]["state"] == "REJECTED"


async def test_without_a_decision_the_answer_is_202_and_says_where_to_ask(gateway, redis):
    started = time.monotonic()
    got = await gateway.act.post("/api/execute", json=BODY)
    assert 1.9 < time.monotonic() - started < 4
    assert got.status_code == 202
    name = got.json()["request_id"]
    assert got.headers["location"] == f"/api/execute/{name}"
    later = await gateway.act.get(got.headers["location"])
    assert (later.status_code, later.json()["state"], later.json()["decision"]) == (200, "waiting", None)
    await answer(redis, "BTCUSDT")
    later = await gateway.act.get(got.headers["location"])
    assert (later.json()["state"], later.json()["analysis"]["symbol"]) == ("analysed", "BTCUSDT")


async def test_two_symbols_asked_in_the_same_millisecond_are_not_mixed_up(gateway, redis):
    asked = asyncio.create_task(gateway.act.post("/api/execute", json=BODY))
    request_id, _ = await next_request(redis, "BTCUSDT")
    await append(redis, keys.ORDER, a_decision("ETHUSDT", request_id, accepted=False, reason="not mine"))
    await append(redis, keys.ORDER, a_decision("BTCUSDT", request_id, accepted=False, reason="mine"))
    assert (await asked).json()["decision"]["reason"] == "mine"


async def test_an_entry_nobody_can_read_is_passed_over(gateway, redis):
    await redis.xadd(keys.ORDER, {"d": b"{}"})
    await redis.xadd(keys.ORDER, {"x": b"\xff"})
    asked = asyncio.create_task(gateway.act.post("/api/execute", json=BODY))
    await answer(redis, "BTCUSDT", lambda *of: a_decision(*of, accepted=False, reason="read on"))
    assert (await asked).json()["decision"]["reason"] == "read on"


async def test_after_redis_was_emptied_outcomes_are_seen_again(gateway, redis, monkeypatch):
    monkeypatch.setattr(follow, "REGRESSION_CHECK_S", 0.2)
    await append(redis, keys.ORDER, a_decision("BTCUSDT", "1-1"), id="99999999999999-0")
    await asyncio.sleep(0.5)  # the follower has read on to there
    await redis.delete(keys.ORDER)
    await asyncio.sleep(1)  # and has looked for streams that went back
    asked = asyncio.create_task(gateway.act.post("/api/execute", json=BODY))
    await answer(redis, "BTCUSDT", lambda *of: a_decision(*of, accepted=False, reason="seen"))
    assert (await asked).json()["decision"]["reason"] == "seen"


async def test_too_many_waiting_callers_are_told_so(gateway):
    gateway.act.timeout = 30
    many = [gateway.act.post("/api/execute", json=BODY) for _ in range(80)]
    statuses = [got.status_code for got in await asyncio.gather(*many)]
    assert set(statuses) == {202, 429}
    assert statuses.count(202) == 64


async def test_what_the_ledger_knows_is_told_later(gateway, migrated_url, run_sql):
    run_sql(migrated_url, LEDGER_SQL)
    body = (await gateway.act.get("/api/execute/BTCUSDT-500-0")).json()
    assert (body["state"], body["decision"]["accepted"], body["decision"]["verdicts"][0]["gate"]) == (
        "decided",
        True,
        "score",
    )
    assert [(order["role"], order["state"], order["filled"]) for order in body["orders"]] == [
        ("entry", "FILLED", "0.002"),
        ("stop", "OPEN", "0"),
    ]
    assert (body["positions"][0]["size"], body["positions"][0]["protected"]) == ("0.002", True)
    missing = await gateway.act.get("/api/execute/ETHUSDT-500-0")  # the id is another symbol's
    assert missing.status_code == 404


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
