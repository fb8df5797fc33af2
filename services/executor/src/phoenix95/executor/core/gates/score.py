"""The set-up must be good enough."""

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("signal")
def score(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    value = candidate.analysis.phoenix95_score
    numbers = {"score": str(value), "at_least": str(limits.score_min)}
    # written so that NaN is refused
    if value >= float(limits.score_min):
        return Finding(None, numbers)
    return Finding(f"score {value} is under {limits.score_min}", numbers)
