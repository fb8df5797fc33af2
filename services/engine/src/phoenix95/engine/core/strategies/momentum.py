"""Go with the move when the evidence agrees."""

from phoenix95.common.events import Factor, Side
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.evidence import confidence_for
from phoenix95.engine.core.factors.base import net
from phoenix95.engine.core.strategies.base import Opinion, Strategy


def _opinion(factors: tuple[Factor, ...], config: Config) -> Opinion:
    lean = net(factors)
    if not lean:
        return Opinion(None, 0.5)
    side: Side = "BUY" if lean > 0 else "SELL"
    confidence = confidence_for(side, factors)
    return Opinion(side if confidence >= config.entry_confidence else None, confidence)


STRATEGY = Strategy(name="momentum", opinion=_opinion)
