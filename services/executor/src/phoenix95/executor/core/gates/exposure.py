"""The notional of everything held, this one included, as a share of equity: a limit of its own."""

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("portfolio")
def exposure(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    if book.equity is None or book.equity <= 0:
        return Finding("equity is not known")
    after = candidate.sized.notional + sum(held.notional for held in book.exposures)
    share = after / book.equity
    numbers = {"after": f"{after:.8f}", "share": f"{share:.6f}", "at_most": str(limits.exposure_max)}
    if share > limits.exposure_max:
        return Finding(f"exposure {share:.4f} of equity would exceed {limits.exposure_max}", numbers)
    return Finding(None, numbers)
