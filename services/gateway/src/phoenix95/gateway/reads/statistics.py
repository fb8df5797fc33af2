"""How it went: analyses, trades and equity over a stretch of exchange time, or since the ledger began."""

from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from phoenix95.gateway.reads.rows import as_row

POINTS: Final = 200  # of an equity curve: more than a screen can show

_SIGNALS: Final = text("""
    SELECT count(*) AS analysis_count,
           count(*) FILTER (WHERE action = 'EXECUTE') AS execute_count,
           count(*) FILTER (WHERE accepted) AS accepted_count,
           count(*) FILTER (WHERE executed) AS execution_count,
           avg(execution_time_ms) AS execution_time_ms_avg,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY execution_time_ms) AS execution_time_ms_p95,
           count(*) FILTER (WHERE cache_hit) AS cache_hits,
           count(*) FILTER (WHERE request IS NOT NULL AND cache_hit IS NOT NULL) AS answered
    FROM ledger.signals WHERE created >= coalesce(CAST(:since AS timestamptz), '-infinity')
""")
_TRADES: Final = text("""
    SELECT count(*) AS total,
           count(*) FILTER (WHERE status IN ('filled', 'closed')) AS successful,
           count(*) FILTER (WHERE status = 'cancelled') AS failed,
           count(*) FILTER (WHERE status = 'pending') AS pending,
           count(*) FILTER (WHERE status = 'closed') AS closed,
           count(*) FILTER (WHERE status = 'closed' AND pnl > 0) AS wins,
           count(*) FILTER (WHERE status = 'closed' AND pnl < 0) AS losses,
           coalesce(sum(pnl), 0) AS pnl,
           coalesce(sum(fee), 0) AS fees,
           max(pnl) AS best_pnl,
           min(pnl) AS worst_pnl
    FROM ledger.trades WHERE created >= coalesce(CAST(:since AS timestamptz), '-infinity')
""")
# The last row of each of at most 200 equal stretches.
_EQUITY: Final = text("""
    SELECT DISTINCT ON (floor(extract(epoch FROM created) / CAST(:step_s AS double precision)))
           created, total_balance, unrealized_pnl, total_risk, active_positions
    FROM ledger.portfolio WHERE created >= CAST(:since AS timestamptz)
    ORDER BY floor(extract(epoch FROM created) / CAST(:step_s AS double precision)), id DESC
""")
_NEWEST: Final = text("SELECT max(created) FROM ledger.portfolio")


class AnalysisStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """`execution_count` of `analysis_count` were entered; `execute_count` said EXECUTE, `accepted_count` of these
    passed the gates. Rates are shares, None while there is nothing to take a share of. Times are from the decision to
    the first fill, in exchange ms. `cache_hits` requests were answered from the engine's result cache;
    `cache_hit_rate` is their share of the answered ones."""

    analysis_count: int
    execute_count: int
    accepted_count: int
    execution_count: int
    execution_rate: float | None
    execution_time_ms_avg: float | None
    execution_time_ms_p95: float | None
    cache_hits: int
    cache_hit_rate: float | None


class TradeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """`successful` trades were entered, `failed` ones came to nothing; `wins` and `losses` are of the `closed`, after
    fees. Amounts in quote currency; rates are shares, None while there is nothing to take a share of."""

    total: int
    successful: int
    failed: int
    pending: int
    success_rate: float | None
    closed: int
    wins: int
    losses: int
    win_rate: float | None
    pnl: str
    fees: str
    best_pnl: str | None
    worst_pnl: str | None


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Both, of one moment."""

    analyses: AnalysisStatistics
    trades: TradeStatistics


class EquityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The account at an exchange time."""

    created: datetime
    total_balance: str
    unrealized_pnl: str
    total_risk: str
    active_positions: int


def statistics(connection: Connection, since: datetime | None) -> Statistics:
    """What was analysed and traded from `since` on; None: ever."""
    signals = dict(connection.execute(_SIGNALS, {"since": since}).mappings().one())
    answered = signals.pop("answered")
    trades = dict(connection.execute(_TRADES, {"since": since}).mappings().one())
    return Statistics(
        analyses=as_row(
            AnalysisStatistics,
            {
                **signals,
                "execution_rate": _share(signals["execution_count"], signals["analysis_count"]),
                "cache_hit_rate": _share(signals["cache_hits"], answered),
            },
        ),
        trades=as_row(
            TradeStatistics,
            {
                **trades,
                "success_rate": _share(trades["successful"], trades["successful"] + trades["failed"]),
                "win_rate": _share(trades["wins"], trades["wins"] + trades["losses"]),
            },
        ),
    )


def equity(connection: Connection, since: datetime, hours: float) -> tuple[EquityPoint, ...]:
    """At most 200 points from `since` on, oldest first."""
    asked = {"since": since, "step_s": hours * 3600 / POINTS}
    return tuple(as_row(EquityPoint, row) for row in connection.execute(_EQUITY, asked).mappings())


def newest(connection: Connection) -> datetime | None:
    """The exchange time of the last reconciliation; None before the first."""
    found: datetime | None = connection.execute(_NEWEST).scalar_one()
    return found


def _share(part: Any, whole: Any) -> float | None:
    return round(part / whole, 6) if whole else None
