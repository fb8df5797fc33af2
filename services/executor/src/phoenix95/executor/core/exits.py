"""Signals that end a trade. No gate, no age limit and no control mode stands before an exit."""

from collections.abc import Iterable

import msgspec

from phoenix95.common.events import Analysis
from phoenix95.common.ids import MANUAL
from phoenix95.executor.core.candidate import exact_float
from phoenix95.executor.core.group import ExitReason, Group, Trade
from phoenix95.executor.core.limits import Limits


class Closing(msgspec.Struct, frozen=True):
    """A trade that is to end, and why."""

    analysis_id: str
    reason: ExitReason


def may_end(analysis: Analysis) -> bool:
    """Whether an analysis can end a trade at all."""
    return analysis.trade and analysis.action in ("EXIT", "EXECUTE")


def closings(analysis: Analysis, groups: Iterable[Group], *, now_ms: int, limits: Limits) -> tuple[Closing, ...]:
    """The trades under way that an analysis ends. It must be younger than they are.

    EXIT ends the trade that its own strategy holds in its symbol, however late it comes. EXECUTE for the other side
    ends a trade of any strategy, but it is an opinion about an entry: one that is too old or too weak to be entered
    upon (freshness, confidence, score) does not end anything either. What a person decided a person ends.
    """
    reason = _reason(analysis, now_ms, limits)
    if reason is None:
        return ()
    return tuple(Closing(group.trade.analysis_id, reason) for group in groups if _ended(group.trade, analysis, reason))


def _reason(analysis: Analysis, now_ms: int, limits: Limits) -> ExitReason | None:
    if not may_end(analysis):
        return None
    if analysis.action == "EXIT":
        return "strategy"
    strong = (
        exact_float(analysis.confidence) >= limits.confidence_min
        and exact_float(analysis.phoenix95_score) >= limits.score_min
    )
    return "opposite_signal" if limits.exit_on_opposite and strong and now_ms <= analysis.expires_at else None


def _ended(trade: Trade, analysis: Analysis, reason: ExitReason) -> bool:
    under_way = trade.stage not in ("CLOSED", "FAILED") and trade.close_reason is None
    theirs = trade.symbol == analysis.symbol and trade.strategy not in ("", MANUAL)
    if not under_way or not theirs or analysis.ts < trade.decided_ms:
        return False
    if reason == "strategy":
        return trade.strategy == analysis.strategy
    return analysis.side == ("SELL" if trade.position_side == "LONG" else "BUY")
