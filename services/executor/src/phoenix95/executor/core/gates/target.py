"""A target, where there is one, lies on the winning side, also of the last trade."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("position")
def target(candidate: Candidate, _book: Book, _limits: Limits) -> Finding:
    price, trigger, last = candidate.price, candidate.target_price, candidate.market.last
    numbers = {"price": str(price), "target": str(trigger), "last": str(last)}
    if trigger is None:
        return Finding(None, numbers)
    for seen in (price, price if last is None else last):
        if trigger <= 0 or (trigger - seen if candidate.position_side == "LONG" else seen - trigger) <= 0:
            return Finding(f"target {trigger} is on the wrong side of {seen}", numbers)
    return Finding(None, numbers)
