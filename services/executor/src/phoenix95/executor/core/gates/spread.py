"""The best bid and ask are recent and close together."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.market import age_problem


@gate("position", "max_spread_percent", "max_market_age_ms")
def spread(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    market = candidate.market
    numbers = {"bid": str(market.bid), "ask": str(market.ask), "at_most": str(limits.spread_max)}
    stale = age_problem(
        "best bid and ask",
        market.book_ms,
        now_ms=candidate.now_ms,
        age_max_ms=limits.market_age_max_ms,
        lead_max_ms=limits.lead_max_ms,
    )
    if stale is not None or market.bid is None or market.ask is None:
        return Finding(stale or "best bid and ask: not both are known", numbers)
    spread = (market.ask - market.bid) * 2 / (market.ask + market.bid)
    numbers |= {"spread": f"{spread:.6f}"}
    if spread < 0:
        return Finding(f"bid {market.bid} is above ask {market.ask}", numbers)
    return Finding(f"spread {spread:.5f} exceeds {limits.spread_max}" if spread > limits.spread_max else None, numbers)
