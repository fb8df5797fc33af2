"""The last resort for a trade whose moves fail for a reason that nobody foresaw."""

from decimal import Decimal

from phoenix95.common.errors import OutcomeUnknown, TransientError, VenueRejected
from phoenix95.common.money import ZERO
from phoenix95.executor.core.decide import attempt
from phoenix95.executor.core.group import Group
from phoenix95.executor.core.intents import Intent, Role, move
from phoenix95.executor.ports import Ports


async def rescue(ports: Ports, analysis_id: str) -> None:
    """See that the exchange itself lists a stop for all that it says is held; one that it refuses becomes an exit.

    It goes by the exchange's word alone and only reduces. What it sent is signed in the ledger like everything else,
    and the answer is found later by asking.
    """
    group = await ports.ledger.group(analysis_id)
    trade = group.trade
    if group.entry.signed_ms is None or trade.stage in ("CLOSED", "FAILED"):
        return
    held = sum(
        (
            one.size
            for one in await ports.venue.positions()
            if (one.symbol, one.position_side) == (trade.symbol, trade.position_side)
        ),
        ZERO,
    )
    stops = {stop.client_id for stop in group.of("stop")}
    listed = [one for one in await ports.venue.open_conditionals(trade.symbol) if one.client_id in stops]
    if held == 0 or sum((one.quantity for one in listed), ZERO) >= held:
        return
    try:
        await ports.venue.place_conditional(await _signed(ports, group, "stop", held))
    except VenueRejected:
        await ports.venue.place(await _signed(ports, group, "exit", held))
    except (OutcomeUnknown, TransientError):
        return  # it is asked for later; the next rescue sees whether it is there


async def _signed(ports: Ports, group: Group, role: Role, held: Decimal) -> Intent:
    attempts = group.of(role)
    intent = next((one for one in attempts if one.state == "PLANNED"), None)
    now_ms = ports.clock.now_ms()
    if intent is None:
        intent = attempt(group, role, number=len(attempts), account=ports.account, now_ms=now_ms, quantity=held)
        await ports.ledger.plan(intent)
    sent = move(
        intent, "SENT", quantity=held, signed_ms=now_ms, deadline_ms=now_ms + ports.recv_window_ms, updated_ms=now_ms
    )
    await ports.ledger.sign(sent, entry=False)
    return sent
