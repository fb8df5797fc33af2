"""Exchange time is known well enough to tell what is late."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("portfolio", "max_clock_uncertainty_ms")
def clock(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    uncertain_ms = candidate.uncertainty_ms
    numbers = {"uncertainty_ms": str(uncertain_ms), "at_most": str(limits.uncertainty_max_ms)}
    if uncertain_ms is None:
        return Finding("exchange time is not known", numbers)
    # written so that NaN is refused
    if 0 <= uncertain_ms <= limits.uncertainty_max_ms:
        return Finding(None, numbers)
    return Finding(f"exchange time is uncertain by {uncertain_ms:.1f} ms", numbers)
