"""The notional of everything held, this one included, as a multiple of equity."""

from phoenix95.common.money import ZERO
from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("portfolio", "max_exposure_percent")
def exposure(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    if book.equity is None or book.equity <= 0:
        return Finding("equity is not known")
    after = candidate.sized.notional + sum((held.notional for held in book.exposures), ZERO)
    share = after / book.equity
    numbers = {"after": f"{after:.8f}", "share": f"{share:.6f}", "at_most": str(limits.exposure_max)}
    if share > limits.exposure_max:
        return Finding(f"exposure {share:.4f} of equity would exceed {limits.exposure_max}", numbers)
    return Finding(None, numbers)
