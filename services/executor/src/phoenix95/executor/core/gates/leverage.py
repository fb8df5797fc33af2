"""Leverage within the limit."""

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("position")
def leverage(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    value = candidate.analysis.leverage
    numbers = {"leverage": str(value), "at_most": str(limits.leverage_max)}
    if value < 1:
        return Finding(f"leverage {value} is under 1", numbers)
    return Finding(f"leverage {value} exceeds {limits.leverage_max}" if value > limits.leverage_max else None, numbers)
