"""Exchange truth against the ledger: positions, leftover orders, and the account's own figures."""

from decimal import Decimal
from typing import Final

import msgspec

from phoenix95.common.money import ZERO, plain
from phoenix95.executor.core.book import exposures
from phoenix95.executor.core.group import Group
from phoenix95.executor.core.intents import TERMINAL
from phoenix95.executor.core.pnl import unrealized
from phoenix95.executor.desk import Desk
from phoenix95.executor.ledger.reports import store_portfolio
from phoenix95.executor.ledger.store import PostgresLedger
from phoenix95.executor.ledger.writing import Writer
from phoenix95.executor.ports import Ports, VenueAccount, VenuePosition

OUR_PREFIXES: Final = ("p95s", "p95t", "p95r")
DIFFERENT_LOOKS: Final = 3  # the same difference in so many looks is none that looking resolves
Place = tuple[str, str]
Difference = tuple[str, Decimal, Decimal]  # trade, size on the exchange, size in the ledger


class Suspects(msgspec.Struct, frozen=True):
    """What one look could not explain. Only what two looks in a row cannot explain is acted on: between two answers
    of the exchange a trade may have begun or ended."""

    positions: frozenset[Place] = frozenset()
    orders: frozenset[str] = frozenset()
    differences: dict[Difference, int] = {}
    told: frozenset[Place] = frozenset()


async def sweep(
    ports: Ports, ledger: PostgresLedger, writer: Writer, desk: Desk, last: Suspects | None
) -> tuple[Suspects, VenueAccount]:
    """One reconciliation. Raises TransientError when the exchange or the ledger cannot be asked.

    `last` is None for the first one of a start, before any entry is allowed: what it finds is acted on at once.
    """
    before = await ledger.active_groups()
    positions = {(one.symbol, one.position_side): one for one in await ports.venue.positions()}
    open_orders = await ports.venue.open_conditionals(None)
    account = await ports.venue.account()
    groups = await ledger.active_groups()
    now_ms = ports.clock.now_ms()
    differences: dict[Difference, int] = {}
    for group in groups:
        # one that nobody drives: its decision was stored, but the reply of the commit was lost
        desk.start(group.trade.analysis_id, group.trade.symbol)
        position = positions.get((group.trade.symbol, group.trade.position_side))
        found = await _compare(ledger, desk, group, position, now_ms)
        if found is not None:
            differences[found] = 1 + (0 if last is None else last.differences.get(found, 0))
            if differences[found] == DIFFERENT_LOOKS:
                text = f"{group.trade.symbol}: the exchange holds {plain(found[1])}, the ledger {plain(found[2])}"
                await ledger.tighten("REDUCE_ONLY", "ledger_mismatch", text, None)
    explained: set[Place] = {(one.trade.symbol, one.trade.position_side) for one in (*before, *groups)}
    foreign = frozenset(place for place in positions if place not in explained)
    told = frozenset() if last is None else last.told & foreign
    certain = foreign if last is None else foreign & last.positions
    for symbol, side in certain - told:
        text = f"{symbol} {side.lower()}: a position that this system did not open"
        await ledger.tighten("REDUCE_ONLY", "foreign_position", text, None)
        told |= {(symbol, side)}
    wanted = {one.client_id for group in (*before, *groups) for one in group.intents if one.state not in TERMINAL}
    leftover = {
        order.client_id: order.symbol
        for order in open_orders
        if order.client_id.startswith(OUR_PREFIXES) and order.client_id not in wanted
    }
    for client_id in () if last is None else last.orders & leftover.keys():
        await ports.venue.cancel_conditional(leftover[client_id], client_id)
    await store_portfolio(writer, account, exposures(groups), now_ms)
    suspects = Suspects(positions=foreign, orders=frozenset(leftover), differences=differences, told=told)
    return suspects, account


async def _compare(
    ledger: PostgresLedger, desk: Desk, group: Group, position: VenuePosition | None, now_ms: int
) -> Difference | None:
    """Keep the position's figures, or tell how exchange and ledger differ where no answer is under way."""
    if group.entry.filled == 0:
        return None
    size = ZERO if position is None else position.size
    if size != group.held:
        desk.resync(group.trade.analysis_id)
        waiting = any(one.live and one.state != "OPEN" for one in group.intents)
        return None if waiting else (group.trade.analysis_id, size, group.held)
    if position is not None:
        result = unrealized(position.size, position.entry_price, position.mark_price, position.position_side)
        await ledger.mark(group.trade.analysis_id, position.mark_price, result, now_ms)
    return None
