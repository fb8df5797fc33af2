"""The order protocol as one pure question: given all that is stored of a trade, what is the next move?

The shell carries a move out, stores what came of it, and asks again. A crash at any point loses nothing, because
the answer depends on what is stored and on the time alone. The order of the branches is the order of urgency:
first what is unknown about the entry, then protection, then the rest.
"""

from collections.abc import Iterable
from decimal import ROUND_FLOOR, Decimal
from typing import Final

import msgspec

from phoenix95.executor.core.candidate import Modes
from phoenix95.executor.core.group import ExitReason, Group
from phoenix95.executor.core.intents import TERMINAL, Intent, Role
from phoenix95.executor.core.protection import WOULD_TRIGGER, Wanted, fits, refused_stops, secured, superseded, wanted

MIN_POLL_MS: Final = 50
BARRIER_STEPS: Final = 20
REFUSED_PAUSE_MS: Final = 200
REFUSED_PAUSE_MAX_MS: Final = 5_000
TOO_LARGE: Final = -4005  # more than the exchange takes in one order
VERIFY_MS: Final = 10_000  # protection is looked at this often at least, whatever the settings say
# the exchange's own orders, by the start of their client ids
EXCHANGES_OWN: Final[dict[str, ExitReason]] = {
    "autoclose-": "liquidation",
    "adl_autoclose": "adl",
    "settlement_autoclose-": "settlement",
}
_BY_ROLE: Final[dict[Role, ExitReason]] = {"stop": "stop_loss", "target": "take_profit", "trail": "trailing_stop"}


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """`naked_ms` and `margin_ms` are exchange ms, pauses are real ones. `unresolved_max` requests of one role may be
    unknown at a time: repeating a reducing order is harmless, but not without end. `one_way`: a symbol has one
    position, and who trades through it turns it over."""

    naked_ms: int = 5_000
    margin_ms: int = 10_000
    refusals_max: int = 3
    unresolved_max: int = 3
    poll_ms: int = 1_000
    look_ms: int = 200
    one_way: bool = False


class Send(msgspec.Struct, frozen=True):
    """Sign, store, send: once."""

    client_id: str
    quantity: Decimal


class Look(msgspec.Struct, frozen=True):
    """Ask the exchange about everything that is not finished; come back after `pause_ms` if nothing changed."""

    pause_ms: int


class Plan(msgspec.Struct, frozen=True):
    """Store another attempt of a role. `look_first`: the last one was refused, so find out what is still held.

    `wanted` is what a protective order is to be like, None for an exit.
    """

    role: Role
    look_first: bool = False
    wanted: Wanted | None = None


class Cancel(msgspec.Struct, frozen=True):
    """Cancel a conditional order that is no longer needed."""

    client_id: str


class Abandon(msgspec.Struct, frozen=True):
    """The entry was never sent and must not be any more."""

    reason: str


class Fail(msgspec.Struct, frozen=True):
    """The entry ended without a fill."""

    reason: str


class BeginClose(msgspec.Struct, frozen=True):
    """Decide to get out. `halt`: the symbol takes no new entries until a person says so, and an alert is raised."""

    reason: ExitReason
    halt: str | None = None


class MarkProtected(msgspec.Struct, frozen=True):
    """Stop (and target, if there is one to be had) were seen in the list of open orders."""


class Finish(msgspec.Struct, frozen=True):
    """Nothing is held, nothing is open, every fill is known."""

    reason: ExitReason


class Name(msgspec.Struct, frozen=True):
    """Ask whose orders closed what ours did not: a person's, or the exchange's own."""

    order_ids: tuple[str, ...]


Wants = tuple[Wanted, ...]
Move = Send | Look | Plan | Cancel | Abandon | Fail | BeginClose | MarkProtected | Finish | Name


def next_move(group: Group, *, now_ms: int, modes: Modes, bounds: Bounds) -> Move:
    """What to do now. `now_ms` is exchange time."""
    move = _next(group, now_ms, modes, bounds)
    return _without_ledger(move, group, bounds) if group.remembered else move


def _next(group: Group, now_ms: int, modes: Modes, bounds: Bounds) -> Move:
    entry = group.entry
    if entry.state == "PLANNED":
        return _enter(group, entry, now_ms, modes)
    if entry.filled == 0:
        if entry.state not in TERMINAL:
            return Look(bounds.look_ms)
        return Fail(entry.reason or f"the entry is {entry.state}")
    held = group.held
    if held < 0:  # a fill that we count twice until its order is known; looking resolves it
        # but in one-way mode a person may have turned the position over: what is held now is another trade's
        return _wind_up(group, bounds) if bounds.one_way and group.turned_over else Look(bounds.look_ms)
    if held == 0:
        return _wind_up(group, bounds)
    if group.trade.close_reason is not None:
        return _close(group, held, now_ms, bounds)
    wants = wanted(group, held, now_ms=now_ms, refusals_max=bounds.refusals_max)
    closing = _reason_to_close(group, held, wants, now_ms, modes, bounds)
    return closing or _protect(group, held, wants, now_ms, bounds)


def exit_reason(group: Group) -> ExitReason:
    """Why a trade that holds nothing any more was closed."""
    trade = group.trade
    if trade.close_reason is not None and any(one.filled for one in group.of("exit")):
        return trade.close_reason
    roles = {one.order_id: one.role for one in group.intents}
    closed = [fill for fill in group.fills if fill.side == group.closing_side]
    last = max(closed, key=lambda fill: fill.trade_id, default=None)  # what ended it, not what took a part before
    ended_by = None if last is None else _BY_ROLE.get(roles.get(last.order_id, "entry"))
    if ended_by is not None:
        return ended_by
    for fill in group.foreign_fills:
        for start, reason in EXCHANGES_OWN.items():
            if fill.side == group.closing_side and (fill.client_id or "").startswith(start):
                return reason
    return "external"


def stored_with_entry(intent: Intent) -> bool:
    """The stop and the emergency exit that the entry's own transaction stored: the ledger is not needed for them."""
    return intent.role in ("stop", "exit") and intent.attempt == 0


def _without_ledger(move: Move, group: Group, bounds: Bounds) -> Move:
    """What may be done of a move while nothing can be stored: look, decide to get out, send what is stored already."""
    if isinstance(move, Send) and stored_with_entry(group.intent(move.client_id)):
        return move
    return move if isinstance(move, Look | BeginClose) else Look(bounds.look_ms)


def _enter(group: Group, entry: Intent, now_ms: int, modes: Modes) -> Move:
    trade = group.trade
    if trade.close_reason is not None:
        return Abandon(f"closed before it was entered: {trade.close_reason}")
    if now_ms > trade.expires_ms:
        return Abandon(f"expired {now_ms - trade.expires_ms} ms ago")
    blocked = modes.blocking(trade.symbol)
    return Send(entry.client_id, entry.quantity) if blocked is None else Abandon(blocked)


def _reason_to_close(
    group: Group, held: Decimal, wants: Wants, now_ms: int, modes: Modes, bounds: Bounds
) -> BeginClose | None:
    trade = group.trade
    refusals = refused_stops(group, held)
    if modes.flattening(trade.symbol):
        return BeginClose("flatten")
    unsecured = secured(group, held) is None
    if WOULD_TRIGGER in refusals and unsecured:
        return BeginClose("stop_loss")
    if len(refusals) >= bounds.refusals_max and unsecured:
        return BeginClose("unprotected", halt=f"the exchange refused {len(refusals)} stops, last code {refusals[-1]}")
    # after a crash the fill may be old when it is seen: the stop is tried before anything is given up
    since = trade.naked_since_ms if any(one.state != "PLANNED" for one in group.of("stop")) else None
    if since is not None and now_ms - since > bounds.naked_ms:
        return BeginClose("unprotected", halt=f"no verified stop for {now_ms - since} ms")
    if any(one.role == "target" and one.at_market and one.quantity == held for one in wants):
        return BeginClose("take_profit")  # the price was beyond the last target before it could rest
    if trade.opened_ms is not None and now_ms >= trade.opened_ms + trade.hold_ms:
        return BeginClose("time_barrier")
    return None


def _protect(group: Group, held: Decimal, wants: Wants, now_ms: int, bounds: Bounds) -> Move:
    """A verified stop of the right size, then the rest of what is wanted, then away with what is left over.

    A successor was seen in the open list before its predecessor is cancelled: the way there is never without a stop.
    """
    kept: set[str] = set()
    for want in wants:
        resting = secured(group, held) if want.role == "stop" else _resting(group, want)
        if resting is None or not fits(resting, want, group.trade):
            return _secure(group, want, now_ms, bounds)
        kept.add(resting.client_id)
    others = (one for one in group.intents if one.role != "stop" and one.client_id not in kept)
    for other in (*superseded(group, held), *others):
        if other.conditional and other.state in ("ACCEPTED", "OPEN"):
            return Cancel(other.client_id)
    if group.trade.stage != "PROTECTED":
        return MarkProtected()
    filling = any(one.live and not one.conditional for one in group.of("target"))
    return Look(bounds.look_ms if filling else _poll_ms(group, now_ms, bounds))


def _secure(group: Group, want: Wanted, now_ms: int, bounds: Bounds) -> Move:
    """Bring what is wanted into the list of open orders.

    A request whose outcome is unknown, and that a first question did not find, is not waited for: another attempt
    with another id follows at once, because a second reducing order can do no harm and a naked position can. (An
    order at the market is another matter: while its outcome is unknown, none is wanted.)
    """
    attempts = [one for one in group.of(want.role) if fits(one, want, group.trade)]
    for one in attempts:
        if one.state == "PLANNED":
            return Send(one.client_id, want.quantity)
    if any(one.quantity == want.quantity and _promising(one) for one in attempts):
        return Look(bounds.look_ms)
    if attempts and _held_off(attempts[-1], now_ms):
        return Look(bounds.look_ms)
    if sum(one.state == "SENT" for one in attempts) >= bounds.unresolved_max:
        return Look(bounds.look_ms)
    return Plan(want.role, wanted=want)


def _close(group: Group, held: Decimal, now_ms: int, bounds: Bounds) -> Move:
    """Reduce at the market until nothing is held. The stop stays where it is until then."""
    exits = group.of("exit")
    live = [one for one in exits if one.live]
    if any(one.not_found == 0 for one in live) or len(live) >= bounds.unresolved_max:
        return Look(bounds.look_ms)
    for one in exits:
        if one.state == "PLANNED":
            return Send(one.client_id, _takeable(held, exits))
    refused = sum(one.state == "REJECTED" for one in exits)
    if refused and exits[-1].state == "REJECTED":
        pause_ms = min(REFUSED_PAUSE_MAX_MS, REFUSED_PAUSE_MS * 2 ** min(refused, 10))
        if now_ms - exits[-1].updated_ms < pause_ms:
            return Look(bounds.look_ms)
        return Plan("exit", look_first=exits[-1].refused)
    return Plan("exit")


def _takeable(held: Decimal, exits: Iterable[Intent]) -> Decimal:
    """All that is held, or half of the smallest order that the exchange found too large: what somebody else opened or
    added to may be more than it takes in one. In whole units of the last digit of what is held, if possible."""
    refused = [one.quantity for one in exits if one.refusal == TOO_LARGE]
    if not refused:
        return held
    exponent = held.normalize().as_tuple().exponent
    unit = Decimal(1).scaleb(min(0, int(exponent)))
    half = min(refused) / 2
    return min(held, half.quantize(unit, rounding=ROUND_FLOOR) or half)


def _wind_up(group: Group, bounds: Bounds) -> Move:
    """Nothing is held: cancel what is left, resolve what is unknown, wait for the fills, finish."""
    for one in group.intents:
        if one.conditional and one.state in ("ACCEPTED", "OPEN"):
            return Cancel(one.client_id)
    if any(one.live for one in group.intents) or not group.fills_complete:
        return Look(bounds.look_ms)
    reason = exit_reason(group)
    unnamed = tuple(sorted({fill.order_id for fill in group.foreign_fills if fill.client_id is None}))
    return Name(unnamed) if reason == "external" and unnamed else Finish(reason)


def _poll_ms(group: Group, now_ms: int, bounds: Bounds) -> int:
    """Closer looks as the time barrier comes near, and where an order was not found a moment ago.

    The fraction allows for exchange time that runs fast.
    """
    trade = group.trade
    if any(one.live and one.not_found for one in group.intents):
        return min(bounds.poll_ms, bounds.look_ms)
    left_ms = bounds.poll_ms if trade.opened_ms is None else trade.opened_ms + trade.hold_ms - now_ms
    return max(MIN_POLL_MS, min(bounds.poll_ms, VERIFY_MS, left_ms // BARRIER_STEPS))


def _resting(group: Group, want: Wanted) -> Intent | None:
    attempts = (one for one in group.of(want.role) if one.state == "OPEN" and one.quantity == want.quantity)
    return next((one for one in attempts if fits(one, want, group.trade)), None)


def _held_off(one: Intent, now_ms: int) -> bool:
    """Whether the last attempt met a rate limit a moment ago."""
    return one.state == "REJECTED" and not one.refused and now_ms - one.updated_ms < REFUSED_PAUSE_MAX_MS // 5


def _promising(one: Intent) -> bool:
    return one.state == "ACCEPTED" or (one.state == "SENT" and one.not_found == 0)
