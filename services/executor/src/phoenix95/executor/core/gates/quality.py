"""What the signal rests on is whole: warm indicators, no gap, and no channel of market data that fell silent."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.market import age_problem


@gate("signal", "max_market_age_ms", of_opinion=True)
def quality(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    trust, market = candidate.analysis.quality, candidate.market
    numbers = {"warm": str(trust.warm).lower(), "bars": str(trust.bars), "degraded_bars": str(trust.degraded_bars)}
    problems = []
    # a signal from outside does not rest on our indicators, so they need not be warm for it
    if not trust.warm and candidate.analysis.request is None:
        problems.append(f"warming up: {trust.bars} bars")
    if trust.degraded_bars:
        problems.append(f"trades are missing {trust.degraded_bars} bars ago")
    for what, time_ms in (("trades", market.last_ms), ("book", market.book_ms), ("mark price", market.mark_ms)):
        numbers[f"{what.split()[0]}_age_ms"] = "unknown" if time_ms is None else str(candidate.now_ms - time_ms)
        stale = age_problem(
            what,
            time_ms,
            now_ms=candidate.now_ms,
            age_max_ms=limits.market_age_max_ms,
            lead_max_ms=limits.lead_max_ms,
        )
        problems += [] if stale is None else [stale]
    return Finding("; ".join(problems) or None, numbers)
