"""The stop is neither so near that noise hits it, nor farther than twice the position's risk limit."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("position", "min_stop_percent", "min_stop_ticks", "max_position_risk_percent")
def stop_distance(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    price, trigger, rules = candidate.price, candidate.stop_price, candidate.rules
    if trigger is None or price <= 0 or rules is None:
        return Finding("no stop, price or tick to measure with")
    distance = price - trigger if candidate.position_side == "LONG" else trigger - price
    nearest = max(limits.stop_ticks_min * rules.price_tick, limits.stop_distance_min * price)
    farthest = 2 * limits.position_risk_max * price
    numbers = {
        "distance": str(distance),
        "share": f"{distance / price:.6f}",
        "at_least": f"{nearest:f}",
        "at_most": f"{farthest:f}",
    }
    if distance < nearest:
        return Finding(f"stop distance {distance} is under {nearest:f}", numbers)
    return Finding(f"stop distance {distance} exceeds {farthest:f}" if distance > farthest else None, numbers)
