"""The same idea is acted on once: not again for the same tick or request, nor the same side moments later."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("signal", "duplicate_ms")
def duplicate(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    analysis = candidate.analysis
    numbers = {"cause": analysis.cause, "request": str(analysis.request), "within_ms": str(limits.duplicate_ms)}
    for earlier in book.entries:
        if (earlier.symbol, earlier.side) != (analysis.symbol, analysis.side) or earlier.analysis_id == analysis.id:
            continue
        ago_ms = candidate.now_ms - earlier.at_ms
        numbers |= {"earlier": earlier.analysis_id, "ago_ms": str(ago_ms)}
        same = earlier.cause == analysis.cause or (earlier.request is not None and earlier.request == analysis.request)
        if same or ago_ms < limits.duplicate_ms:
            return Finding(f"{earlier.analysis_id} was let through {ago_ms} ms ago", numbers)
    return Finding(None, numbers)
