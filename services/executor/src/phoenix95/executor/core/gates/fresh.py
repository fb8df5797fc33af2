"""A signal older than its own limit or ours never opens a position; one from the future has a wrong clock."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("signal", "max_signal_age_ms")
def fresh(candidate: Candidate, _book: Book, limits: Limits) -> Finding:
    age_ms = candidate.now_ms - candidate.analysis.ts
    late_ms = candidate.now_ms - candidate.analysis.expires_at
    numbers = {
        "age_ms": str(age_ms),
        "late_ms": str(late_ms),
        "age_at_most": str(limits.signal_age_max_ms),
        "lead_at_most": str(limits.lead_max_ms),
    }
    if late_ms > 0:
        return Finding(f"expired {late_ms} ms ago", numbers)
    if age_ms > limits.signal_age_max_ms:
        return Finding(f"{age_ms} ms old", numbers)
    return Finding(f"{-age_ms} ms in the future" if age_ms < -limits.lead_max_ms else None, numbers)
