"""Asking the exchange about what is not finished, and storing its answers."""

import msgspec

from phoenix95.executor.core.group import Fill, Group, with_intent
from phoenix95.executor.core.intents import Intent
from phoenix95.executor.core.observe import not_found, seen_conditional, seen_order
from phoenix95.executor.ports import Ports


async def look(ports: Ports, group: Group, *, sync: bool = False) -> Group:
    """Bring a group up to date with the exchange and return it as it is stored now.

    Open conditional orders are looked up in the list (only being there counts as protection), what is missing there
    and every other live order by its client id. Fills are fetched when some are known to be missing, or on `sync`.
    """
    asked = group
    live = [intent for intent in group.intents if intent.live]
    listed = {}
    if any(intent.conditional for intent in live):
        listed = {report.client_id: report for report in await ports.venue.open_conditionals(group.trade.symbol)}
    for intent in live:
        now_ms = ports.clock.now_ms()
        if intent.conditional and intent.client_id in listed:
            answer = seen_conditional(intent, listed[intent.client_id], now_ms, listed=True)
        else:
            answer = await ask(ports, intent)
        if answer != intent:
            asked = with_intent(asked, answer, now_ms)
    if asked != group:
        await ports.ledger.record(group, asked)
    if sync or not asked.fills_complete:
        return await sync_fills(ports, asked)
    return asked


async def ask(ports: Ports, intent: Intent) -> Intent:
    """One question by client id. A failed question raises and changes nothing: an error is not an answer."""
    if intent.conditional:
        conditional = await ports.venue.conditional(intent.symbol, intent.client_id)
        now_ms = ports.clock.now_ms()
        if conditional is not None:
            return seen_conditional(intent, conditional, now_ms, listed=False)
    else:
        order = await ports.venue.order(intent.symbol, intent.client_id)
        now_ms = ports.clock.now_ms()
        if order is not None:
            return seen_order(intent, order, now_ms)
    return not_found(intent, now_ms, ports.bounds.margin_ms)


async def sync_fills(ports: Ports, group: Group) -> Group:
    """Fetch the trades that the ledger does not have yet and store them under this group.

    A fill of an order that we do not know may be of a conditional order that triggered a moment ago: those are
    asked about first, so that our own fill is not taken for a stranger's.
    """
    trade = group.trade
    # our clock may be ahead of the exchange's by a little: a fill must not seem older than its own order
    since_ms = min(intent.signed_ms for intent in group.intents if intent.signed_ms is not None) - ports.recv_window_ms
    after_id = await ports.ledger.last_trade_id(trade.symbol)
    found = await ports.venue.fills(trade.symbol, since_ms=since_ms, after_id=after_id)
    new = [_of_trade(fill, group) for fill in found if _belongs(fill, group, since_ms)]
    ours = {intent.order_id for intent in group.intents}
    asked = group
    if any(fill.order_id not in ours for fill in new):
        for intent in group.intents:
            if intent.live and intent.conditional:
                answer = await ask(ports, intent)
                if answer != intent:
                    asked = with_intent(asked, answer, ports.clock.now_ms())
        if asked != group:
            await ports.ledger.record(group, asked)
    if new:
        await ports.ledger.save_fills(trade.analysis_id, new)
    return await ports.ledger.group(trade.analysis_id) if new or asked != group else group


def _belongs(fill: Fill, group: Group, since_ms: int) -> bool:
    return fill.position_side in (group.trade.position_side, "BOTH") and fill.time_ms >= since_ms


def _of_trade(fill: Fill, group: Group) -> Fill:
    """In one-way mode a symbol has one position and one trade: what happened there happened to it."""
    return msgspec.structs.replace(fill, position_side=group.trade.position_side)
