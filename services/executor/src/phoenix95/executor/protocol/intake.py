"""Analyses and replies in, decisions out: every entry becomes one row, and the offset moves with it."""

from collections.abc import Sequence

import msgspec

from phoenix95.common.events import Analysis, Marker
from phoenix95.common.wire import engine_output_decoder
from phoenix95.executor.core.book import exposures
from phoenix95.executor.core.candidate import Book, Limits, Modes
from phoenix95.executor.core.decide import Decision, decide
from phoenix95.executor.ports import Ports, VenueAccount

Entry = tuple[str, dict[bytes, bytes]]

_UNASKED = Book(equity=None, available=None, not_ready="the gates were not asked")


class Standing(msgspec.Struct, frozen=True):
    """What the gates need beside the ledger: the account as the exchange tells it (None: not known), and why
    entries must wait (None: they need not)."""

    account: VenueAccount | None
    not_ready: str | None


async def take(
    ports: Ports, stream: str, entries: Sequence[Entry], *, standing: Standing, limits: Limits
) -> tuple[str, ...]:
    """Decide on new entries of a stream, in order, and return the ids of the accepted ones.

    A decision to trade is stored before the next entry is looked at, so that the next one sees it in the book. On
    any error the entries behind the stored offset are simply read again.
    """
    accepted: list[str] = []
    waiting: list[Decision] = []
    modes = Modes()
    read_to: str | None = None
    for entry_id, fields in entries:
        try:
            event = engine_output_decoder.decode(fields.get(b"d", b""))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            await _flush(ports, stream, waiting, read_to, modes)
            await ports.ledger.poison(stream, entry_id, _as_text(fields), str(error), ports.clock.now_ms())
            read_to = None
            continue
        read_to = entry_id
        if isinstance(event, Marker):
            continue
        decision, modes = await _decided(ports, event, standing, limits)
        waiting.append(decision)
        ports.observe("gates", decision.decided.ts - event.ts)
        if decision.group is not None:
            await _flush(ports, stream, waiting, read_to, modes)
            accepted.append(event.id)
    await _flush(ports, stream, waiting, read_to, modes)
    return tuple(accepted)


async def _decided(ports: Ports, analysis: Analysis, standing: Standing, limits: Limits) -> tuple[Decision, Modes]:
    candidate = analysis.action == "EXECUTE" and analysis.trade
    book, rules = _UNASKED, None
    if candidate:
        told = standing.account
        book = Book(
            equity=None if told is None else told.equity,
            available=None if told is None else told.available,
            exposures=exposures(await ports.ledger.active_groups()),
            modes=await ports.ledger.modes(),
            not_ready=standing.not_ready,
        )
        rules = await ports.venue.rules(analysis.symbol)
    decision = decide(
        analysis,
        account=ports.account,
        now_ms=ports.clock.now_ms(),
        uncertainty_ms=ports.clock.uncertainty_ms(),
        rules=rules,
        book=book,
        limits=limits,
    )
    return decision, book.modes


async def _flush(ports: Ports, stream: str, waiting: list[Decision], read_to: str | None, modes: Modes) -> None:
    if waiting or read_to is not None:
        await ports.ledger.decide(waiting, None if read_to is None else (stream, read_to), modes)
        waiting.clear()


def _as_text(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in fields.items()}
