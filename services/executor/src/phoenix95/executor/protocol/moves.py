"""One move of one trade. `advance` loads what is stored, asks the plan, and carries the answer out."""

from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from phoenix95.common.errors import OutcomeUnknown, RateLimited, TransientError, VenueRejected
from phoenix95.executor.core.candidate import Modes
from phoenix95.executor.core.decide import attempt
from phoenix95.executor.core.group import Group, with_intent
from phoenix95.executor.core.intents import LIMITED, Intent, move
from phoenix95.executor.core.observe import seen_conditional, seen_order
from phoenix95.executor.core.plan import (
    Abandon,
    BeginClose,
    Cancel,
    Fail,
    Finish,
    Look,
    MarkProtected,
    Name,
    Plan,
    Send,
    next_move,
    stored_with_entry,
)  # fmt: skip
from phoenix95.executor.core.pnl import until_flat
from phoenix95.executor.ports import Ports
from phoenix95.executor.protocol.looking import adopt, ask, look, name_orders


class Pause(NamedTuple):
    """How long to wait before the next move, in real ms. `done`: the trade is over."""

    ms: int
    done: bool = False
    resting: bool = False


_UNASKED: Final = Modes()
AT_ONCE = Pause(0)
DONE = Pause(0, done=True)


async def advance(ports: Ports, analysis_id: str, *, sync: bool = False, taken_over: bool = False) -> Pause:
    """Make the next move of a trade. Safe to repeat after any failure at any point.

    `sync`: fetch the fills too, because something outside of us may have changed the position. `taken_over`: another
    process may have driven this trade until now.
    """
    asked_ms = ports.clock.now_ms()
    group = await ports.ledger.group(analysis_id)
    if group.trade.stage in ("CLOSED", "FAILED"):
        return DONE
    if taken_over:
        group = await adopt(ports, group)
    if sync and group.entry.signed_ms is not None:
        group = await look(ports, group, sync=True)
    # an entry that is not signed yet is checked against the modes by the transaction that signs it
    modes = _UNASKED if group.entry.state == "PLANNED" else await ports.ledger.modes()
    chosen = next_move(group, now_ms=ports.clock.now_ms(), modes=modes, bounds=ports.bounds)
    if group.held < 0 and not isinstance(chosen, Look) and await _is_there(ports, group):
        chosen = Look(ports.bounds.look_ms)  # turned over by a list that does not have everything yet
    if isinstance(chosen, Send) and ports.clock.now_ms() > asked_ms + ports.recv_window_ms:
        return AT_ONCE  # we were stopped meanwhile: another executor may have sent it and closed the trade since
    match chosen:
        case Send(client_id, quantity):
            return await _send(ports, group, group.intent(client_id), quantity)
        case Look(pause_ms):
            after = await look(ports, group)
            resting = group.trade.stage == "PROTECTED" and group.trade.close_reason is None
            return AT_ONCE if _progressed(group, after) else Pause(pause_ms, resting=resting)
        case Plan():
            return await _plan(ports, group, chosen)
        case Cancel(client_id):
            return await _cancel(ports, group, group.intent(client_id))
        case Abandon(reason):
            return await _abandon(ports, group, reason)
        case Fail(reason):
            await ports.ledger.failed(analysis_id, reason, ports.clock.now_ms())
            return DONE
        case BeginClose(reason, halt):
            await ports.ledger.begin_close(analysis_id, reason, halt, ports.clock.now_ms())
        case MarkProtected():
            await ports.ledger.protected(analysis_id, ports.clock.now_ms())
        case Name(order_ids):
            await name_orders(ports, group, order_ids)
        case Finish(reason):
            fills = until_flat(group.fills, group.trade.position_side)
            await ports.ledger.finish(msgspec.structs.replace(group, fills=fills), reason, ports.clock.now_ms())
            return DONE
    return AT_ONCE


async def _is_there(ports: Ports, group: Group) -> bool:
    place = group.trade.symbol, group.trade.position_side
    return any((one.symbol, one.position_side) == place for one in await ports.venue.positions())


async def _send(ports: Ports, group: Group, intent: Intent, quantity: Decimal) -> Pause:
    """Sign, store, send. What comes back is stored; what does not come back is asked about later, never resent."""
    is_entry = intent.role == "entry"
    if is_entry:
        uncertainty = ports.clock.uncertainty_ms()
        if uncertainty is None or uncertainty > ports.uncertainty_max_ms:
            return await _abandon(ports, group, "exchange time is uncertain")
        try:
            await ports.venue.prepare(intent.symbol, group.trade.leverage)
        except VenueRejected as refusal:
            return await _abandon(ports, group, f"margin mode or leverage refused: {refusal}")
    held_back_ms = ports.venue.wait_ms(intent.role)
    if held_back_ms > 0:
        return Pause(held_back_ms)  # not signed yet: nothing is lost by waiting
    signed_ms = ports.clock.now_ms()
    if is_entry and signed_ms > group.trade.expires_ms:
        return AT_ONCE  # it grew too old meanwhile: the plan abandons it
    sent = move(
        intent, "SENT", quantity=quantity, signed_ms=signed_ms,
        deadline_ms=signed_ms + ports.recv_window_ms, updated_ms=signed_ms,
    )  # fmt: skip
    if not await ports.ledger.sign(sent, entry=is_entry):
        blocked = (await ports.ledger.modes()).blocking(intent.symbol)
        return AT_ONCE if blocked is None else await _abandon(ports, group, blocked)
    if ports.clock.now_ms() > signed_ms + ports.recv_window_ms:
        return AT_ONCE  # storing took so long that the exchange would refuse it; asking resolves it
    before = with_intent(group, sent, signed_ms)
    if is_entry:
        ports.observe("sent", signed_ms - intent.updated_ms)
    try:
        if sent.conditional:
            report = await ports.venue.place_conditional(sent)
            answered = seen_conditional(sent, report, ports.clock.now_ms(), listed=False)
        else:
            answered = seen_order(sent, await ports.venue.place(sent), ports.clock.now_ms())
    except VenueRejected as refusal:
        answered = move(sent, "REJECTED", refusal=refusal.code, reason=refusal.message, updated_ms=ports.clock.now_ms())
    except RateLimited as limited:
        if stored_with_entry(sent):
            return AT_ONCE  # another process may have sent it from memory: asking tells what the exchange has of it
        answered = move(sent, "REJECTED", refusal=LIMITED, reason=str(limited), updated_ms=ports.clock.now_ms())
    except (OutcomeUnknown, TransientError) as error:
        if ports.unknowns.add() >= ports.unknowns_max:
            text = f"{ports.unknowns_max} requests in a row without an answer to trust, last: {error}"
            await ports.ledger.tighten("HALT", "outcomes_unknown", text, None)
            ports.unknowns.end()
        return AT_ONCE
    ports.unknowns.end()
    ports.observe("acknowledged", ports.clock.now_ms() - signed_ms)
    await ports.ledger.record(before, with_intent(before, answered, ports.clock.now_ms()))
    if answered.state == "REJECTED" and answered.role == "exit" and answered.refused and answered.attempt > 0:
        text = f"the exchange refuses to close: {answered.refusal} {answered.reason}"
        await ports.ledger.alert("critical", "exit_refused", text, answered.symbol)
    return AT_ONCE


async def _plan(ports: Ports, group: Group, wish: Plan) -> Pause:
    if wish.look_first:
        after = await look(ports, group, sync=True)
        if after.held != group.held or _progressed(group, after):
            return AT_ONCE
    quantity = group.held if wish.wanted is None else wish.wanted.quantity
    number, now_ms = len(group.of(wish.role)), ports.clock.now_ms()
    await ports.ledger.plan(
        attempt(
            group, wish.role, number=number, account=ports.account, now_ms=now_ms, quantity=quantity,
            wanted=wish.wanted,
        )
    )  # fmt: skip
    return AT_ONCE


async def _cancel(ports: Ports, group: Group, intent: Intent) -> Pause:
    """Ask for the cancellation, then for what became of the order: it may have triggered first."""
    await ports.venue.cancel_conditional(intent.symbol, intent.client_id)
    answer = await ask(ports, intent)
    if answer == intent:
        return Pause(ports.bounds.look_ms)
    await ports.ledger.record(group, with_intent(group, answer, ports.clock.now_ms()))
    return AT_ONCE


async def _abandon(ports: Ports, group: Group, reason: str) -> Pause:
    now_ms = ports.clock.now_ms()
    expired = move(group.entry, "EXPIRED", reason=reason, updated_ms=now_ms)
    await ports.ledger.record(group, with_intent(group, expired, now_ms))
    return AT_ONCE


def _progressed(before: Group, after: Group) -> bool:
    """Whether looking changed anything that the plan acts on; a mere count of unanswered questions does not."""

    def facts(group: Group) -> object:
        return (group.trade, len(group.fills), {(one.client_id, one.state, one.filled) for one in group.intents})

    return facts(before) != facts(after)
