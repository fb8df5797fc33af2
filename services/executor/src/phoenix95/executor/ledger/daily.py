"""One day of an account as the ledger tells it."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from phoenix95.executor.ledger.connect import translated


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """A sum of one kind (`REALIZED_PNL`, `COMMISSION`, `FUNDING_FEE`) in one asset, signed as the exchange signs it."""

    kind: str
    asset: str
    amount: Decimal


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """`by_fills`: what the fills of the day make; `by_income`: what the stored income history makes. `result` is of the
    trades closed that day, after fees. `drawdown` is the deepest fall of equity within the day, as a share."""

    trades: int
    closed: int
    wins: int
    losses: int
    result: Decimal
    fees: Decimal
    funding: Decimal
    decisions: int
    accepted: int
    refused_by: dict[str, int]
    equity_first: Decimal | None
    equity_last: Decimal | None
    drawdown: Decimal | None
    alerts: dict[str, int]
    restarts: int
    by_fills: tuple[Money, ...]
    by_income: tuple[Money, ...]


_TRADES: Final = text("""
    SELECT count(*) FILTER (WHERE created >= :start AND created < :end) AS trades,
           count(*) FILTER (WHERE closed_today) AS closed,
           count(*) FILTER (WHERE closed_today AND pnl > 0) AS wins,
           count(*) FILTER (WHERE closed_today AND pnl < 0) AS losses,
           coalesce(sum(pnl) FILTER (WHERE closed_today), 0) AS result,
           coalesce(sum(fee) FILTER (WHERE closed_today), 0) AS fees,
           coalesce(sum(funding) FILTER (WHERE closed_today), 0) AS funding
    FROM (SELECT *, status = 'closed' AND closed >= :start AND closed < :end AS closed_today
          FROM ledger.trades WHERE account = :account) AS t
""")
_DECISIONS: Final = text("""
    SELECT count(*) AS decisions, count(*) FILTER (WHERE accepted) AS accepted FROM ledger.signals
    WHERE account = :account AND decided_ms >= :start_ms AND decided_ms < :end_ms
""")
_REFUSED: Final = text("""
    SELECT v ->> 'gate' AS gate, count(*) AS n
    FROM ledger.signals CROSS JOIN LATERAL jsonb_array_elements(verdicts) AS v
    WHERE account = :account AND decided_ms >= :start_ms AND decided_ms < :end_ms AND v ->> 'reason' IS NOT NULL
    GROUP BY 1 ORDER BY 2 DESC, 1
""")
_EQUITY: Final = text("""
    SELECT (array_agg(total_balance ORDER BY id))[1] AS first, (array_agg(total_balance ORDER BY id DESC))[1] AS last,
           max(CASE WHEN peak > 0 THEN (peak - total_balance) / peak END) AS drawdown
    FROM (SELECT id, total_balance, max(total_balance) OVER (ORDER BY id) AS peak FROM ledger.portfolio
          WHERE account = :account AND created >= :start AND created < :end) AS p
""")
# Alerts bear the host's time, which on a paper exchange is another: they are those between the day's other records.
_ALERTS: Final = text("""
    SELECT body::jsonb ->> 'severity' AS severity, count(*) AS n FROM ledger.audit
    WHERE account = :account AND kind = 'alert' AND n BETWEEN
        (SELECT min(n) FROM ledger.audit WHERE account = :account AND kind NOT IN ('alert', 'control')
         AND ts_ms >= :start_ms AND ts_ms < :end_ms) AND
        (SELECT max(n) FROM ledger.audit WHERE account = :account AND kind NOT IN ('alert', 'control')
         AND ts_ms >= :start_ms AND ts_ms < :end_ms)
    GROUP BY 1 ORDER BY 1
""")
_RESTARTS: Final = text("""
    SELECT count(*) FROM ledger.system_events WHERE event_type = 'service_back' AND created >= :start AND created < :end
""")
_BY_FILLS: Final = text("""
    WITH day AS (
        SELECT f.*, coalesce(t.quote, 'USDT') AS quote
        FROM ledger.fills AS f LEFT JOIN ledger.trades AS t USING (analysis_id)
        WHERE f.account = :account AND f.time_ms >= :start_ms AND f.time_ms < :end_ms AND f.trade_id > 0
    )
    SELECT 'REALIZED_PNL' AS kind, quote AS asset, sum(realized_pnl) AS amount FROM day GROUP BY 2
    UNION ALL SELECT 'COMMISSION', fee_asset, -sum(fee) FROM day GROUP BY 2 ORDER BY 1, 2
""")
_BY_INCOME: Final = text("""
    SELECT income_type AS kind, asset, sum(amount) AS amount FROM ledger.income
    WHERE account = :account AND time_ms >= :start_ms AND time_ms < :end_ms GROUP BY 1, 2 ORDER BY 1, 2
""")
_NEWEST: Final = text("""
    SELECT greatest(
        (SELECT to_timestamp(max(decided_ms) / 1000.0) FROM ledger.signals WHERE account = :account),
        (SELECT max(created) FROM ledger.portfolio WHERE account = :account)
    )
""")


async def newest(engine: AsyncEngine, account: str) -> datetime | None:
    """The exchange time of the last thing that happened; None for an account that was never taken."""
    async with translated("the last event"), AsyncSession(engine) as session:
        found: datetime | None = await session.scalar(_NEWEST, {"account": account})
        return found


async def day_of(engine: AsyncEngine, account: str, start: datetime) -> Day:
    """The 24 hours from `start` on, all of one moment."""
    end = start + timedelta(days=1)
    span: dict[str, Any] = {
        "account": account, "start": start, "end": end,
        "start_ms": round(start.timestamp() * 1000), "end_ms": round(end.timestamp() * 1000),
    }  # fmt: skip
    async with translated("the day"), AsyncSession(engine) as session, session.begin():
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        trades = (await session.execute(_TRADES, span)).mappings().one()
        decisions = (await session.execute(_DECISIONS, span)).mappings().one()
        equity = (await session.execute(_EQUITY, span)).mappings().one()
        return Day(
            **trades,
            **decisions,
            refused_by={row.gate: row.n for row in await session.execute(_REFUSED, span)},
            equity_first=equity["first"],
            equity_last=equity["last"],
            drawdown=equity["drawdown"],
            alerts={row.severity: row.n for row in await session.execute(_ALERTS, span)},
            restarts=await session.scalar(_RESTARTS, span) or 0,
            by_fills=tuple(Money(**row) for row in (await session.execute(_BY_FILLS, span)).mappings()),
            by_income=tuple(Money(**row) for row in (await session.execute(_BY_INCOME, span)).mappings()),
        )
