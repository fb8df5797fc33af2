"""Nothing is opened when the engine calls the risk critical."""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("signal", of_opinion=True)
def risk_level(candidate: Candidate, _book: Book, _limits: Limits) -> Finding:
    level = candidate.analysis.risk_level
    return Finding("risk level is critical" if level == "critical" else None, {"risk_level": level})
