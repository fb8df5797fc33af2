"""Entries do not come faster than a person would want to watch."""

from typing import Final

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import MINUTE_MS, Limits

TEN_S_MS: Final = 10_000


@gate("portfolio", "max_entries_10s", "max_entries_minute")
def order_rate(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    ages_ms = [candidate.now_ms - one.at_ms for one in book.entries if one.analysis_id != candidate.analysis.id]
    of_10s, of_minute = sum(age < TEN_S_MS for age in ages_ms), sum(age < MINUTE_MS for age in ages_ms)
    numbers = {
        "in_10s": str(of_10s),
        "under_in_10s": str(limits.entries_10s_max),
        "in_minute": str(of_minute),
        "under_in_minute": str(limits.entries_minute_max),
    }
    if of_10s >= limits.entries_10s_max:
        return Finding(f"{of_10s} entries within 10 s, the limit is {limits.entries_10s_max}", numbers)
    if of_minute >= limits.entries_minute_max:
        return Finding(f"{of_minute} entries within a minute, the limit is {limits.entries_minute_max}", numbers)
    return Finding(None, numbers)
