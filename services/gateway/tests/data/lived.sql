-- What an executor stores in the life of a trade, and for an analysis that was refused, one that held, one nobody could
-- read. Times are exchange ms around 2024-07-19 00:00 UTC. The database keeps its records by itself.
INSERT INTO ledger.accounts (name, token) VALUES ('main', 'x');

INSERT INTO ledger.signals (analysis_id, symbol, action, side, confidence, phoenix95_score, price, position_size, stop_loss,
  take_profit, leverage, risk_level, accepted, reason, reasoning, verdicts, ts_ms, decided_ms, created, request, metadata)
VALUES ('momentum-BTCUSDT-1.0', 'BTCUSDT', 'EXECUTE', 'BUY', 0.9, 0.8, 1000, 0.02, 990, 1020, 5, 'low', true,
  'all gates passed', '["trend is up", "edge 0.31 % after fees"]',
  '[{"gate": "confidence", "stage": "signal", "reason": null, "numbers": {"confidence": "0.9", "at_least": "0.75"}},
    {"gate": "stop", "stage": "position", "reason": null, "numbers": {"stop": "990", "price": "1000"}}]',
  1721347200000, 1721347200010, '2024-07-19T00:00:00.010Z', NULL,
  '{"strategy": "momentum", "cause": "1721347200000-1", "as_of": null, "config": "c0ffee", "expires_at": 1721347201500,
    "hold_ms": 60000, "win_probability": 0.6, "win_samples": 100, "brier": 0.2, "indicators": {"rsi14": 55.25, "macd": null},
    "factors": [{"name": "trend", "value": 0.8, "weight": 2.0, "inputs": {"ema12": 999.5}}],
    "quality": {"warm": true, "bars": 1500, "degraded_bars": 0, "spread_bps": 1.0},
    "bar": {"open_time": 1721347140000, "length_ms": 60000, "open": 990.0, "high": 1003.5, "low": 988.0, "close": 1000.0,
            "volume": 12.5, "trades": 321, "whole": true}}');
INSERT INTO ledger.trades (analysis_id, account, symbol, side, position_side, amount, price, leverage, confidence,
  phoenix95_score, risk_level, stop_loss, take_profit, status, stage, hold_ms, expires_ms, created)
VALUES ('momentum-BTCUSDT-1.0', 'main', 'BTCUSDT', 'BUY', 'LONG', 0.2, 1000, 5, 0.9, 0.8, 'low', 990, 1020, 'pending',
  'ENTERING', 60000, 1721347201500, '2024-07-19T00:00:00.010Z');
INSERT INTO ledger.intents (client_id, account, analysis_id, symbol, role, attempt, side, position_side, quantity,
  trigger_price, state, filled, not_found, updated_ms)
SELECT 'p95' || left(role, 1) || '000aaa', 'main', 'momentum-BTCUSDT-1.0', 'BTCUSDT', role, 0, side, 'LONG', 0.2, trigger,
  'PLANNED', 0, 0, 1721347200010
FROM (VALUES ('entry', 'BUY', NULL), ('stop', 'SELL', 990), ('target', 'SELL', 1020)) AS t (role, side, trigger);
UPDATE ledger.intents SET state = 'SENT', signed_ms = 1721347200015, deadline_ms = 1721347205015,
  updated_ms = 1721347200015 WHERE role = 'entry';
UPDATE ledger.intents SET state = 'FILLED', filled = 0.2, order_id = '71', venue_id = '71', average_price = 1000,
  updated_ms = 1721347200040 WHERE role = 'entry';
UPDATE ledger.trades SET status = 'filled', stage = 'PROTECTING', order_id = '71', filled_amount = 0.2,
  filled_price = 1000, opened_ms = 1721347200040, filled = '2024-07-19T00:00:00.040Z';
INSERT INTO ledger.fills (account, symbol, trade_id, analysis_id, order_id, side, position_side, price, quantity, fee,
  fee_asset, realized_pnl, time_ms)
VALUES ('main', 'BTCUSDT', 501, 'momentum-BTCUSDT-1.0', '71', 'BUY', 'LONG', 1000, 0.2, 0.1, 'USDT', 0, 1721347200035);
UPDATE ledger.intents SET state = 'SENT', signed_ms = 1721347200060, deadline_ms = 1721347205060,
  updated_ms = 1721347200060 WHERE role IN ('stop', 'target');
UPDATE ledger.intents SET state = 'ACCEPTED', venue_id = CASE role WHEN 'stop' THEN '81' ELSE '82' END,
  updated_ms = 1721347200080 WHERE role IN ('stop', 'target');
UPDATE ledger.intents SET state = 'OPEN', updated_ms = 1721347200120 WHERE role IN ('stop', 'target');
UPDATE ledger.trades SET stage = 'PROTECTED';
UPDATE ledger.trades SET stop_loss = 1000.5;
UPDATE ledger.intents SET state = 'FILLED', filled = 0.2, order_id = '83', average_price = 1020,
  updated_ms = 1721347209000 WHERE role = 'target';
INSERT INTO ledger.fills (account, symbol, trade_id, analysis_id, order_id, side, position_side, price, quantity, fee,
  fee_asset, realized_pnl, time_ms)
VALUES ('main', 'BTCUSDT', 502, 'momentum-BTCUSDT-1.0', '83', 'SELL', 'LONG', 1020, 0.2, 0.1, 'USDT', 4, 1721347208990);
UPDATE ledger.intents SET state = 'CANCELED', updated_ms = 1721347209100 WHERE role = 'stop';
UPDATE ledger.trades SET status = 'closed', stage = 'CLOSED', pnl = 3.8, pnl_percent = 1.9, fee = 0.2,
  closed = '2024-07-19T00:00:09.200Z', metadata = '{"exit_reason": "take_profit"}';
UPDATE ledger.signals SET executed = true, execution_time_ms = 30;

INSERT INTO ledger.signals (analysis_id, symbol, action, side, confidence, phoenix95_score, price, position_size, stop_loss,
  take_profit, leverage, risk_level, accepted, reason, reasoning, verdicts, ts_ms, decided_ms, created, request, metadata)
VALUES ('momentum-BTCUSDT-r1721347260000-0', 'BTCUSDT', 'EXECUTE', 'SELL', 0.5, 0.8, 1001.25, 0.01, 1011, 981, 3, 'medium',
  false, 'confidence: 0.5 is below 0.75', '["as asked for"]',
  '[{"gate": "confidence", "stage": "signal", "reason": "0.5 is below 0.75", "numbers": {"confidence": "0.5", "at_least": "0.75"}},
    {"gate": "stop", "stage": "position", "reason": null, "numbers": {"stop": "1011", "price": "1001.25"}}]',
  1721347260000, 1721347260012, '2024-07-19T00:01:00.012Z', '1721347260000-0',
  '{"strategy": "momentum", "cause": "1721347259900-77", "as_of": "1721347259900-77", "config": "c0ffee",
    "indicators": {"rsi14": 48.5}}');
INSERT INTO ledger.signals (analysis_id, symbol, action, accepted, reason, reasoning, ts_ms, decided_ms, created, metadata)
VALUES ('momentum-ETHUSDT-9.0', 'ETHUSDT', 'HOLD', false, 'the engine says HOLD; no edge after fees', '["no edge after fees"]',
  1721347320000, 1721347320008, '2024-07-19T00:02:00.008Z',
  '{"strategy": "momentum", "cause": "1721347320000-9", "config": "c0ffee"}');
INSERT INTO ledger.signals (analysis_id, symbol, action, accepted, reason, ts_ms, decided_ms, created, metadata)
VALUES ('poison-p95:analysis:{03}:BTCUSDT-1721347380000-1', 'BTCUSDT', 'ERROR', false, 'JSON is malformed', 1721347380000,
  1721347380000, '2024-07-19T00:03:00Z', '{"fields": {"d": "{<script>"}}');
