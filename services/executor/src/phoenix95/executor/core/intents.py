"""An order that we mean to place, and the only ways it may move on."""

from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from phoenix95.common.errors import InvariantBroken
from phoenix95.common.events import Side
from phoenix95.common.money import ZERO

Role = Literal["entry", "stop", "target", "trail", "exit"]
PositionSide = Literal["LONG", "SHORT"]
State = Literal["PLANNED", "SENT", "ACCEPTED", "OPEN", "PARTIAL", "FILLED", "CANCELED", "REJECTED", "ABSENT", "EXPIRED"]

TERMINAL: Final[frozenset[State]] = frozenset({"FILLED", "CANCELED", "REJECTED", "ABSENT", "EXPIRED"})
CONDITIONAL: Final[frozenset[Role]] = frozenset({"stop", "target", "trail"})
LIMITED: Final = -1003  # a refusal for too many requests: it says nothing about the order
ROLE_LETTERS: Final[dict[Role, str]] = {"entry": "e", "stop": "s", "target": "t", "trail": "r", "exit": "x"}

# SENT: the request may be on its way, nothing is known. ACCEPTED: acknowledged, but a conditional order counts
# only when it was seen in the open list (OPEN). ABSENT: the exchange knows nothing of it and no longer can.
LEGAL: Final[dict[State, frozenset[State]]] = {
    "PLANNED": frozenset({"SENT", "EXPIRED", "CANCELED"}),
    "SENT": frozenset({"ACCEPTED", "OPEN", "PARTIAL", "FILLED", "CANCELED", "REJECTED", "ABSENT", "EXPIRED"}),
    "ACCEPTED": frozenset({"OPEN", "PARTIAL", "FILLED", "CANCELED", "REJECTED", "ABSENT", "EXPIRED"}),
    "OPEN": frozenset({"PARTIAL", "FILLED", "CANCELED", "REJECTED", "ABSENT", "EXPIRED"}),
    "PARTIAL": frozenset({"PARTIAL", "FILLED", "CANCELED", "EXPIRED"}),
    "FILLED": frozenset(),
    "CANCELED": frozenset(),
    "REJECTED": frozenset(),
    "ABSENT": frozenset(),
    "EXPIRED": frozenset(),
}


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """One order by its client id. Times are exchange ms; quantities are in base units.

    `signed_ms` is the timestamp that the request carries and `deadline_ms` the last moment at which the exchange
    still takes it; both None before it was signed. `venue_id` is the exchange's id (of the conditional order for
    a stop or target), `order_id` the plain order in which the fills are. `not_found` counts authoritative answers
    "no such order"; `refusal` is the exchange's code of a definite refusal. `filled_ms` is when the exchange says that
    the first part was filled, None while nothing is. `slot` tells several targets apart, the nearest is 0.
    `callback_rate` is a trailing stop's distance in percent of price; a target without a trigger price is an order at
    the market, for a price that was passed already.
    """

    client_id: str
    analysis_id: str
    symbol: str
    role: Role
    attempt: int
    side: Side
    position_side: PositionSide
    quantity: Decimal
    trigger_price: Decimal | None = None
    slot: int = 0
    callback_rate: Decimal | None = None
    state: State = "PLANNED"
    signed_ms: int | None = None
    deadline_ms: int | None = None
    venue_id: str | None = None
    order_id: str | None = None
    filled: Decimal = ZERO
    average_price: Decimal | None = None
    filled_ms: int | None = None
    not_found: int = 0
    refusal: int | None = None
    reason: str | None = None
    updated_ms: int = 0

    @property
    def live(self) -> bool:
        """Whether the exchange may hold it or may still come to hold it."""
        return self.state not in TERMINAL and self.state != "PLANNED"

    @property
    def refused(self) -> bool:
        """Whether the exchange said no to this very order. One held off for a rate limit was not looked at."""
        return self.state == "REJECTED" and self.refusal != LIMITED

    @property
    def conditional(self) -> bool:
        """Whether it waits at the exchange for its price, instead of being filled at once."""
        at_market = self.trigger_price is None and self.callback_rate is None
        return self.role in CONDITIONAL and not at_market


def may_become(intent: Intent, state: State) -> bool:
    """Whether the table allows the move. The same state again is a repeated observation: allowed, but for an end."""
    return state in LEGAL[intent.state] or (state == intent.state and state not in TERMINAL)


def move(intent: Intent, state: State, **changes: Any) -> Intent:
    """The intent in its next state. Raises InvariantBroken on a move that is not in the table.

    What was filled never shrinks.
    """
    if not may_become(intent, state):
        raise InvariantBroken(f"intent {intent.client_id} ({intent.role}): {intent.state} -> {state} is no legal move")
    moved = msgspec.structs.replace(intent, state=state, **changes)
    if moved.filled < intent.filled:
        raise InvariantBroken(f"intent {intent.client_id}: filled fell from {intent.filled} to {moved.filled}")
    return moved
