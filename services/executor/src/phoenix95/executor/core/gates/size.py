"""What one position may be: its notional as a share of equity, in a quantity that the exchange takes."""

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("position")
def size(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    sized = candidate.sized
    numbers = {
        "quantity": str(sized.quantity),
        "notional": str(sized.notional),
        "equity": str(book.equity),
        "raised_to_minimum": str(sized.raised).lower(),
        "at_most": str(limits.position_risk_max),
    }
    if sized.problem is not None or book.equity is None:
        return Finding(sized.problem or "equity is not known", numbers)
    # the engine's own figure is held to the limit too: rounding down must not hide one that is too large
    asked = candidate.analysis.position_fraction
    if not asked <= float(limits.position_risk_max):
        return Finding(f"size {asked} of equity exceeds {limits.position_risk_max}", numbers)
    if sized.notional > limits.position_risk_max * book.equity:
        return Finding(f"notional {sized.notional} exceeds {limits.position_risk_max} of equity", numbers)
    return Finding(None, numbers)
