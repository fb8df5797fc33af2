"""What a trade may have beyond its stop and target: chosen by the settings, fixed in the trade when it is decided."""

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import pairwise
from typing import Final

import msgspec

from phoenix95.common.money import ZERO, exact, floor_to, round_to
from phoenix95.executor.core.intents import PositionSide
from phoenix95.executor.core.sizing import Rules

CALLBACK_MIN: Final = Decimal("0.001")  # shares of price: what the exchange takes as 0.1 and 20 percent
CALLBACK_MAX: Final = Decimal("0.2")
CALLBACK_STEP: Final = Decimal("0.001")
TARGETS_MAX: Final = 8


class Wish(msgspec.Struct, frozen=True):
    """Take `share` of the position at `multiple` times the initial risk (entry to stop) in our favour."""

    share: Decimal
    multiple: Decimal


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What new trades are to have; all off by default.

    `trailing` is the distance of a trailing stop as a share of price. Once the price has gone `breakeven_r` times
    the initial risk in our favour, the stop moves to the entry. `targets`, nearest first, replace the analysis's one.
    """

    trailing: Decimal | None = None
    breakeven_r: Decimal | None = None
    targets: tuple[Wish, ...] = ()


class Target(msgspec.Struct, frozen=True):
    """Take `share` of what was entered at `price`."""

    share: Decimal
    price: Decimal


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trade's own options, with the exchange's steps as they were. A step of 0 is not needed and not known."""

    trailing: Decimal | None = None
    breakeven_r: Decimal | None = None
    targets: tuple[Target, ...] = ()
    price_tick: Decimal = ZERO
    quantity_step: Decimal = ZERO
    quantity_min: Decimal = ZERO


def options_of(wishes: Wishes, *, price: Decimal, stop_price: Decimal, rules: Rules | None) -> Options:
    """The wishes in this trade's own prices. Targets that would lie at or under 0 (a far short) are left out."""
    if wishes == Wishes() or rules is None:
        return Options()
    tick = rules.price_tick
    targets = (
        Target(wish.share, round_to(price + wish.multiple * (price - stop_price), tick)) for wish in wishes.targets
    )
    return Options(
        trailing=wishes.trailing,
        breakeven_r=wishes.breakeven_r,
        targets=tuple(target for target in targets if target.price > 0),
        price_tick=tick,
        quantity_step=rules.quantity_step,
        quantity_min=rules.quantity_min,
    )


def parse_wishes(*, trailing: float, breakeven_r: float, targets: Iterable[str]) -> Wishes:
    """Read the settings; 0 and nothing are off. Raises ValueError, naming what is wrong."""
    distance = exact(str(trailing))
    if distance and not (CALLBACK_MIN <= distance <= CALLBACK_MAX and distance % CALLBACK_STEP == 0):
        raise ValueError("the trailing distance must be a multiple of 0.001 from 0.001 to 0.2, as a share of price")
    wishes = tuple(_wish(text) for text in targets)
    if len(wishes) > TARGETS_MAX:
        raise ValueError(f"{len(wishes)} targets are more than {TARGETS_MAX}")
    if sum((wish.share for wish in wishes), ZERO) > 1:
        raise ValueError("the shares of the targets are more than the whole")
    if any(near.multiple >= far.multiple for near, far in pairwise(wishes)):
        raise ValueError("the targets must be in the order of their distance, each farther than the last")
    return Wishes(trailing=distance or None, breakeven_r=exact(str(breakeven_r)) or None, targets=wishes)


def _wish(text: str) -> Wish:
    share, _, multiple = text.partition("@")
    wish = Wish(exact(share.strip()), exact(multiple.strip()))
    if not 0 < wish.share <= 1 or wish.multiple <= 0:
        raise ValueError(f"{text!r}: a target is a share up to 1 at a multiple above 0, such as 0.5@1")
    return wish


def split(total: Decimal, shares: Iterable[Decimal], options: Options) -> tuple[Decimal, ...]:
    """`total` in parts that the exchange takes: in whole steps, what is too small goes along with the next one.

    When the shares are the whole, nothing remains: the last part that is large enough takes the rest.
    """
    wanted = tuple(shares)
    if wanted == (Decimal(1),):
        return (total,)
    parts: list[Decimal] = []
    carried = ZERO
    for share in wanted:
        exact_part = total * share + carried
        part = floor_to(exact_part, options.quantity_step) if options.quantity_step else exact_part
        if part < options.quantity_min:
            part = ZERO
        parts.append(part)
        carried = exact_part - part
    if wanted and sum(wanted, ZERO) == 1:
        largest = max((index for index, part in enumerate(parts) if part), default=len(parts) - 1)
        parts[largest] += total - sum(parts, ZERO)
    return tuple(parts)


def no_worse(price: Decimal, tick: Decimal, position_side: PositionSide) -> Decimal:
    """A stop's price on the tick, rounded to the side that loses less. A tick of 0 leaves it as it is."""
    if not tick:
        return price
    rounding = ROUND_CEILING if position_side == "LONG" else ROUND_FLOOR
    return (price / tick).to_integral_value(rounding=rounding) * tick
