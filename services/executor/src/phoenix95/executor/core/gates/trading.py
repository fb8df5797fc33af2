"""The symbol is a perpetual that trades, and goes on trading until after the trade's time barrier."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("signal", "delisting_margin_ms")
def trading(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    rules = candidate.rules
    if rules is None:
        return Finding("whether it trades is not known")
    numbers = {"status": rules.status, "contract": rules.contract_type, "delivery_ms": str(rules.delivery_ms)}
    if not rules.trading:
        return Finding(f"{rules.symbol} is not trading: {rules.status}", numbers)
    if rules.contract_type != "PERPETUAL":
        return Finding(f"{rules.symbol} is {rules.contract_type or 'of no known type'}, not PERPETUAL", numbers)
    over_ms = candidate.now_ms + candidate.analysis.hold_ms + limits.delisting_ms
    numbers |= {"needed_until_ms": str(over_ms)}
    # a perpetual that is taken off the exchange gets a date of delivery; it is far in the future before that
    if rules.delivery_ms is not None and rules.delivery_ms < over_ms:
        return Finding(f"{rules.symbol} is taken off the exchange at {rules.delivery_ms}", numbers)
    return Finding(None, numbers)
