"""The price that was judged is near the last trade, and that trade is recent."""

from decimal import Decimal

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.market import age_problem


@gate("signal", "max_price_deviation_percent", "max_market_age_ms")
def price(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    price, market = candidate.price, candidate.market
    numbers = {"price": str(price), "last": str(market.last), "at_most": str(limits.price_deviation_max)}
    if price <= 0:
        return Finding(f"no current price of {candidate.analysis.symbol} is known", numbers)
    stale = age_problem(
        "last trade",
        market.last_ms,
        now_ms=candidate.now_ms,
        age_max_ms=limits.market_age_max_ms,
        lead_max_ms=limits.lead_max_ms,
    )
    if stale is not None or market.last is None:
        return Finding(stale or "last trade: none is known", numbers)
    deviation: Decimal = abs(price - market.last) / market.last
    numbers |= {"deviation": f"{deviation:.6f}", "age_ms": str(candidate.now_ms - (market.last_ms or 0))}
    if deviation > limits.price_deviation_max:
        return Finding(f"price {price} is {deviation:.4f} away from the last trade at {market.last}", numbers)
    return Finding(None, numbers)
