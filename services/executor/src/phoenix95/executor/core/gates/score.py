"""The set-up must be good enough."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("signal", "score_threshold", of_opinion=True)
def score(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    value = candidate.analysis.phoenix95_score
    numbers = {"score": str(value), "at_least": str(limits.score_min)}
    # written so that NaN is refused
    if float(limits.score_min) <= value <= 1:
        return Finding(None, numbers)
    return Finding(f"score {value} is not in [{limits.score_min}, 1]", numbers)
