"""The whole story of one analysis, as `why` tells it: plain structs, and how they are put together."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from phoenix95.common.events import Bar, Factor, Quality, Verdict
from phoenix95.common.money import plain

Outcome = Literal["held", "refused", "asked", "error", "poisoned", "entering", "open", "closed", "expired", "failed"]
OPEN_ENTRY: Final = ("pending", "filled")
Numbers = dict[str, float | None]


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine knew; None where an analysis has no such thing. `fields` are those of a poisoned entry."""

    strategy: str | None = None
    cause: str | None = None
    as_of: str | None = None
    config: str | None = None
    expires_at: int | None = None
    hold_ms: int | None = None
    win_probability: float | None = None
    win_samples: int | None = None
    brier: float | None = None
    bar: Bar | None = None
    indicators: Numbers = {}
    factors: tuple[Factor, ...] = ()
    quality: Quality | None = None
    fields: dict[str, str] = {}


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The row of the analysis. Times are exchange ms, but `processing_time_ms` is the engine's own clock's."""

    analysis_id: str
    symbol: str
    action: str
    side: str | None = None
    price: float | None = None
    confidence: float | None = None
    phoenix95_score: float | None = None
    risk_level: str | None = None
    position_size: float | None = None
    leverage: int | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    accepted: bool
    executed: bool = False
    reason: str
    reasoning: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    request: str | None = None
    processing_time_ms: float | None = None
    cache_hit: bool | None = None
    ts_ms: int
    decided_ms: int
    metadata: Details = Details()


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """The trade that came of it. `pnl` is after `fee`; `funding` is apart from both."""

    account: str
    symbol: str
    side: str
    position_side: str
    amount: Decimal
    price: Decimal
    leverage: int
    filled_amount: Decimal = Decimal(0)
    filled_price: Decimal | None = None
    fee: Decimal = Decimal(0)
    funding: Decimal = Decimal(0)
    stop_loss: Decimal
    take_profit: Decimal | None = None
    pnl: Decimal | None = None
    pnl_percent: Decimal | None = None
    status: str
    stage: str
    close_reason: str | None = None
    opened_ms: int | None = None
    filled: str | None = None
    closed: str | None = None
    metadata: dict[str, Any] = {}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what came of it. `signed_ms` is its timestamp, `deadline_ms` minus that its receive window."""

    client_id: str
    role: str
    attempt: int
    side: str
    quantity: Decimal
    state: str
    filled: Decimal = Decimal(0)
    trigger_price: Decimal | None = None
    average_price: Decimal | None = None
    signed_ms: int | None = None
    deadline_ms: int | None = None
    venue_id: str | None = None
    order_id: str | None = None
    refusal: int | None = None
    reason: str | None = None
    updated_ms: int


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One trade of the exchange's list."""

    trade_id: int
    order_id: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    realized_pnl: Decimal
    time_ms: int


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the chain; its body as it was then."""

    n: int
    ts_ms: int
    kind: str
    body: str
    hash: str


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One step. `after_ms` is since the tick or request that caused it all; `record` its number in the chain."""

    record: int
    ts_ms: int
    after_ms: int
    words: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An order with its latency: from the decision to the signature, and from there to the exchange's answer."""

    order: Order
    recv_window_ms: int | None
    sent_after_ms: int | None
    answered_after_ms: int | None


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Everything. `records` says where in the chain it is: first number, last number, hash of the last."""

    id: str
    symbol: str
    outcome: Outcome
    headline: str
    decision: Decision
    trade: Trade | None
    requests: tuple[Request, ...]
    fills: tuple[Fill, ...]
    moments: tuple[Moment, ...]
    records: tuple[int, int, str] | None


def adopted(analysis_id: str, trade: Trade, kept: Sequence[Kept]) -> Decision:
    """What stands for the decision where there was none: a position that somebody else opened and that was adopted."""
    at_ms = kept[0].ts_ms if kept else trade.opened_ms or 0
    return Decision(
        analysis_id=analysis_id, symbol=trade.symbol, action="ADOPT", side=trade.side, accepted=True,
        reason="a position that this system did not open", ts_ms=at_ms, decided_ms=at_ms,
    )  # fmt: skip


ROLES: Final = {"entry": 0, "stop": 1, "target": 2, "exit": 3}


def tell(
    decision: Decision, trade: Trade | None, orders: Sequence[Order], fills: Sequence[Fill], kept: Sequence[Kept]
) -> Story:
    """Put the story together. Records that are no step of their own (a figure that follows) are left out."""
    moments = tuple(_moments(decision, kept))
    outcome = _outcome(decision, trade, orders)
    ordered = sorted(orders, key=lambda one: (one.signed_ms or one.updated_ms, ROLES.get(one.role, 9), one.attempt))
    sent = tuple(_request(decision, one, kept) for one in ordered if one.signed_ms is not None)
    return Story(
        id=decision.analysis_id,
        symbol=decision.symbol,
        outcome=outcome,
        headline=_headline(decision, trade, outcome),
        decision=decision,
        trade=trade,
        requests=sent,
        fills=tuple(sorted(fills, key=lambda one: (one.time_ms, one.trade_id))),
        moments=moments,
        records=(kept[0].n, kept[-1].n, kept[-1].hash) if kept else None,
    )


def _outcome(decision: Decision, trade: Trade | None, orders: Sequence[Order]) -> Outcome:
    if decision.analysis_id.startswith("poison-"):
        return "poisoned"
    if trade is None:
        if decision.action == "HOLD":
            return "held"
        if decision.action == "ERROR":
            return "error"
        return "refused" if decision.verdicts else "asked"
    if trade.status == "closed":
        return "closed"
    if trade.status in OPEN_ENTRY:
        return "open" if trade.status == "filled" else "entering"
    entry = next((one for one in orders if one.role == "entry"), None)
    return "expired" if entry is not None and entry.state == "EXPIRED" else "failed"


def _headline(decision: Decision, trade: Trade | None, outcome: Outcome) -> str:
    what = f"{decision.action} {decision.side or ''}".strip()
    if trade is None:
        ends = {
            "held": "nothing was to be done",
            "refused": f"refused: {decision.reason}",
            "asked": "only an analysis was asked for",
            "error": "could not be analysed",
            "poisoned": f"could not be read: {decision.reason}",
        }
        return f"{what}, {ends[outcome]}" if outcome != "poisoned" else ends[outcome]
    if outcome == "closed":
        why = str(trade.metadata.get("exit_reason") or trade.close_reason or "").replace("_", " ")
        return f"{what}, closed by {why} with {_signed(trade.pnl)} after {plain(trade.fee)} fees"
    if outcome in ("expired", "failed"):
        return f"{what}, accepted and never entered: {trade.metadata.get('failed', 'no fill')}"
    return f"{what}, {'holds ' + plain(trade.filled_amount) if outcome == 'open' else 'is being entered'}"


def _signed(number: Decimal | None) -> str:
    return "no result" if number is None else f"{'+' if number > 0 else ''}{plain(number)}"


def _request(decision: Decision, order: Order, kept: Sequence[Kept]) -> Request:
    signed = order.signed_ms
    answered = None
    for record in kept:
        if record.kind == "order" and f'"{order.client_id}"' in record.body:
            state = _decode(record, Order).state
            if state not in ("PLANNED", "SENT"):
                answered = record.ts_ms
                break
    return Request(
        order=order,
        recv_window_ms=None if signed is None or order.deadline_ms is None else order.deadline_ms - signed,
        sent_after_ms=None if signed is None else signed - decision.decided_ms,
        answered_after_ms=None if signed is None or answered is None else answered - signed,
    )


def _moments(decision: Decision, kept: Sequence[Kept]) -> list[Moment]:
    found: list[Moment] = []
    decided = False
    stage, stop, order_states = "", None, dict[str, str]()

    def add(record: Kept, words: str) -> None:
        at = _time_of(kept, record) if record.kind == "trade" else record.ts_ms
        found.append(Moment(record=record.n, ts_ms=at, after_ms=at - decision.ts_ms, words=words))

    for record in kept:
        if record.kind == "decision" and not decided:
            decided = True
            add(record, f"decided: {'accepted' if decision.accepted else 'not accepted'}")
        elif record.kind == "order":
            order = _decode(record, Order)
            if order.state != "PLANNED" and order_states.get(order.client_id) != f"{order.state}{order.filled}":
                order_states[order.client_id] = f"{order.state}{order.filled}"
                add(record, _order_words(order))
        elif record.kind == "fill":
            fill = _decode(record, Fill)
            words = f"fill {fill.trade_id}: {fill.side} {plain(fill.quantity)} at {plain(fill.price)}"
            add(record, f"{words}, fee {plain(fill.fee)} {fill.fee_asset}")
        elif record.kind == "trade":
            trade = _decode(record, Trade)
            if stop is not None and trade.stop_loss != stop:
                add(record, f"stop moved from {plain(stop)} to {plain(trade.stop_loss)}")
            if trade.stage != stage and (step := _stage_words(trade)):
                add(record, step)
            stage, stop = trade.stage, trade.stop_loss
    return found


def _time_of(kept: Sequence[Kept], record: Kept) -> int:
    """When a trade moved on. Its row knows when it opened and closed, no more: what follows a record at once is as late
    as that; a decision to close is followed by its order."""
    before = max((one.ts_ms for one in kept if one.n < record.n), default=record.ts_ms)
    if _decode(record, Trade).stage == "CLOSING":
        return next((max(before, one.ts_ms) for one in kept if one.n > record.n and one.kind == "order"), before)
    return max(record.ts_ms, before)


def _order_words(order: Order) -> str:
    name = order.role if order.attempt == 0 else f"{order.role} (attempt {order.attempt + 1})"
    at = "" if order.trigger_price is None else f" at {plain(order.trigger_price)}"
    said = {
        "SENT": f"{name} sent: {order.side} {plain(order.quantity)}{at}",
        "ACCEPTED": f"{name} acknowledged",
        "OPEN": f"{name} seen in the list of open orders{at}" if at else f"{name} open",
        "REJECTED": f"{name} refused: {order.refusal} {order.reason or ''}".rstrip(),
    }
    if order.state in said:
        return said[order.state]
    price = "" if order.average_price is None else f" at {plain(order.average_price)}"
    filled = f" {plain(order.filled)}{price}" if order.filled else ""
    return f"{name} {order.state.lower()}{filled}{f': {order.reason}' if order.reason else ''}"


def _stage_words(trade: Trade) -> str | None:
    if trade.stage == "CLOSED":
        return f"finished: {_signed(trade.pnl)}, fees {plain(trade.fee)}"
    if trade.stage == "FAILED":
        return f"given up: {trade.metadata.get('failed', '')}"
    words = {"PROTECTED": "stop verified: protected", "CLOSING": f"closing: {trade.close_reason or ''}"}
    return words.get(trade.stage)


def _decode(record: Kept, kind: type[Any]) -> Any:
    return msgspec.json.decode(record.body, type=kind)
