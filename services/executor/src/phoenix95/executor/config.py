"""The executor's settings: `P95_EXECUTOR_*`."""

from decimal import Decimal
from math import inf
from typing import Annotated, Final, Literal, cast, get_args

import msgspec

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings import Secret, Settings
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.options import Wishes, parse_wishes
from phoenix95.executor.core.plan import Bounds
from phoenix95.executor.core.reconcile import Foreign, Policy

Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Ms = Annotated[int, msgspec.Meta(ge=1)]
MarginType = Literal["isolated", "cross"]
MsOrNone = Annotated[int, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]

# the exchange may hold a request this many receive windows longer than it says
MARGIN_WINDOWS = 2
BACKEND_MS = 10_000  # how long Binance's own backend may take, whatever the window
LIVE_UNCERTAINTY_MAX_MS = 250.0
PAPER_KEY: Final = "paper-key"  # what the paper exchange takes when nothing else was set


class ExecutorSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the shares are of says docs/gates.md; `manual_stop_percent` is of price: the stop's distance where a manual
    trade names none, and `trailing_percent` too. `reconcile_ms`, `poll_ms` and their like are real time, those of the
    gates, `recv_window_ms` and `naked_ms` exchange time.
    `foreign` says what becomes of positions and orders that we did not make: adopt (protect, no new entries of the
    symbol), alert (no new entries) or ignore; `foreign_symbols` are exceptions, like `ETHUSDT=ignore`.
    `unknowns_max` requests in a row without an answer to trust halt entries.

    Trading with real money needs `mode` live and `allow_live` as well. `hedge_mode` holds long and short of a symbol
    apart; without it (one-way mode) a symbol has one position. `margin_type` is set before each entry.
    """

    account: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "main"
    api_key: Secret = Secret()
    api_secret: Secret = Secret()
    allow_live: bool = False
    hedge_mode: bool = True
    margin_type: MarginType = "isolated"
    recv_window_ms: Annotated[int, msgspec.Meta(ge=100, le=60_000_000)] = 5_000
    naked_ms: Ms = 5_000
    confidence_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.75
    score_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.70
    max_position_risk_percent: Share = 0.02
    max_leverage: Annotated[int, msgspec.Meta(ge=1, le=125)] = 20
    max_portfolio_risk_percent: Share = 0.10
    max_exposure_percent: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    max_active_positions: Count = 10
    symbols: tuple[str, ...] = ()
    max_signal_age_ms: Ms = 60_000
    delisting_margin_ms: MsOrNone = 86_400_000
    max_price_deviation_percent: Share = 0.005
    max_market_age_ms: Ms = 10_000
    duplicate_ms: MsOrNone = 2_000
    min_stop_percent: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0005
    min_stop_ticks: Annotated[int, msgspec.Meta(ge=1)] = 3
    min_liquidation_ratio: Annotated[float, msgspec.Meta(ge=1)] = 1.25
    max_spread_percent: Share = 0.001
    stop_cooldown_ms: MsOrNone = 60_000
    max_account_age_ms: Ms = 15_000
    max_symbol_exposure_percent: Annotated[float, msgspec.Meta(gt=0)] = 0.20
    max_daily_loss_percent: Share = 0.05
    max_drawdown_percent: Share = 0.20
    min_free_margin_percent: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.05
    max_entries_10s: Count = 10
    max_entries_minute: Count = 30
    max_clock_uncertainty_ms: Annotated[float, msgspec.Meta(gt=0)] = 250.0
    staged_trades: Annotated[int, msgspec.Meta(ge=0)] = 20
    staged_notional: Annotated[float, msgspec.Meta(gt=0)] = 200.0
    manual_stop_percent: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.01
    reconcile_ms: Ms = 10_000
    reconcile_fully_ms: Ms = 60_000
    foreign: Foreign = "adopt"
    foreign_symbols: tuple[str, ...] = ()
    clock_lost_ms: Ms = 60_000
    poll_ms: Ms = 1_000
    trailing_percent: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    breakeven_r: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    targets: tuple[str, ...] = ()
    exit_on_opposite: bool = True
    unknowns_max: Annotated[int, msgspec.Meta(ge=1)] = 5

    def check(self) -> None:
        """Raise ConfigError for settings that must not go together."""
        self.policy()
        if self.mode == "live" and not self.allow_live:
            raise ConfigError("P95_MODE is live: real money needs P95_EXECUTOR_ALLOW_LIVE=true as well")
        for name in ("api_key", "api_secret"):
            if not getattr(self, name):
                raise ConfigError(f"P95_EXECUTOR_{name.upper()} is required and not set")
        if self.mode != "paper" and self.api_key.reveal() == PAPER_KEY:
            raise ConfigError(f"P95_EXECUTOR_API_KEY is the paper exchange's, but P95_MODE is {self.mode}")
        self.wishes()

    def wishes(self) -> Wishes:
        """What each new trade gets beside its stop. Raises ConfigError for what makes no sense."""
        try:
            return parse_wishes(trailing=self.trailing_percent, breakeven_r=self.breakeven_r, targets=self.targets)
        except ValueError as error:
            raise ConfigError(
                f"P95_EXECUTOR_TRAILING_PERCENT, P95_EXECUTOR_BREAKEVEN_R, P95_EXECUTOR_TARGETS: {error}"
            ) from error

    def policy(self) -> Policy:
        """What becomes of positions and orders that we did not make. Raises ConfigError."""
        name, known = "P95_EXECUTOR_FOREIGN_SYMBOLS", get_args(Foreign)
        symbols: dict[str, Foreign] = {}
        for part in self.foreign_symbols:
            symbol, _, what = (word.strip() for word in part.partition("="))
            if not symbol or what not in known:
                raise ConfigError(f"{name}: {part!r} is not of the form SYMBOL={'|'.join(known)}")
            symbols[symbol.upper()] = cast("Foreign", what)
        return Policy(default=self.foreign, symbols=symbols)

    def limits(self) -> Limits:
        return Limits(
            confidence_min=_exact(self.confidence_threshold),
            score_min=_exact(self.score_threshold),
            symbols=frozenset(self.symbols),
            signal_age_max_ms=self.max_signal_age_ms,
            lead_max_ms=self.recv_window_ms // 5,  # as the exchange: one second for a window of five
            delisting_ms=self.delisting_margin_ms,
            price_deviation_max=_exact(self.max_price_deviation_percent),
            market_age_max_ms=self.max_market_age_ms,
            duplicate_ms=self.duplicate_ms,
            position_risk_max=_exact(self.max_position_risk_percent),
            leverage_max=self.max_leverage,
            stop_distance_min=_exact(self.min_stop_percent),
            stop_ticks_min=self.min_stop_ticks,
            liquidation_ratio_min=_exact(self.min_liquidation_ratio),
            spread_max=_exact(self.max_spread_percent),
            cooldown_ms=self.stop_cooldown_ms,
            account_age_max_ms=self.max_account_age_ms,
            portfolio_risk_max=_exact(self.max_portfolio_risk_percent),
            exposure_max=_exact(self.max_exposure_percent),
            symbol_exposure_max=_exact(self.max_symbol_exposure_percent),
            positions_max=self.max_active_positions,
            daily_loss_max=_exact(self.max_daily_loss_percent),
            drawdown_max=_exact(self.max_drawdown_percent),
            free_margin_min=_exact(self.min_free_margin_percent),
            entries_10s_max=self.max_entries_10s,
            entries_minute_max=self.max_entries_minute,
            # scaled with the window: where exchange time runs faster, so does its error
            uncertainty_max_ms=min(
                self.recv_window_ms / 20,
                self.max_clock_uncertainty_ms,
                LIVE_UNCERTAINTY_MAX_MS if self.mode != "paper" else inf,
            ),
            staged_trades=self.staged_trades,
            staged_notional_max=_exact(self.staged_notional),
            mode=self.mode,
            margin_mode=self.margin_type,
            wishes=self.wishes(),
            exit_on_opposite=self.exit_on_opposite,
        )

    def bounds(self) -> Bounds:
        """An outcome can be unknown for as long as the receive window, so nothing is given up on sooner."""
        return Bounds(
            naked_ms=max(self.naked_ms, self.recv_window_ms),
            margin_ms=max(MARGIN_WINDOWS * self.recv_window_ms, BACKEND_MS if self.mode != "paper" else 0),
            poll_ms=self.poll_ms,
            one_way=not self.hedge_mode,
        )


def _exact(number: float) -> Decimal:
    return Decimal(str(number))
