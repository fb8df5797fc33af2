"""`flatten --direct`: close everything, with nothing but the exchange and its keys."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec

from phoenix95.common.errors import ConfigError, OutcomeUnknown, TransientError, VenueRejected
from phoenix95.common.timekeeper import ExchangeClock, exchange_clock
from phoenix95.executor.config import ExecutorSettings
from phoenix95.executor.core.flatten import Held, Resting, work
from phoenix95.executor.offline.table import table
from phoenix95.executor.offline.where import need_keys
from phoenix95.executor.venue.codes import CREDENTIALS
from phoenix95.executor.venue.direct import Direct, Listed
from phoenix95.executor.venue.exchange import Requests

ROUND_S: Final = 0.3
SURE_LOOKS: Final = 2  # flat in so many looks in a row: an order that was on its way shows in the second
ORDERS_WAIT_S: Final = 1.0  # the lists of orders hold up the closing of what is held for no longer
ERRORS: Final = (TransientError, OutcomeUnknown, VenueRejected)

Say = Callable[[str], None]
Confirm = Callable[[str], bool]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended. `flat`: nothing was held and nothing was open in the last two looks, and all could be read."""

    flat: bool
    closed: int
    cancelled: int
    rounds: int
    left: tuple[str, ...] = ()
    last_error: str | None = None


class _Seen(msgspec.Struct, frozen=True):
    """One look. `missed` are lists that did not come, `unread` rows that nobody can read."""

    held: tuple[Held, ...]
    resting: tuple[Resting, ...]
    missed: tuple[str, ...]
    unread: tuple[str, ...]

    @property
    def left(self) -> tuple[str, ...]:
        return (*_names(self.held, self.resting), *self.unknown)

    @property
    def unknown(self) -> tuple[str, ...]:
        return (*self.missed, *(f"unreadable: {one}" for one in self.unread))


async def flatten(
    settings: ExecutorSettings, *, symbol: str | None, seconds: float, dry_run: bool, say: Say, confirm: Confirm
) -> Done:
    """Show everything, ask, then close and cancel until flat or until `seconds` have passed.

    `symbol` limits it to one. Raises ConfigError for keys that are missing or refused, TransientError when the
    exchange cannot be asked at all.
    """
    need_keys(settings)
    clock = exchange_clock(settings)
    requests = Requests(settings.exchange_rest_url, settings.api_key.reveal(), settings.api_secret.reveal())
    try:
        await _know_the_time(clock, time.monotonic() + seconds)
        venue = Direct(requests, clock.now_ms)
        seen = await _look(venue, symbol)
        say(f"{settings.mode} account at {settings.exchange_rest_url}\n\n")
        say(_shown(seen))
        flat = not seen.left
        if dry_run or flat:
            return Done(flat=flat, closed=0, cancelled=0, rounds=0, left=seen.left)
        orders = f"{len(seen.resting)} order(s)" + (" and those not listed yet" if seen.missed else "")
        if not confirm(f"Close {len(seen.held)} position(s) at the market and cancel {orders}?"):
            return Done(flat=False, closed=0, cancelled=0, rounds=0, left=seen.left)
        return await _until_flat(venue, symbol, seconds, say)
    finally:
        await clock.aclose()
        await requests.close()


async def _until_flat(venue: Direct, symbol: str | None, seconds: float, say: Say) -> Done:
    closed: set[tuple[str, str]] = set()
    cancelled: set[str] = set()
    told: set[str] = set()
    end, rounds, sure = time.monotonic() + seconds, 0, 0
    error: str | None = None
    left: tuple[str, ...] = ("nothing could be looked at",)
    while sure < SURE_LOOKS and time.monotonic() < end:
        rounds += 1
        try:
            seen = await _look(venue, symbol)
        except TransientError as away:
            error = _told(say, told, str(away))
            sure = 0
            await asyncio.sleep(ROUND_S)
            continue
        left = seen.left
        # what cannot be read is left to a person: trying on does not help there
        sure = 0 if seen.held or seen.resting or seen.missed else sure + 1
        for unknown in seen.unknown:
            error = _told(say, told, unknown)
        todo = work(seen.held, seen.resting)
        for order in todo.cancel:
            try:
                await venue.cancel(order)
                cancelled.add(order.venue_id)
            except ERRORS as refusal:
                error = _told(say, told, f"cancelling {order.client_id}: {refusal}")
        for position in todo.close:
            try:
                await venue.close(position)
                closed.add(position.place)
            except ERRORS as refusal:
                error = _told(say, told, f"closing {position.symbol} {position.position_side}: {refusal}")
        if sure < SURE_LOOKS:
            await asyncio.sleep(ROUND_S)
    return Done(
        flat=sure >= SURE_LOOKS and not left, closed=len(closed), cancelled=len(cancelled), rounds=rounds,
        left=left, last_error=error,
    )  # fmt: skip


async def _look(venue: Direct, symbol: str | None) -> _Seen:
    """Raises TransientError or ConfigError without the positions; orders that are not listed are `missed`."""
    listing = [asyncio.create_task(venue.orders()), asyncio.create_task(venue.conditionals())]
    try:
        try:
            held = await venue.held()
        except VenueRejected as refusal:
            if refusal.code in CREDENTIALS:
                text = f"P95_EXECUTOR_API_KEY, P95_EXECUTOR_API_SECRET: refused by the exchange: {refusal}"
                raise ConfigError(text) from refusal
            raise TransientError(str(refusal)) from refusal
        await asyncio.wait(listing, timeout=ORDERS_WAIT_S if held.rows else None)
    finally:
        for task in listing:
            task.cancel()
        answers = await asyncio.gather(*listing, return_exceptions=True)
    lists = [one for one in answers if isinstance(one, Listed)]
    for one in answers:
        if isinstance(one, BaseException) and not isinstance(one, (*ERRORS, asyncio.CancelledError)):
            raise one
    return _Seen(
        held=tuple(one for one in held.rows if symbol in (None, one.symbol)),
        resting=tuple(one for found in lists for one in found.rows if symbol in (None, one.symbol)),
        missed=tuple(
            f"{what} could not be listed: {str(one) or 'no answer in time'}"
            for what, one in zip(("orders", "conditional orders"), answers, strict=True)
            if isinstance(one, BaseException)
        ),
        unread=(*held.unread, *(one for found in lists for one in found.unread)),
    )


async def _know_the_time(clock: ExchangeClock, end: float) -> None:
    while True:
        try:
            await clock.measure()
        except TransientError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(ROUND_S)
        else:
            return


def _told(say: Say, told: set[str], error: str) -> str:
    """Say each thing that goes wrong once, not at each round."""
    if error not in told:
        told.add(error)
        say(f"  {error}; trying on\n")
    return error


def _names(held: tuple[Held, ...], resting: tuple[Resting, ...]) -> tuple[str, ...]:
    positions = (f"{one.symbol} {one.position_side} {one.amount}" for one in held)
    return (*positions, *(f"{one.symbol} {one.kind} {one.client_id}" for one in resting))


def _shown(seen: _Seen) -> str:
    unknown = "".join(f"{one}\n" for one in seen.unknown)
    return _table(seen.held, seen.resting, sure=not unknown) + unknown


def _table(held: tuple[Held, ...], resting: tuple[Resting, ...], *, sure: bool) -> str:
    if not held and not resting:
        return "Nothing is held and nothing is open.\n" if sure else "Nothing that can be read is held or open.\n"
    text = "No position is held.\n"
    if held:
        text = table(
            ("position", "side", "amount", "entry", "mark", "unrealised"),
            [(one.symbol, one.position_side, one.amount, one.entry_price, one.mark_price, one.unrealized)
             for one in held],
            numbers=("amount", "entry", "mark", "unrealised"),
        )  # fmt: skip
    if not resting:
        return f"{text}\nNo order is open.\n" if sure else f"{text}\n"
    in_order = sorted(resting, key=lambda one: (not one.can_open, one.symbol))
    return text + "\n" + table(
        ("order", "type", "side", "quantity", "price", "id", "when"),
        [(one.symbol, one.kind, f"{one.side} {one.position_side}", one.quantity, one.price, one.client_id,
          "now" if one.can_open else "flat") for one in in_order],
        numbers=("quantity", "price"),
    )  # fmt: skip
