"""Exchange truth against the ledger: positions, leftover orders, and the account's own figures."""

from typing import Final

import msgspec

from phoenix95.executor.core.book import exposures
from phoenix95.executor.core.group import Group
from phoenix95.executor.core.pnl import unrealized
from phoenix95.executor.desk import Desk
from phoenix95.executor.ledger.reports import store_portfolio
from phoenix95.executor.ledger.store import PostgresLedger
from phoenix95.executor.ledger.writing import Writer
from phoenix95.executor.ports import Ports, VenueAccount, VenuePosition

OUR_PREFIXES: Final = ("p95s", "p95t")
Place = tuple[str, str]


class Suspects(msgspec.Struct, frozen=True):
    """What one look could not explain. Only what two looks in a row cannot explain is acted on: between two answers
    of the exchange a trade may have begun or ended."""

    positions: frozenset[Place] = frozenset()
    orders: frozenset[str] = frozenset()
    told: frozenset[Place] = frozenset()


async def sweep(
    ports: Ports, ledger: PostgresLedger, writer: Writer, desk: Desk, last: Suspects
) -> tuple[Suspects, VenueAccount]:
    """One reconciliation. Raises TransientError when the exchange or the ledger cannot be asked."""
    before = await ledger.active_groups()
    positions = {(one.symbol, one.position_side): one for one in await ports.venue.positions()}
    open_orders = await ports.venue.open_conditionals(None)
    account = await ports.venue.account()
    groups = await ledger.active_groups()
    now_ms = ports.clock.now_ms()
    for group in groups:
        await _compare(ledger, desk, group, positions.get((group.trade.symbol, group.trade.position_side)), now_ms)
    explained: set[Place] = {(one.trade.symbol, one.trade.position_side) for one in (*before, *groups)}
    foreign = frozenset(place for place in positions if place not in explained)
    told = last.told & foreign
    for symbol, side in (foreign & last.positions) - told:
        text = f"{symbol} {side.lower()}: a position that this system did not open; no new entries until resumed"
        await ledger.restrict(text, symbol)
        told |= {(symbol, side)}
    busy = {symbol for symbol, _ in explained}
    leftover = {
        order.client_id: order.symbol
        for order in open_orders
        if order.client_id.startswith(OUR_PREFIXES) and order.symbol not in busy
    }
    for client_id in last.orders & leftover.keys():
        await ports.venue.cancel_conditional(leftover[client_id], client_id)
    await store_portfolio(writer, account, exposures(groups), now_ms)
    return Suspects(positions=foreign, orders=frozenset(leftover), told=told), account


async def _compare(
    ledger: PostgresLedger, desk: Desk, group: Group, position: VenuePosition | None, now_ms: int
) -> None:
    if group.entry.filled == 0:
        return
    size = 0 if position is None else position.size
    if size != group.held:
        desk.resync(group.trade.analysis_id)
    elif position is not None:
        result = unrealized(position.size, position.entry_price, position.mark_price, position.position_side)
        await ledger.mark(group.trade.analysis_id, position.mark_price, result, now_ms)
