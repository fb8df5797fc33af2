"""Asking the exchange about what is not finished, and storing its answers."""

from collections.abc import Iterable

import msgspec

from phoenix95.common.money import ZERO
from phoenix95.executor.core.group import Fill, Group, with_fills, with_intent
from phoenix95.executor.core.intents import TERMINAL, Intent, move
from phoenix95.executor.core.observe import not_found, seen_conditional, seen_order, unlisted
from phoenix95.executor.core.plan import stored_with_entry
from phoenix95.executor.core.pnl import until_flat
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
            if intent.conditional and intent.state == "OPEN" and answer.state == "OPEN":
                answer = unlisted(intent, now_ms)
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


async def adopt(ports: Ports, group: Group) -> Group:
    """Ask for what is stored with the entry and not signed: an executor that died while its ledger was away may have
    sent it from memory. What the exchange does not know stays as it is."""
    if group.entry.signed_ms is None:
        return group
    asked = group
    for intent in group.intents:
        if intent.state == "PLANNED" and stored_with_entry(intent):
            now_ms = ports.clock.now_ms()
            sent = move(intent, "SENT", quantity=max(group.held, ZERO) or intent.quantity, updated_ms=now_ms)
            answer = await ask(ports, sent)
            if answer.state != "SENT":
                asked = with_intent(asked, answer, now_ms)
    if asked != group:
        await ports.ledger.record(group, asked)
    return asked


async def sync_fills(ports: Ports, group: Group) -> Group:
    """Fetch the trades that the ledger does not have yet and store them under this group.

    A fill of an order that we do not know may be of a conditional order that triggered a moment ago: those are
    asked about first, so that our own fill is not taken for a stranger's.
    """
    trade = group.trade
    # our clock may be ahead of the exchange's by a little: a fill must not seem older than its own order
    since_ms = min(intent.signed_ms for intent in group.intents if intent.signed_ms is not None) - ports.recv_window_ms
    found = await ports.venue.fills(trade.symbol, since_ms=since_ms, after_id=_all_known_to(group))
    known = {fill.trade_id for fill in group.fills}
    belonging = [fill for fill in found if _belongs(fill, group, since_ms)]
    end = _last_of(group, belonging)
    new = [
        _of_trade(fill, group)
        for fill in belonging
        if fill.trade_id not in known and (end is None or fill.trade_id <= end)
    ]
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
        # what belongs to an earlier trade of the symbol stays with it: only the ledger knows
        asked = await ports.ledger.group(trade.analysis_id)
    grown = with_fills(asked, (), ports.clock.now_ms())
    if grown != asked:
        await ports.ledger.record(asked, grown)
    return grown


async def name_orders(ports: Ports, group: Group, order_ids: tuple[str, ...]) -> None:
    """Find out whose orders these are, and store it with their fills. It may take its time: nothing is held."""
    named: list[Fill] = []
    for order_id in order_ids:
        order = await ports.venue.order_by_id(group.trade.symbol, order_id)
        client_id = "" if order is None else order.client_id
        named += [
            msgspec.structs.replace(fill, client_id=client_id) for fill in group.fills if fill.order_id == order_id
        ]
    await ports.ledger.save_fills(group.trade.analysis_id, named)


def _all_known_to(group: Group) -> int | None:
    """The trade id up to which there is nothing to fetch: the one before the entry's first. None: not known yet.

    The exchange may list a trade late and with a lower id than those we have: only what lies before a complete entry
    is certain not to be ours.
    """
    entry = group.entry
    if entry.state not in TERMINAL or entry.filled == 0 or not group.fills_complete_of(entry):
        return None
    first = min(fill.trade_id for fill in group.fills_of(entry))
    return first - 1 if first > 0 else None  # a negative one stands for what the exchange's list no longer has


def _belongs(fill: Fill, group: Group, since_ms: int) -> bool:
    return fill.position_side in (group.trade.position_side, "BOTH") and fill.time_ms >= since_ms


def _last_of(group: Group, found: Iterable[Fill]) -> int | None:
    """The trade id after which nothing is this trade's any more: in one-way mode a fill may turn its position over, and
    what that opened is followed as another trade's. None: hedge mode, or the entry's fills are not all known yet."""
    one_way = [fill for fill in found if fill.position_side == "BOTH"]
    entry = group.entry
    if not one_way or entry.state not in TERMINAL or entry.filled == 0 or not group.fills_complete_of(entry):
        return None
    first = min(fill.trade_id for fill in group.fills_of(entry))
    listed = {fill.trade_id: fill for fill in (*one_way, *group.fills) if fill.trade_id >= first}
    return max(fill.trade_id for fill in until_flat(listed.values(), group.trade.position_side))


def _of_trade(fill: Fill, group: Group) -> Fill:
    """In one-way mode a symbol has one position and one trade: what happened there happened to it."""
    return msgspec.structs.replace(fill, position_side=group.trade.position_side)
