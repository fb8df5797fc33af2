"""One trade with all its orders and fills: what every step of the order protocol looks at."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

import msgspec

from phoenix95.common.errors import InvariantBroken
from phoenix95.common.events import Side
from phoenix95.common.money import ZERO
from phoenix95.executor.core.intents import Intent, PositionSide, Role
from phoenix95.executor.core.options import Options

Stage = Literal["ENTERING", "PROTECTING", "PROTECTED", "CLOSING", "CLOSED", "FAILED"]
ExitReason = Literal[
    "stop_loss", "trailing_stop", "take_profit", "time_barrier", "strategy", "opposite_signal", "manual", "flatten",
    "unprotected", "external", "liquidation", "adl", "settlement",
]  # fmt: skip


FillSide = Literal["LONG", "SHORT", "BOTH"]


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One trade of the exchange's own list, keyed by its `trade_id`. `fee` is a cost in `fee_asset`.

    The exchange says BOTH in one-way mode; what is stored has the side of the trade that it belongs to.
    `client_id` is that of its order, where that is none of ours and was looked up; None: not looked up.
    """

    trade_id: int
    order_id: str
    symbol: str
    side: Side
    position_side: FillSide
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    realized_pnl: Decimal
    time_ms: int
    client_id: str | None = None


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade that passed the gates. `naked_since_ms` is None while a verified stop is there or nothing is held.

    `price` is what the gates were asked with. `close_reason` set means: get out, and why. `opened_ms` is when the
    entry was first filled, by the exchange's clock. `quote` is the asset in which the result is counted. `decided_ms`
    is when the gates were asked. `best_price` is the most favourable price that was seen while it was open, None
    before the first one.
    """

    analysis_id: str
    symbol: str
    position_side: PositionSide
    leverage: int
    price: Decimal
    stop_price: Decimal
    target_price: Decimal | None
    hold_ms: int
    expires_ms: int
    stage: Stage = "ENTERING"
    opened_ms: int | None = None
    naked_since_ms: int | None = None
    close_reason: ExitReason | None = None
    request: str | None = None
    quote: str = "USDT"
    strategy: str = ""
    decided_ms: int = 0
    options: Options = Options()
    best_price: Decimal | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A trade, its intents by creation, and the fills of its symbol and side since it began.

    `remembered`: the ledger cannot be reached, and this is what was read last with what happened since.
    """

    trade: Trade
    intents: tuple[Intent, ...]
    fills: tuple[Fill, ...] = ()
    remembered: bool = False

    @property
    def entry(self) -> Intent:
        return self.of("entry")[0]

    @property
    def closing_side(self) -> Side:
        return "SELL" if self.trade.position_side == "LONG" else "BUY"

    def of(self, role: Role) -> tuple[Intent, ...]:
        """All attempts of a role, in order."""
        return tuple(sorted((intent for intent in self.intents if intent.role == role), key=lambda one: one.attempt))

    def intent(self, client_id: str) -> Intent:
        """Raises InvariantBroken when the trade has no such intent."""
        for intent in self.intents:
            if intent.client_id == client_id:
                return intent
        raise InvariantBroken(f"trade {self.trade.analysis_id} has no intent {client_id}")

    @property
    def foreign_fills(self) -> tuple[Fill, ...]:
        """Fills of orders that are none of ours: a person, a liquidation, the exchange."""
        ours = {intent.order_id for intent in self.intents}
        return tuple(fill for fill in self.fills if fill.order_id not in ours)

    @property
    def held(self) -> Decimal:
        """What we believe is open, in base units: entered, less all that our orders and others closed."""
        closed = sum((intent.filled for intent in self.intents if intent.role != "entry"), ZERO)
        for fill in self.foreign_fills:
            closed += fill.quantity if fill.side == self.closing_side else -fill.quantity
        return self.entry.filled - closed

    @property
    def turned_over(self) -> bool:
        """Whether more was closed than entered by the exchange's own list, which counts nothing twice."""
        sides = (fill.quantity if fill.side == self.closing_side else -fill.quantity for fill in self.fills)
        return self.fills_complete and sum(sides, ZERO) > 0

    def fills_of(self, intent: Intent) -> tuple[Fill, ...]:
        return tuple(fill for fill in self.fills if fill.order_id == intent.order_id)

    @property
    def fills_complete(self) -> bool:
        """Whether the exchange's list of trades has arrived for all that our orders say was filled."""
        return all(self.fills_complete_of(intent) for intent in self.intents)

    def fills_complete_of(self, intent: Intent) -> bool:
        return sum((fill.quantity for fill in self.fills_of(intent)), ZERO) == intent.filled

    @property
    def protected(self) -> bool:
        """Whether stops that were seen in the exchange's open list cover all that is held."""
        return sum((stop.quantity for stop in self.of("stop") if stop.state == "OPEN"), ZERO) >= self.held > 0


def with_intent(group: Group, changed: Intent, now_ms: int) -> Group:
    """The group with one intent replaced (or added), and the trade's naked time and opening kept up to date."""
    others = tuple(intent for intent in group.intents if intent.client_id != changed.client_id)
    return with_marks(msgspec.structs.replace(group, intents=(*others, changed)), now_ms)


def with_marks(group: Group, now_ms: int) -> Group:
    """Derive `opened_ms`, `naked_since_ms` and the stage from what the intents say.

    A position is naked from the moment of its fill, not from when we heard of it.
    """
    trade, filled_ms = group.trade, group.entry.filled_ms
    naked = group.held > 0 and not group.protected
    opened, since, stage = trade.opened_ms, trade.naked_since_ms if naked else None, trade.stage
    if naked and since is None:
        since = now_ms if opened is not None or filled_ms is None else filled_ms
    if group.entry.filled > 0:
        opened = opened if opened is not None else (now_ms if filled_ms is None else filled_ms)
        if stage == "ENTERING" or (stage == "PROTECTED" and naked):
            stage = "PROTECTING"
    marked = msgspec.structs.replace(trade, opened_ms=opened, naked_since_ms=since, stage=stage)
    return group if marked == trade else msgspec.structs.replace(group, trade=marked)


def with_fills(group: Group, new: Iterable[Fill], now_ms: int) -> Group:
    """The group with more of the exchange's list of trades: each trade once, whatever the order they came in.

    The list is the stronger witness: where it shows more of an order than its last report did, the order was filled
    that far.
    """
    known = {fill.trade_id: fill for fill in group.fills}
    known |= {fill.trade_id: fill for fill in new if fill.trade_id not in known or fill.client_id is not None}
    grown = msgspec.structs.replace(group, fills=tuple(known[trade_id] for trade_id in sorted(known)))
    for intent in grown.intents:
        fills = grown.fills_of(intent) if intent.order_id is not None else ()
        listed = sum((fill.quantity for fill in fills), ZERO)
        if listed > intent.filled:
            changed = msgspec.structs.replace(
                intent,
                filled=listed,
                average_price=sum((fill.quantity * fill.price for fill in fills), ZERO) / listed,
                filled_ms=intent.filled_ms if intent.filled_ms is not None else min(fill.time_ms for fill in fills),
                updated_ms=now_ms,
            )
            grown = with_intent(grown, changed, now_ms)
    return grown if grown.intents != group.intents else with_marks(grown, now_ms)
