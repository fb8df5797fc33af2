"""The evidence must agree strongly enough."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("signal", "confidence_threshold", of_opinion=True)
def confidence(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    value = candidate.analysis.confidence
    numbers = {"confidence": str(value), "at_least": str(limits.confidence_min)}
    # written so that NaN is refused
    if float(limits.confidence_min) <= value <= 1:
        return Finding(None, numbers)
    return Finding(f"confidence {value} is not in [{limits.confidence_min}, 1]", numbers)
