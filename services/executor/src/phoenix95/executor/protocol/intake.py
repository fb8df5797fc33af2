"""Analyses and replies in, decisions out: every entry becomes one row, and the offset moves with it."""

from collections.abc import Awaitable, Sequence
from decimal import Decimal
from typing import Annotated, Final, TypeVar

import msgspec
import structlog

from phoenix95.common.errors import BadMessage, TransientError, VenueRejected
from phoenix95.common.events import Ack, Analysis, Marker, PlaceTrade
from phoenix95.common.wire import engine_output_decoder
from phoenix95.executor.core.candidate import Book, Modes
from phoenix95.executor.core.decide import Decision, asks_to_trade, decide, ending
from phoenix95.executor.core.exits import closings, may_end
from phoenix95.executor.core.figures import Told, book_of
from phoenix95.executor.core.group import Group
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.manual import as_analysis
from phoenix95.executor.core.market import Market
from phoenix95.executor.core.sizing import Bracket
from phoenix95.executor.ports import Ports

Entry = tuple[str, dict[bytes, bytes]]
T = TypeVar("T")

_UNASKED = Book(equity=None, available=None, not_ready="the gates were not asked")


STORABLE: Final = 2**53
_Ms = Annotated[int, msgspec.Meta(ge=0, lt=STORABLE)]


class _Stamps(msgspec.Struct, frozen=True):
    """The field `s` of the engine's entries; wall-clock ms."""

    received: _Ms
    folded: _Ms
    cache_hit: bool | None = None


_stamps_decoder = msgspec.json.Decoder(_Stamps)


class Standing(msgspec.Struct, frozen=True):
    """What the gates need beside the ledger: the account as the exchange told it (None: not known), and why
    entries must wait (None: they need not)."""

    account: Told | None
    not_ready: str | None


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What entries came to: the trades that they began, the ids of those that they end, and whether one was accepted
    that had been stored before, by a reading of it that was cut off."""

    begun: tuple[Group, ...]
    ended: tuple[str, ...]
    again: bool


async def take(ports: Ports, stream: str, entries: Sequence[Entry], *, standing: Standing, limits: Limits) -> Taken:
    """Decide on new entries of a stream, in order.

    A decision to trade is stored before the next entry is looked at, so that the next one sees it in the book. On
    any error the entries behind the stored offset are simply read again.
    """
    begun: list[Group] = []
    ended: list[str] = []
    again = False
    waiting: list[Decision] = []
    modes = Modes()
    read_to: str | None = None
    for entry_id, fields in entries:
        try:
            event = engine_output_decoder.decode(body(fields))
            if isinstance(event, Analysis):
                storable(event.ts, event.expires_at, event.hold_ms, event.leverage, event.win_samples)
        except (msgspec.MsgspecError, UnicodeDecodeError, BadMessage) as error:
            await _flush(ports, stream, waiting, read_to, modes)
            await ports.ledger.poison(stream, entry_id, as_text(fields), str(error), ports.clock.now_ms())
            read_to = None
            continue
        read_to = entry_id
        if isinstance(event, Marker):
            continue
        decision, modes = await _decided(ports, event, standing, limits)
        if may_end(event):
            groups = await ports.ledger.active_groups()
            decision = ending(decision, closings(event, groups, now_ms=decision.decided.ts, limits=limits))
        waiting.append(_stamped(decision, fields))
        ports.observe("gates", decision.decided.ts - event.ts)
        if decision.group is not None or decision.closing:
            stored = await _flush(ports, stream, waiting, read_to, modes)
            read_to = None
            begun += stored
            ended += [one.analysis_id for one in decision.closing]
            again = again or (decision.group is not None and not stored)
    await _flush(ports, stream, waiting, read_to, modes)
    return Taken(begun=tuple(begun), ended=tuple(ended), again=again)


async def take_by_hand(
    ports: Ports,
    command: PlaceTrade,
    at: tuple[str, str],
    *,
    stop_share: Decimal,
    standing: Standing,
    limits: Limits,
) -> str | None:
    """Decide on a person's trade, `at` a stream and an entry. Returns the id of the trade while it is active.

    Decision, acknowledgement and offset are stored in one. An entry that is read again changes nothing: its trade is
    what is stored, whatever the gates would say by now. Raises BadMessage for a command that makes no sense.
    """
    equity = None if standing.account is None else standing.account.equity
    market = await _known(ports.market(command.symbol), Market())
    storable(command.requested_at, command.expires_at, command.hold_ms or 0, command.leverage)
    analysis, quantity = as_analysis(command, at[1], price=market.last, equity=equity, stop_share=stop_share)
    decision, modes = await _decided(ports, analysis, standing, limits, by_hand=True, quantity=quantity)
    decided = decision.decided
    ack = Ack(command_id=at[1], service="executor", ok=decided.accepted, message=decided.reason)
    await ports.ledger.decide((msgspec.structs.replace(decision, ack=ack),), at, modes)
    active = {group.trade.analysis_id for group in await ports.ledger.active_groups()}
    return analysis.id if analysis.id in active else None


async def _decided(
    ports: Ports,
    analysis: Analysis,
    standing: Standing,
    limits: Limits,
    *,
    by_hand: bool = False,
    quantity: Decimal | None = None,
) -> tuple[Decision, Modes]:
    """Everything is gathered once, the ledger's numbers last: what they say is decided upon at once."""
    book, rules, market = _UNASKED, None, Market()
    brackets: tuple[Bracket, ...] = ()
    if asks_to_trade(analysis):
        market = await _known(ports.market(analysis.symbol), Market())
        rules = await _known(ports.venue.rules(analysis.symbol), None)
        brackets = await _known(ports.venue.brackets(analysis.symbol), ())
        now_ms = ports.clock.now_ms()
        figures = await ports.ledger.figures(
            analysis.symbol,
            now_ms=now_ms,
            since_ms=now_ms - limits.look_back_ms,
            staged=limits.staged_trades if limits.mode == "live" else 0,
        )
        book = book_of(standing.account, figures, standing.not_ready)
    decision = decide(
        analysis,
        account=ports.account,
        now_ms=ports.clock.now_ms(),
        uncertainty_ms=ports.clock.uncertainty_ms(),
        rules=rules,
        brackets=brackets,
        market=market,
        book=book,
        limits=limits,
        by_hand=by_hand,
        quantity=quantity,
    )
    return decision, book.modes


async def _known(asked: Awaitable[T], unknown: T) -> T:
    """What nobody tells is not known, and the gates refuse it: an answer that does not come must not hold up the
    entries behind this one, which may be exits."""
    try:
        return await asked
    except (TransientError, VenueRejected) as error:
        structlog.get_logger().warning("gates_not_told", reason=str(error))
        return unknown


def _stamped(decision: Decision, fields: dict[bytes, bytes]) -> Decision:
    """The decision with what the entry's stamps tell. They are not needed for it: unreadable ones are as none."""
    try:
        stamps = _stamps_decoder.decode(fields.get(b"s", b""))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return decision
    took_ms = float(max(0, stamps.folded - stamps.received))  # two clocks may differ by some ms
    return msgspec.structs.replace(decision, cache_hit=stamps.cache_hit, processing_time_ms=took_ms)


async def _flush(
    ports: Ports, stream: str, waiting: list[Decision], read_to: str | None, modes: Modes
) -> tuple[Group, ...]:
    if not waiting and read_to is None:
        return ()
    begun = await ports.ledger.decide(waiting, None if read_to is None else (stream, read_to), modes)
    waiting.clear()
    return begun


def body(fields: dict[bytes, bytes]) -> bytes:
    """An entry's event, undecoded. Raises BadMessage for a NUL: no text in Postgres can hold one."""
    found = fields.get(b"d", b"")
    if b"\0" in found or b"\\u0000" in found:
        raise BadMessage("entry", "a NUL character in it")
    return found


def storable(*numbers: int) -> None:
    """Raises BadMessage for a number that no column can hold: one such entry would be read again for ever."""
    for number in numbers:
        if abs(number) >= STORABLE:
            raise BadMessage("entry", f"{number} is out of range")


def as_text(fields: dict[bytes, bytes]) -> dict[str, str]:
    """What nobody can read, in a form that can be kept."""
    return {_shown(key): _shown(value) for key, value in fields.items()}


def _shown(raw: bytes) -> str:
    return raw.decode(errors="replace").replace("\0", "\ufffd")
