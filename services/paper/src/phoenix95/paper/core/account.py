"""The account: wallet, positions, settings of each symbol, and the figures that follow from marks."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from phoenix95.common.money import ZERO
from phoenix95.paper.core.position import Position, PositionSide
from phoenix95.paper.core.specs import TAKER_FEE, Bracket, bracket_at

LEVERAGE_DEFAULT: Final = 20
Marks = Callable[[str], Decimal]


class Setting(msgspec.Struct, frozen=True):
    """Leverage and margin type of one symbol; crossed at 20 until somebody changes it, as on the exchange."""

    leverage: int = LEVERAGE_DEFAULT
    isolated: bool = False


class Risk(NamedTuple):
    """Figures of one position at its mark. `liquidation` is zero when no price liquidates it."""

    notional: Decimal
    profit: Decimal
    initial: Decimal
    maintenance: Decimal
    liquidation: Decimal
    break_even: Decimal


class Figures(NamedTuple):
    """Totals of the account in quote currency."""

    wallet: Decimal
    cross_wallet: Decimal
    profit: Decimal
    cross_profit: Decimal
    initial: Decimal
    maintenance: Decimal
    available: Decimal


class Account:
    """One account. `wallet` includes isolated margin; `positions` holds only what is or was once traded."""

    def __init__(self, wallet: Decimal, *, hedge: bool = False, updated_ms: int = 1) -> None:
        self.wallet = wallet
        self.hedge = hedge
        self.updated_ms = updated_ms
        self.positions: dict[tuple[str, PositionSide], Position] = {}
        self.settings: dict[str, Setting] = {}

    def setting(self, symbol: str) -> Setting:
        return self.settings.get(symbol) or Setting()

    def position(self, symbol: str, side: PositionSide) -> Position:
        """The position of a side, an empty one when nothing was ever held."""
        return self.positions.get((symbol, side)) or Position(symbol=symbol, side=side)

    def held(self, symbol: str | None = None) -> Iterator[Position]:
        """Positions with an amount."""
        for position in list(self.positions.values()):
            if position.amount and symbol in (None, position.symbol):
                yield position

    def figures(self, marks: Marks) -> Figures:
        """All totals at the given mark prices."""
        profit = cross_profit = initial = maintenance = isolated = cross_initial = ZERO
        for position in self.held():
            risk = self.risk(position, marks(position.symbol))
            profit += risk.profit
            initial += risk.initial
            maintenance += risk.maintenance
            if self.setting(position.symbol).isolated:
                isolated += position.isolated
            else:
                cross_profit += risk.profit
                cross_initial += risk.initial
        cross_wallet = self.wallet - isolated
        available = max(ZERO, cross_wallet + cross_profit - cross_initial)
        return Figures(self.wallet, cross_wallet, profit, cross_profit, initial, maintenance, available)

    def risk(self, position: Position, mark: Decimal) -> Risk:
        """The figures of one position; its liquidation price takes the rest of the account as it is."""
        notional = position.amount * mark
        setting = self.setting(position.symbol)
        tier = bracket_at(position.symbol, abs(notional))
        maintenance = abs(notional) * tier.rate - tier.cum
        collateral = position.isolated if setting.isolated else self.wallet
        sign = 1 if position.amount > 0 else -1
        return Risk(
            notional=notional,
            profit=position.profit_at(mark),
            initial=abs(notional) / setting.leverage,
            maintenance=maintenance,
            liquidation=_liquidation(position, collateral, tier),
            break_even=position.entry * (1 + sign * TAKER_FEE),
        )


def _liquidation(position: Position, collateral: Decimal, tier: Bracket) -> Decimal:
    """Where collateral plus profit equals the maintenance margin of the present tier."""
    amount = position.amount
    return max(ZERO, (collateral + tier.cum - amount * position.entry) / (abs(amount) * tier.rate - amount))
