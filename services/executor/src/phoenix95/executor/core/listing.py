"""Whether a symbol in which something is held will go on being traded."""

from typing import Final

import msgspec

from phoenix95.common.events import Severity
from phoenix95.executor.core.sizing import Rules

NEAR_MS: Final = 3 * 24 * 3_600_000  # a delivery this near is worth waking somebody


class Concern(msgspec.Struct, frozen=True):
    """`kind` and `symbol` tell concerns apart: each is told once."""

    severity: Severity
    kind: str
    symbol: str
    message: str


def concern(symbol: str, rules: Rules | None, now_ms: int) -> Concern | None:
    """What to tell of a symbol with an open position; None: nothing. `rules` None: it is no longer listed."""
    if rules is None:
        return Concern("critical", "symbol_gone", symbol, f"{symbol} is held, but the exchange no longer lists it")
    if not rules.trading:
        text = f"{symbol} is held, but its status is {rules.status}: no entries, exits are still tried"
        return Concern("critical", "symbol_halted", symbol, text)
    if rules.delivery_ms is not None and rules.delivery_ms - now_ms <= NEAR_MS:
        hours = max(0, rules.delivery_ms - now_ms) / 3_600_000
        text = f"{symbol} is held and will be delivered by the exchange in {hours:.0f} hours"
        return Concern("warning", "symbol_delisting", symbol, text)
    return None
