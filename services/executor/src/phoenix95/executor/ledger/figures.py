"""The ledger's numbers for one decision: one statement, so that a decision waits for one answer."""

from datetime import UTC, datetime, time
from typing import Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from phoenix95.executor.core.figures import Figures
from phoenix95.executor.ledger.models import TERMINAL_SQL
from phoenix95.executor.ledger.rows import when
from phoenix95.executor.ledger.writing import read_modes

# A stop-out is known by the exit's reason, what was adopted by having no signal. An account is in one mode for ever.
# Numbers travel as text: JSON knows no decimals. Each part finds its rows by an index: active trades, `created`,
# `closed`; the portfolio's last row before midnight by `created`.
_SQL: Final = text(
    """
SELECT json_build_object(
  'exposures', (
    SELECT coalesce(json_agg(json_build_object(
        'symbol', t.symbol,
        'position_side', t.position_side,
        'leverage', t.leverage,
        'entered_ms', (extract(epoch FROM t.created) * 1000)::bigint,
        'stop_price', t.stop_loss::text,
        'entry_price', CASE WHEN i.filled = 0 THEN t.price ELSE coalesce(i.average_price, t.price) END::text,
        'size', CASE WHEN i.filled = 0 THEN i.quantity
                     ELSE coalesce(p.size, i.filled)
                        + CASE WHEN i.state IN (TERMINAL) THEN 0 ELSE i.quantity - i.filled END END::text
      ) ORDER BY t.id), '[]')
    FROM ledger.trades t
    JOIN ledger.intents i
      ON i.account = t.account AND i.analysis_id = t.analysis_id AND i.role = 'entry' AND i.attempt = 0
    LEFT JOIN ledger.positions p ON p.account = t.account AND p.analysis_id = t.analysis_id
    WHERE t.account = :account AND t.status IN ('pending', 'filled')),
  'entries', (
    SELECT coalesce(json_agg(json_build_object(
        'analysis_id', t.analysis_id,
        'symbol', t.symbol,
        'side', t.side,
        'at_ms', (extract(epoch FROM t.created) * 1000)::bigint,
        'cause', s.metadata ->> 'cause',
        'request', t.request
      ) ORDER BY t.id), '[]')
    FROM ledger.trades t
    JOIN ledger.signals s ON s.account = t.account AND s.analysis_id = t.analysis_id
    WHERE t.account = :account AND t.created >= :since),
  'stopped_out_ms', (
    SELECT (extract(epoch FROM max(closed)) * 1000)::bigint FROM ledger.trades
    WHERE account = :account AND symbol = :symbol AND closed >= :since AND metadata ->> 'exit_reason' = 'stop_loss'),
  'day_realized', (
    SELECT coalesce(sum(CASE WHEN status = 'closed' THEN coalesce(pnl, 0) ELSE -fee END), 0)::text FROM ledger.trades
    WHERE account = :account AND (closed >= :midnight AND status = 'closed'
       OR status IN ('pending', 'filled') AND created >= :midnight)),
  'day_unrealized_before', coalesce((
    SELECT unrealized_pnl FROM ledger.portfolio
    WHERE account = :account AND created < :midnight ORDER BY created DESC LIMIT 1), 0)::text,
  'peak_equity', coalesce((SELECT peak_equity FROM ledger.accounts WHERE name = :account), 0)::text,
  'live_trades', CASE WHEN :staged > 0 THEN (
    SELECT count(*) FROM (
      SELECT 1 FROM ledger.trades t
      JOIN ledger.signals s ON s.account = t.account AND s.analysis_id = t.analysis_id
      WHERE t.account = :account AND t.status <> 'cancelled' LIMIT :staged) counted) ELSE 0 END
)::text""".replace("(TERMINAL)", TERMINAL_SQL)
)
_decoder = msgspec.json.Decoder(Figures)


async def read_figures(
    session: AsyncSession, account: str, symbol: str, *, now_ms: int, since_ms: int, staged: int
) -> Figures:
    """What the gates need of the ledger. The day is the exchange's UTC day; `staged`: count so many live trades at
    most, 0: none."""
    now = when(now_ms)
    found = await session.scalar(
        _SQL,
        {
            "account": account,
            "symbol": symbol,
            "since": when(since_ms),
            "midnight": datetime.combine(now.date(), time(), UTC),
            "staged": staged,
        },
    )
    return msgspec.structs.replace(_decoder.decode(found or "{}"), modes=await read_modes(session))
