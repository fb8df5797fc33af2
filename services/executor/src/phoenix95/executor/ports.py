"""What the order protocol needs from outside. Every durable or external effect is one await on one of these.

All raise TransientError when they could not be asked. A write that raised may have been made: the protocol reads
what is stored and goes on from there. `Fenced` from the ledger means that another executor has taken over.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from phoenix95.common.clock import Clock
from phoenix95.common.events import Severity
from phoenix95.executor.core.candidate import Mode, Modes
from phoenix95.executor.core.decide import Decision
from phoenix95.executor.core.figures import Figures, Told
from phoenix95.executor.core.group import ExitReason, Fill, Group
from phoenix95.executor.core.intents import Intent, PositionSide, Role
from phoenix95.executor.core.market import Market
from phoenix95.executor.core.observe import ConditionalReport, Report
from phoenix95.executor.core.plan import Bounds
from phoenix95.executor.core.sizing import Bracket, Rules


class VenuePosition(msgspec.Struct, frozen=True, kw_only=True):
    """`size` is positive on both sides."""

    symbol: str
    position_side: PositionSide
    size: Decimal
    entry_price: Decimal
    mark_price: Decimal
    unrealized: Decimal


class VenueAccount(msgspec.Struct, frozen=True, kw_only=True):
    """`equity` is the margin balance: wallet and unrealised result. `maintenance` is what all positions need, None:
    not told."""

    equity: Decimal
    wallet: Decimal
    available: Decimal
    used_margin: Decimal
    unrealized: Decimal
    maintenance: Decimal | None = None

    def told(self, at_ms: int) -> Told:
        """As the gates need it; it was so at `at_ms` of exchange time."""
        return Told(
            at_ms=at_ms, equity=self.equity, wallet=self.wallet, available=self.available,
            unrealized=self.unrealized, maintenance=self.maintenance,
        )  # fmt: skip


class Venue(Protocol):
    """The exchange. Sending raises VenueRejected (a definite no), RateLimited (not looked at, so not done) or
    OutcomeUnknown (never send it again).

    A read answers None only when the exchange itself said that it does not know the order.
    """

    async def prepare(self, symbol: str, leverage: int) -> None:
        """Isolated margin and this leverage; idempotent. Raises VenueRejected."""
        ...

    async def place(self, intent: Intent) -> Report:
        """Send a market order with exactly the intent's signed timestamp."""
        ...

    async def place_conditional(self, intent: Intent) -> ConditionalReport:
        """Send a stop or target with exactly the intent's signed timestamp."""
        ...

    async def cancel_conditional(self, symbol: str, client_id: str) -> bool:
        """False: there is no such open order (any more)."""
        ...

    async def order(self, symbol: str, client_id: str) -> Report | None: ...

    async def order_by_id(self, symbol: str, order_id: str) -> Report | None:
        """A plain order of anybody: ours, a person's, or the exchange's own."""
        ...

    async def conditional(self, symbol: str, client_id: str) -> ConditionalReport | None: ...

    async def open_conditionals(self, symbol: str | None) -> tuple[ConditionalReport, ...]:
        """The list of open conditional orders, of one symbol or of all (None)."""
        ...

    async def fills(self, symbol: str, *, since_ms: int, after_id: int | None) -> tuple[Fill, ...]:
        """The account's trades in a symbol, oldest first: those behind trade `after_id`, else since a time."""
        ...

    async def positions(self) -> tuple[VenuePosition, ...]: ...

    async def account(self) -> VenueAccount: ...

    async def rules(self, symbol: str) -> Rules | None:
        """None: the exchange does not know the symbol."""
        ...

    async def brackets(self, symbol: str) -> tuple[Bracket, ...]:
        """The tiers of the maintenance margin, lowest first; empty: the exchange does not know the symbol."""
        ...

    def wait_ms(self, role: Role) -> int:
        """How long, in real ms, a request of this role must be held back for the exchange's rate limits; mostly 0."""
        ...


class Ledger(Protocol):
    """What is remembered. Each method is one transaction that first proves that we are still the active executor."""

    async def modes(self) -> Modes: ...

    async def figures(self, symbol: str, *, now_ms: int, since_ms: int, staged: int) -> Figures:
        """What a decision on a symbol needs of the past since `since_ms` and of today. `staged`: how many trades with
        real money are counted at most."""
        ...

    async def group(self, analysis_id: str) -> Group: ...

    async def active_groups(self) -> tuple[Group, ...]:
        """Every trade that is not CLOSED or FAILED."""
        ...

    async def restamp_naked(self, now_ms: int) -> None:
        """At takeover: the time without a stop counts from now, so that protecting comes before giving up."""
        ...

    async def decide(
        self, decisions: Sequence[Decision], offset: tuple[str, str] | None, modes: Modes
    ) -> tuple[Group, ...]:
        """Store decisions (an analysis that is there already is skipped) with the offset behind them; the trades that
        this began.

        Raises TransientError when the control modes are no longer those that the gates saw.
        """
        ...

    async def poison(self, source: str, entry_id: str, fields: Mapping[str, str], error: str, now_ms: int) -> None:
        """Keep an entry nobody can read: dead letter, signals row and offset, in one."""
        ...

    async def plan(self, intent: Intent) -> None: ...

    async def sign(self, intent: Intent, *, entry: bool) -> bool:
        """Store a SENT intent before its request leaves. False: the mode forbids it (entries only), not stored."""
        ...

    async def record(self, before: Group, after: Group) -> None:
        """Store what changed in a group, with its events."""
        ...

    async def save_fills(self, analysis_id: str, fills: Sequence[Fill]) -> None:
        """Store trades of the exchange. One that is there already at most learns its order's client id."""
        ...

    async def begin_close(self, analysis_id: str, reason: ExitReason, halt: str | None, now_ms: int) -> None: ...

    async def protected(self, analysis_id: str, now_ms: int) -> None: ...

    async def failed(self, analysis_id: str, reason: str, now_ms: int) -> None:
        """Close a trade that never held anything; what was only planned is dropped."""
        ...

    async def finish(self, group: Group, reason: ExitReason, now_ms: int) -> None:
        """Close a trade with its result; what was only planned is dropped."""
        ...

    async def tighten(self, mode: Mode, cause: str, reason: str, symbol: str | None) -> bool:
        """Restrict a symbol, or the account (None), until a person resumes. True when it is news, which is alerted."""
        ...

    async def alert(self, severity: Severity, kind: str, message: str, symbol: str | None) -> None: ...


class Streak:
    """Counts how often something happened in a row."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> int:
        self.count += 1
        return self.count

    def end(self) -> None:
        self.count = 0


def _unobserved(_hop: str, _ms: float) -> None:
    return None


async def _unknown_market(_symbol: str) -> Market:
    return Market()


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a step of the protocol is given. `observe` takes the latency of a hop, in exchange ms.

    `unknowns` counts requests in a row whose outcome is unknown; with `unknowns_max` of them entries halt. `market`
    tells what the feed last said of a symbol; it raises TransientError.
    """

    ledger: Ledger
    venue: Venue
    clock: Clock
    bounds: Bounds
    account: str
    recv_window_ms: int
    uncertainty_max_ms: float = 250.0
    unknowns_max: int = 5
    unknowns: Streak = msgspec.field(default_factory=Streak)
    observe: Callable[[str, float], None] = _unobserved
    market: Callable[[str], Awaitable[Market]] = _unknown_market


__all__ = ["Clock", "Ledger", "Ports", "Streak", "Venue", "VenueAccount", "VenuePosition"]
