"""Every trade has a stop on its losing side, seen from the price that was judged and from the last trade."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("position")
def stop(candidate: Candidate, _book: Book, _limits: Limits) -> Finding:
    price, trigger, last = candidate.price, candidate.stop_price, candidate.market.last
    numbers = {"price": str(price), "stop": str(trigger), "last": str(last)}
    if trigger is None or price <= 0 or trigger <= 0:
        return Finding("no stop", numbers)
    for seen in (price, price if last is None else last):
        if (seen - trigger if candidate.position_side == "LONG" else trigger - seen) <= 0:
            return Finding(f"stop {trigger} is on the wrong side of {seen}", numbers)
    return Finding(None, numbers)
