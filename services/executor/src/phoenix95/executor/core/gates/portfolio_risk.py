"""What is lost when every stop is hit, this one included, as a share of equity. Unrealised results do not count."""

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("portfolio")
def portfolio_risk(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    if book.equity is None or book.equity <= 0:
        return Finding("equity is not known")
    held = sum((exposure.risk for exposure in book.exposures), start=candidate.risk * 0)
    share = (held + candidate.risk) / book.equity
    numbers = {
        "held": f"{held:.8f}",
        "new": f"{candidate.risk:.8f}",
        "share": f"{share:.6f}",
        "at_most": str(limits.portfolio_risk_max),
    }
    if share > limits.portfolio_risk_max:
        return Finding(f"risk {share:.4f} of equity would exceed {limits.portfolio_risk_max}", numbers)
    return Finding(None, numbers)
