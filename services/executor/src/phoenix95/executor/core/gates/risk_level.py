"""Nothing is opened when the engine calls the risk critical."""

from phoenix95.executor.core.candidate import Book, Candidate, Limits
from phoenix95.executor.core.gates import Finding, gate


@gate("signal", of_opinion=True)
def risk_level(candidate: Candidate, _book: Book, _limits: Limits) -> Finding:
    level = candidate.analysis.risk_level
    return Finding("risk level is critical" if level == "critical" else None, {"risk_level": level})
