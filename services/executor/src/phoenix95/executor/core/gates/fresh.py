"""A signal older than its own limit never opens a position; neither does one judged by a doubtful clock."""

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("signal")
def fresh(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    late_ms = candidate.now_ms - candidate.analysis.expires_at
    numbers = {"age_ms": str(candidate.now_ms - candidate.analysis.ts), "late_ms": str(late_ms)}
    if candidate.uncertainty_ms is None:
        return Finding("exchange time is not known", numbers)
    numbers["uncertainty_ms"] = f"{candidate.uncertainty_ms:.1f}"
    if candidate.uncertainty_ms > limits.uncertainty_max_ms:
        return Finding(f"exchange time is uncertain by {candidate.uncertainty_ms:.0f} ms", numbers)
    return Finding(f"expired {late_ms} ms ago" if late_ms > 0 else None, numbers)
