"""Liquidation, by the exchange's own margin tiers, lies beyond the stop with a margin."""

from decimal import Decimal

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.liquidation import liquidation_price


@gate("position", "min_liquidation_ratio")
def liquidation(candidate: Candidate, book: Book, limits: Limits) -> Finding:
    stop, entry, quantity = candidate.stop_price, candidate.price, candidate.sized.quantity
    if stop is None or entry <= 0 or quantity <= 0 or candidate.analysis.leverage < 1:
        return Finding("no stop, quantity or leverage to compare")
    if limits.margin_mode == "isolated":
        cover = quantity * entry / Decimal(candidate.analysis.leverage)
    elif book.wallet is None or book.maintenance is None or book.unrealized is None:
        return Finding("the margin that covers the position is not known")
    else:
        cover = book.wallet - book.maintenance + book.unrealized
    price = liquidation_price(candidate.position_side, quantity, entry, cover, candidate.brackets)
    if price is None:
        return Finding(f"no margin tier for {quantity} at {entry} is known")
    long = candidate.position_side == "LONG"
    distance, to_stop = (entry - price, entry - stop) if long else (price - entry, stop - entry)
    numbers = {
        "liquidation": f"{price:.8f}",
        "stop": str(stop),
        "liquidation_distance": f"{distance:.8f}",
        "stop_distance": str(to_stop),
        "ratio_at_least": str(limits.liquidation_ratio_min),
        "margin": limits.margin_mode,
    }
    if distance < to_stop * limits.liquidation_ratio_min:
        return Finding(f"liquidation at {price:.8f} comes too near to the stop at {stop}", numbers)
    return Finding(None, numbers)
