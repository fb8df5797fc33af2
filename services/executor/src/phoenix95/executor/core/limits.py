"""What the gates hold a candidate to. One value for each setting, exact, with its unit in its name."""

from decimal import Decimal
from typing import Final, Literal

import msgspec

from phoenix95.executor.core.options import Wishes

MarginMode = Literal["isolated", "cross"]

MINUTE_MS: Final = 60_000


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts named `*_max` still pass, one step more does not; `*_min` likewise.

    Shares are of equity, in [0, 1], with these exceptions: `exposure_max` and `symbol_exposure_max` are notional over
    equity, `price_deviation_max`, `spread_max` and `stop_distance_min` are of price, `drawdown_max` is of the peak,
    `daily_loss_max` of the equity that the day began with. All times are exchange ms. `symbols` empty: every symbol.
    `liquidation_ratio_min` is the distance to liquidation over that to the stop. `staged_*` hold in mode live only:
    the first `staged_trades` trades have at most `staged_notional_max` of quote currency each.

    What limits nothing: `wishes` is what a trade gets beside its stop and target. `exit_on_opposite`: an analysis that
    would enter the other side ends what is held.
    """

    confidence_min: Decimal = Decimal("0.75")
    score_min: Decimal = Decimal("0.70")
    symbols: frozenset[str] = frozenset()
    signal_age_max_ms: int = 60_000
    lead_max_ms: int = 1_000
    delisting_ms: int = 86_400_000
    price_deviation_max: Decimal = Decimal("0.005")
    market_age_max_ms: int = 10_000
    duplicate_ms: int = 2_000

    position_risk_max: Decimal = Decimal("0.02")
    leverage_max: int = 20
    stop_distance_min: Decimal = Decimal("0.0005")
    stop_ticks_min: int = 3
    liquidation_ratio_min: Decimal = Decimal("1.25")
    spread_max: Decimal = Decimal("0.001")
    cooldown_ms: int = 60_000

    account_age_max_ms: int = 15_000
    portfolio_risk_max: Decimal = Decimal("0.10")
    exposure_max: Decimal = Decimal(1)
    symbol_exposure_max: Decimal = Decimal("0.20")
    positions_max: int = 10
    daily_loss_max: Decimal = Decimal("0.05")
    drawdown_max: Decimal = Decimal("0.20")
    free_margin_min: Decimal = Decimal("0.05")
    entries_10s_max: int = 10
    entries_minute_max: int = 30
    uncertainty_max_ms: float = 250.0
    staged_trades: int = 20
    staged_notional_max: Decimal = Decimal(200)

    mode: str = "paper"
    margin_mode: MarginMode = "isolated"
    wishes: Wishes = Wishes()
    exit_on_opposite: bool = True

    @property
    def look_back_ms(self) -> int:
        """How much of the past the gates ask about."""
        return max(MINUTE_MS, self.duplicate_ms, self.cooldown_ms)
