"""A target, where there is one, lies on the winning side."""

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("position")
def target(candidate: Candidate, _book: Book, _limits: Limits) -> Finding:
    price, trigger = candidate.price, candidate.target_price
    numbers = {"price": str(price), "target": str(trigger)}
    if trigger is None:
        return Finding(None, numbers)
    gain = trigger - price if candidate.position_side == "LONG" else price - trigger
    if gain <= 0 or trigger <= 0:
        return Finding(f"target {trigger} is on the wrong side of {price}", numbers)
    return Finding(None, numbers)
