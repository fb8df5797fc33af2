"""What is to be traded has a side: EXECUTE alone is none."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("signal")
def side(candidate: Candidate, _book: Book, _limits: Limits) -> Finding:
    side = candidate.analysis.side
    return Finding("EXECUTE without a side" if side is None else None, {"side": str(side)})
