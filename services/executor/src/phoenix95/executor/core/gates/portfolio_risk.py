"""What is lost when every stop is hit, this one included, is at most a share of equity."""

from phoenix95.common.money import ZERO
from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("portfolio", "max_portfolio_risk_percent")
def portfolio_risk(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    if book.equity is None or book.equity <= 0:
        return Finding("equity is not known")
    held = sum((exposure.risk for exposure in book.exposures), ZERO)
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
