"""Who gets what: the visible book, what an order takes of it, and how resting orders share what comes by.

Only the best level is known from the market. Below it the book is made: LEVELS levels, one tick apart, the
k-th holding `level_quantity * (1 + k / 10)`; `level_quantity` is about 25,000 of quote currency. What one order
takes is there again for the next: nobody else's orders are moved by ours. There is no queue: a resting order is
filled by trades at its price or beyond, and by a book that has come to it, up to the quantity that is seen.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Final, NamedTuple

from phoenix95.common.money import ZERO, floor_to
from phoenix95.paper.core.orders import Order
from phoenix95.paper.core.position import Side
from phoenix95.paper.core.specs import Spec

LEVELS: Final = 100


class Level(NamedTuple):
    """A quantity at a price: of a book, or of one fill."""

    price: Decimal
    quantity: Decimal


def ladder(best: Level, side: Side, spec: Spec) -> Iterator[Level]:
    """What an order of this side meets, the best first: asks going up for a buyer, bids going down for a seller."""
    if best.quantity > 0:
        yield best
    away = spec.tick if side == "BUY" else -spec.tick
    base = spec.level_quantity
    for k in range(1, LEVELS):
        price = best.price + k * away
        if price <= 0:
            return
        yield Level(price, floor_to(base * (10 + k) / 10, spec.step))


def take(levels: Iterable[Level], side: Side, quantity: Decimal, limit: Decimal | None) -> list[Level]:
    """What an order gets at once, level by level; `limit` None takes any price."""
    got: list[Level] = []
    left = quantity
    for level in levels:
        if left <= 0 or (limit is not None and (level.price > limit if side == "BUY" else level.price < limit)):
            break
        part = min(left, level.quantity)
        got.append(Level(level.price, part))
        left -= part
    return got


def total(fills: Iterable[Level]) -> Decimal:
    """The quantity of all together."""
    return sum((fill.quantity for fill in fills), ZERO)


def by_priority(orders: Iterable[Order]) -> list[Order]:
    """The best price first, then the oldest."""
    return sorted(orders, key=lambda o: (-Decimal(o.price) if o.side == "BUY" else Decimal(o.price), o.order_id))


def shared(orders: Sequence[Order], quantity: Decimal, ms: int) -> list[tuple[Order, Decimal]]:
    """A quantity that came by, handed out in priority.

    Orders that changed at this moment or later have had their turn: after a crash a stretch of the market is
    seen twice.
    """
    given: list[tuple[Order, Decimal]] = []
    for order in by_priority(order for order in orders if order.update_time < ms):
        part = min(order.rest, quantity)
        if part <= 0:
            break
        given.append((order, part))
        quantity -= part
    return given


def met_by_trade(order: Order, price: Decimal, *, buyer_is_maker: bool) -> bool:
    """Whether a public trade fills a resting order: at its price only when it came from the other side."""
    if not order.reached_by(price):
        return False
    return price != Decimal(order.price) or buyer_is_maker == (order.side == "BUY")


def depth_of(best: Level | None, side: Side, spec: Spec, limit: int) -> list[list[str]]:
    """One side of `GET /fapi/v1/depth`: what an order of this side would meet."""
    if best is None:
        return []
    digits, places = spec.price_digits, spec.quantity_digits
    levels = islice(ladder(best, side, spec), limit)
    return [[f"{level.price:.{digits}f}", f"{level.quantity:.{places}f}"] for level in levels]
