"""Rows of the ledger as the API shows them. Money and quantities are exact decimal strings."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from phoenix95.common.events import Verdict
from phoenix95.common.money import plain


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much was done since the ledger began.

    `decisions` is one for each analysis at a bar's close (`analyses`) and each answered request (`replies`);
    `accepted` of them passed the gates. `orders` were sent to the exchange, `positions` were ever held.
    """

    analyses: int
    replies: int
    decisions: int
    accepted: int
    orders: int
    fills: int
    positions: int
    active_positions: int


class PortfolioRow(msgspec.Struct, frozen=True, kw_only=True):
    """The account at `created`, which is exchange time. Shares are what the ledger made them of."""

    account: str
    total_balance: str
    available_balance: str
    used_margin: str
    unrealized_pnl: str
    total_risk: str
    max_drawdown: str
    total_exposure: str
    daily_pnl: str
    daily_pnl_percent: str
    daily_trades: int
    daily_wins: int
    daily_losses: int
    created: datetime
    date: date


class PositionRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a trade holds or held. `protected`: its stop was seen in the exchange's list of open orders."""

    analysis_id: str
    symbol: str
    side: str
    size: str
    entry_price: str
    leverage: int
    current_price: str | None
    unrealized_pnl: str
    unrealized_pnl_percent: str
    stop_loss: str
    take_profit: str | None
    protected: bool
    is_active: bool
    created: datetime
    updated: datetime
    closed: datetime | None
    fees: str
    realized_pnl: str | None
    realized_pnl_percent: str | None
    exit_price: str | None
    exit_reason: str | None


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """One order by its client id. `role` is entry, stop, target, trail or exit; `updated_ms` is exchange time."""

    client_id: str
    role: str
    attempt: int
    state: str
    side: str
    position_side: str
    quantity: str
    filled: str
    average_price: str | None
    trigger_price: str | None
    venue_id: str | None
    reason: str | None
    updated_ms: int


class DecisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the gates said. `executed`: its entry was filled; `decided_ms` is exchange time."""

    analysis_id: str
    symbol: str
    action: str
    side: str | None
    accepted: bool
    executed: bool
    reason: str
    verdicts: tuple[Verdict, ...]
    ts_ms: int
    decided_ms: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All that the ledger knows of a request."""

    decision: DecisionRow
    orders: tuple[OrderRow, ...]
    positions: tuple[PositionRow, ...]


R = TypeVar("R", bound=msgspec.Struct)


def as_row(kind: type[R], row: Mapping[Any, Any]) -> R:
    """A row of the database as `kind`; columns that it has not got are left out."""
    exact = {name: plain(value) if isinstance(value, Decimal) else value for name, value in row.items()}
    return msgspec.convert(exact, kind)
