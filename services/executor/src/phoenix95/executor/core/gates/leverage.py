"""Leverage is within our limit, and within what the exchange allows for the symbol's whole notional."""

from phoenix95.common.money import ZERO
from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.liquidation import bracket_at


@gate("position", "max_leverage")
def leverage(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    value = candidate.analysis.leverage
    held = sum((one.notional for one in book.exposures if one.symbol == candidate.analysis.symbol), ZERO)
    notional = held + candidate.sized.notional
    tier = bracket_at(candidate.brackets, notional)
    numbers = {"leverage": str(value), "at_most": str(limits.leverage_max), "notional": str(notional)}
    if value < 1:
        return Finding(f"leverage {value} is under 1", numbers)
    if value > limits.leverage_max:
        return Finding(f"leverage {value} exceeds {limits.leverage_max}", numbers)
    if tier is None:
        return Finding(f"no margin tier for a notional of {notional} is known", numbers)
    numbers |= {"exchange_at_most": str(tier.leverage)}
    if value > tier.leverage:
        return Finding(f"leverage {value} exceeds the exchange's {tier.leverage} for {notional}", numbers)
    return Finding(None, numbers)
