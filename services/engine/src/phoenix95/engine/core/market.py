"""What the last trades say about the market now."""

from phoenix95.engine.core.state import SymbolState


def spread_bps(state: SymbolState) -> float | None:
    """The spread over the mid price; None when it is not known, crossed or too old."""
    if state.bid is None or state.ask is None or state.price_ms - state.quote_ms > state.config.quote_ttl_ms:
        return None
    if not 0 < state.bid <= state.ask:
        return None
    return (state.ask - state.bid) / (state.ask + state.bid) * 20_000
