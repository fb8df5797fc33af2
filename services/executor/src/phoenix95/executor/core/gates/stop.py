"""Every trade has a stop on its losing side, not farther than twice the position's risk limit."""

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("position")
def stop(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    price, trigger = candidate.price, candidate.stop_price
    if trigger is None or price <= 0 or trigger <= 0:
        return Finding("no stop", {"price": str(price), "stop": str(trigger)})
    distance = (price - trigger if candidate.position_side == "LONG" else trigger - price) / price
    farthest = 2 * limits.position_risk_max
    numbers = {"price": str(price), "stop": str(trigger), "distance": f"{distance:.6f}", "at_most": str(farthest)}
    if distance <= 0:
        return Finding(f"stop {trigger} is on the wrong side of {price}", numbers)
    if distance > farthest:
        return Finding(f"stop distance {distance:.4f} exceeds {farthest}", numbers)
    return Finding(None, numbers)
