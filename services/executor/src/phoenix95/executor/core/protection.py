"""Which protective orders should rest now: the one question about stops, targets and trailing stops.

The plan brings the exchange there one step at a time, new before old. All of it reduces only, and by quantity, so
that an order and its successor may rest side by side. The answer depends on what is stored alone: a restart gives
the same one.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

import msgspec

from phoenix95.common.money import ZERO
from phoenix95.executor.core.group import Group, Trade
from phoenix95.executor.core.intents import Intent, PositionSide, Role
from phoenix95.executor.core.options import Target, no_worse, split

WOULD_TRIGGER: Final = -2021  # the price is already beyond the trigger
TAKER_FEE: Final = Decimal("0.0005")
FAILURES_MAX: Final = 5  # of one target or trailing stop, and of moves of a stop
MOVE_PAUSE_MS: Final = 5_000  # after a stop could not be moved; doubled each time
_PERCENT: Final = 100


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An order that should rest. `slot` counts the targets, the nearest is 0.

    `trigger_price` is where a new attempt goes; None with a `callback_rate` (percent, a trailing stop), None without
    one is an order at the market. A stop that rests at `at_least` or better will do.
    """

    role: Role
    slot: int = 0
    quantity: Decimal
    trigger_price: Decimal | None = None
    callback_rate: Decimal | None = None
    at_least: Decimal | None = None

    @property
    def at_market(self) -> bool:
        return self.trigger_price is None and self.callback_rate is None


def wanted(group: Group, held: Decimal, *, now_ms: int, refusals_max: int) -> tuple[Wanted, ...]:
    """What should rest for `held` base units, the most urgent first: the stop, always, for all that is held."""

    def gave_up(attempts: Iterable[Intent]) -> bool:
        failures = [one for one in attempts if _failed(one) or one.state == "SENT"]
        return sum(one.refused for one in failures) >= refusals_max or len(failures) >= FAILURES_MAX

    found = [_stop(group, held, now_ms), *_targets(group, held, gave_up)]
    trailing, trails = group.trade.options.trailing, group.of("trail")
    if trailing is not None and not gave_up(trails) and not any(one.state == "PARTIAL" for one in trails):
        found.append(Wanted(role="trail", quantity=held, callback_rate=trailing * _PERCENT))
    return tuple(found)


def fits(one: Intent, want: Wanted, trade: Trade) -> bool:
    """Whether an attempt, whatever its quantity and state, is one of what is wanted."""
    if (one.role, one.slot) != (want.role, want.slot):
        return False
    if want.at_least is not None:
        return not better(want.at_least, _price(one), trade.position_side)
    return (one.trigger_price, one.callback_rate) == (want.trigger_price, want.callback_rate)


def secured(group: Group, held: Decimal) -> Intent | None:
    """The best stop that was seen in the open list and is for exactly what is held, wherever it lies."""
    return _best((one for one in group.of("stop") if one.state == "OPEN" and one.quantity == held), group.trade)


def superseded(group: Group, held: Decimal) -> tuple[Intent, ...]:
    """Stops that need not rest any more beside the best of the right size. One that lies better than that one stays,
    whatever its size, until there is one of the right size there."""
    resting = secured(group, held)
    if resting is None:
        return ()
    place = _price(resting)
    return tuple(one for one in group.of("stop") if one != resting and not _beyond(one, place, group.trade))


def resting_stop_price(group: Group) -> Decimal:
    """Where the best stop rests now; while none does, where the trade's first one belongs."""
    stop = _best((one for one in group.of("stop") if one.state == "OPEN"), group.trade)
    return group.trade.stop_price if stop is None else _price(stop)


def refused_stops(group: Group, held: Decimal) -> tuple[int | None, ...]:
    """Codes of the refusals that leave what is held without a stop. A stop that was only to be moved to a better
    price is not among them: the price where it was before is still free."""
    floor = _floor(group, held)
    return tuple(
        one.refusal
        for one in group.of("stop")
        if one.refused and one.quantity == held and not _beyond(one, floor, group.trade)
    )


def better(price: Decimal, than: Decimal, position_side: PositionSide) -> bool:
    """Whether a price is more in the position's favour."""
    return price > than if position_side == "LONG" else price < than


def _stop(group: Group, held: Decimal, now_ms: int) -> Wanted:
    """Never to the worse side. Where a stop of the right size rests, a better place is a wish; else any is urgent."""
    floor = _floor(group, held)
    moved = _moved(group, held)
    if moved is None or not better(moved, floor, group.trade.position_side) or _move_waits(group, floor, now_ms):
        return Wanted(role="stop", quantity=held, trigger_price=floor, at_least=floor)
    at_least = floor if secured(group, held) is None else moved
    return Wanted(role="stop", quantity=held, trigger_price=moved, at_least=at_least)


def _floor(group: Group, held: Decimal) -> Decimal:
    """The place that a stop may not be worse than: of the one that rests for exactly what is held; without one, of
    the best that ever rested (a stop of another size, or one that vanished)."""
    resting = secured(group, held)
    if resting is not None:
        return _price(resting)
    trade = group.trade
    return _choose(trade, (trade.stop_price, *_rested(group)))


def _rested(group: Group) -> list[Decimal]:
    """Where stops of this trade were accepted at any time."""
    stops = (one for one in group.of("stop") if one.venue_id is not None and one.state != "REJECTED")
    return [_price(one) for one in stops]


def _moved(group: Group, held: Decimal) -> Decimal | None:
    """Where the best price seen so far would have the stop, or where one has been; None: nowhere yet."""
    trade = group.trade
    entry, best, options = group.entry.average_price, trade.best_price, trade.options
    sign = 1 if trade.position_side == "LONG" else -1
    places = _rested(group)
    if options.breakeven_r is not None and entry is not None and best is not None:
        risk = entry - trade.stop_price
        reached = entry + options.breakeven_r * risk
        if risk * sign > 0 and not better(reached, best, trade.position_side):
            places.append(no_worse(entry * (1 + sign * 2 * TAKER_FEE), options.price_tick, trade.position_side))
    if options.trailing is not None and best is not None and _trail_begins_again(group, held):
        places.append(no_worse(best * (1 - sign * options.trailing), options.price_tick, trade.position_side))
    return _choose(trade, places) if places else None


def _trail_begins_again(group: Group, held: Decimal) -> bool:
    """A trailing stop that is replaced forgets how far the last one had come: the plain stop keeps that for it."""
    trails = group.of("trail")
    there = any(one.quantity == held and one.state in ("SENT", "ACCEPTED", "OPEN") for one in trails)
    return not there and any(one.venue_id is not None for one in trails)


def _move_waits(group: Group, floor: Decimal, now_ms: int) -> bool:
    """A stop that could not be moved is tried again later, and not without end; where it was, it still rests."""
    failures = [one.updated_ms for one in group.of("stop") if _failed(one) and _beyond(one, floor, group.trade)]
    if not failures:
        return False
    pause_ms = MOVE_PAUSE_MS * 2 ** (len(failures) - 1)
    return len(failures) >= FAILURES_MAX or now_ms - max(failures) < pause_ms


def _targets(group: Group, held: Decimal, gave_up: Callable[[list[Intent]], bool]) -> list[Wanted]:
    """Each target for its share of what was entered, less what it has taken; the last one takes what then remains.

    One that the price had already passed is taken at the market. A triggered one that is still being filled is left
    alone, and what it may yet take is nobody else's.
    """
    trade, attempts = group.trade, group.of("target")
    targets = _aims(trade)
    entered = group.entry.filled or group.entry.quantity
    parts = split(entered, (target.share for target in targets), trade.options)
    whole = sum((target.share for target in targets), ZERO) == 1
    left = held - sum((one.quantity - one.filled for one in attempts if _filling(one)), ZERO)
    tried = [[one for one in attempts if one.slot == slot] for slot in range(len(targets))]
    slots = [slot for slot, ones in enumerate(tried) if not gave_up(ones)]
    found: list[Wanted] = []
    for slot in slots:
        if any(_filling(one) for one in tried[slot]):
            continue
        due = parts[slot] - sum((one.filled for one in tried[slot]), ZERO)
        quantity = left if whole and slot == slots[-1] else min(due, left)
        if quantity <= 0:
            continue
        left -= quantity
        passed = any(one.refusal == WOULD_TRIGGER for one in tried[slot])
        price = None if passed else targets[slot].price
        found.append(Wanted(role="target", slot=slot, quantity=quantity, trigger_price=price))
    return found


def _aims(trade: Trade) -> tuple[Target, ...]:
    if trade.options.targets:
        return trade.options.targets
    return () if trade.target_price is None else (Target(Decimal(1), trade.target_price),)


def _failed(one: Intent) -> bool:
    return one.refused or one.state in ("ABSENT", "EXPIRED")


def _filling(one: Intent) -> bool:
    """Its market order is at work, or may be."""
    return one.state == "PARTIAL" or (one.live and not one.conditional)


def _beyond(one: Intent, floor: Decimal, trade: Trade) -> bool:
    return better(_price(one), floor, trade.position_side)


def _best(stops: Iterable[Intent], trade: Trade) -> Intent | None:
    choose = max if trade.position_side == "LONG" else min
    return choose(stops, key=_price, default=None)


def _choose(trade: Trade, places: Iterable[Decimal]) -> Decimal:
    return max(places) if trade.position_side == "LONG" else min(places)


def _price(stop: Intent) -> Decimal:
    return ZERO if stop.trigger_price is None else stop.trigger_price
