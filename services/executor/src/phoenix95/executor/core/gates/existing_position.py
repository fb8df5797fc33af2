"""Nothing is held or being entered in the symbol, on either side.

In hedge mode the exchange would hold both sides apart, but leverage and margin type are the symbol's, and the ledger
keeps one active trade a symbol; the way to the other side is out of this one first.
"""

from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits


@gate("position")
def existing_position(candidate: Candidate, book: Book, _limits: Limits) -> Finding:
    name = candidate.analysis.symbol
    held = [one.position_side for one in book.exposures if one.symbol == name]
    numbers = {"symbol": name, "held": ",".join(held) or "nothing", "wanted": candidate.position_side}
    if candidate.position_side in held:
        return Finding(f"{name} is already held or being entered", numbers)
    return Finding(f"{name} is already held on the other side" if held else None, numbers)
