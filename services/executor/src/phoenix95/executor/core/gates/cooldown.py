"""A symbol rests for a while after one of its stops was hit."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("position", "stop_cooldown_ms")
def cooldown(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    stopped_ms = book.stopped_out_ms
    numbers = {"at_least_ms": str(limits.cooldown_ms)}
    if stopped_ms is None:
        return Finding(None, numbers)
    ago_ms = candidate.now_ms - stopped_ms
    numbers |= {"ago_ms": str(ago_ms)}
    if ago_ms < limits.cooldown_ms:
        return Finding(f"stopped out {ago_ms} ms ago, {limits.cooldown_ms} must pass", numbers)
    return Finding(None, numbers)
