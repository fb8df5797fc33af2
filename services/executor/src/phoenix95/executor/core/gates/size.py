"""One position is at most a share of equity, by what was asked for and by what it comes to."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("position", "max_position_risk_percent")
def size(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    sized = candidate.sized
    numbers = {
        "quantity": str(sized.quantity),
        "notional": str(sized.notional),
        "equity": str(book.equity),
        "raised_to_minimum": str(sized.raised).lower(),
        "at_most": str(limits.position_risk_max),
    }
    if book.equity is None:
        return Finding("equity is not known", numbers)
    # the engine's own figure is held to the limit too: rounding down must not hide one that is too large
    asked = candidate.analysis.position_fraction
    if not 0 < asked <= float(limits.position_risk_max):
        return Finding(f"size {asked:.6g} of equity is not in (0, {limits.position_risk_max}]", numbers)
    if sized.notional > limits.position_risk_max * book.equity:
        return Finding(f"notional {sized.notional} exceeds {limits.position_risk_max} of equity", numbers)
    return Finding(None, numbers)
