"""The streams that the executor follows: every analysis, every reply, and the commands."""

import asyncio
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec
import structlog

from phoenix95.common import keys
from phoenix95.common.bus import Connection
from phoenix95.common.bus.prices import read_price
from phoenix95.common.bus.reader import Entry, LogReader
from phoenix95.common.bus.symbols import read_symbols
from phoenix95.common.clock import Clock
from phoenix95.common.errors import BadMessage, Fenced, OutcomeUnknown, TransientError, VenueRejected
from phoenix95.common.events import ClosePosition, DeadLetter, PlaceTrade
from phoenix95.common.retry import pause
from phoenix95.common.wire import command_decoder
from phoenix95.executor.core.figures import Told
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.market import Market, market_of
from phoenix95.executor.desk import Desk
from phoenix95.executor.ledger.store import PostgresLedger
from phoenix95.executor.ports import Ports, Venue, VenueAccount
from phoenix95.executor.protocol.intake import Standing, as_text, body, take, take_by_hand

SYMBOLS_EVERY_S: Final = 1.0
REGRESSED_EVERY_S: Final = 5.0
ACCOUNT_EVERY_S: Final = 3.0
ACCOUNT_AGAIN_S: Final = 1.0
TRIES_MAX: Final = 3
ERROR_MAX: Final = 500  # of an error's text, in characters

Broken = dict[str, tuple[str, int]]  # by stream: an entry that failed for an unforeseen reason, and how often in a row


class AccountView:
    """The account's figures as last told, with the time of it: a decision never waits for the exchange, and the gates
    say when the figures are too old."""

    def __init__(self, venue: Venue, clock: Clock) -> None:
        self._venue, self._clock = venue, clock
        self.told: Told | None = None

    async def ask(self) -> None:
        """Raises TransientError, VenueRejected."""
        at_ms = self._clock.now_ms()  # of the question: what happens while it is answered may not be in the answer
        self.put(await self._venue.account(), at_ms)

    def put(self, account: VenueAccount, at_ms: int) -> None:
        if self.told is None or at_ms >= self.told.at_ms:
            self.told = account.told(at_ms)

    async def keep(self, stop: asyncio.Event) -> None:
        """Ask again and again until `stop`."""
        failing = False
        while not stop.is_set():
            try:
                await self.ask()
            except (TransientError, VenueRejected) as error:
                if not failing:
                    structlog.get_logger().warning("account_not_told", reason=str(error))
                failing = True
            else:
                failing = False
            await pause(stop, ACCOUNT_AGAIN_S if failing else ACCOUNT_EVERY_S)


class Following:
    """Offsets by stream, as they are stored in the ledger, and the set of streams that follows the symbols; prices."""

    def __init__(self, redis: Connection, partitions: int, offsets: Mapping[str, str]) -> None:
        self._redis = redis
        self._partitions = partitions
        self.offsets = {keys.COMMAND: "0-0", **offsets}
        self._symbols_at_s = 0.0
        self._checked_at_s = time.monotonic()

    async def market(self, symbol: str) -> Market:
        """What the feed last told; nothing when that is older than its time to live. Raises TransientError."""
        return market_of(await read_price(self._redis, symbol, self._partitions) or {})

    async def refresh(self, reader: LogReader) -> None:
        """Follow new symbols from their beginning; go back in streams that were rolled back."""
        now_s = time.monotonic()
        if now_s - self._symbols_at_s > SYMBOLS_EVERY_S:
            for symbol in await read_symbols(self._redis):
                self.offsets.setdefault(keys.analysis(symbol, self._partitions), "0-0")
                self.offsets.setdefault(keys.reply(symbol, self._partitions), "0-0")
            self._symbols_at_s = now_s
        if now_s - self._checked_at_s > REGRESSED_EVERY_S:
            await self.recheck(reader)

    async def recheck(self, reader: LogReader) -> None:
        """What a rolled back stream gives out again has the same ids: the ledger skips what it knows."""
        gone_back = await reader.regressed(self.offsets)
        if gone_back:
            tops = await reader.last_ids(gone_back)
            structlog.get_logger().warning("streams_went_back", streams=gone_back)
            self.offsets.update({key: str(top) for key, top in tops.items()})
        self._checked_at_s = time.monotonic()


class Commands:
    """Does what people want of the executor; others' commands are passed over."""

    def __init__(
        self,
        ports: Ports,
        ledger: PostgresLedger,
        desk: Desk,
        limits: Limits,
        stop_share: Decimal,
    ) -> None:
        self._ports, self._ledger, self._desk = ports, ledger, desk
        self._limits, self._stop_share = limits, stop_share
        self._broken: Broken = {}

    async def obey(self, entry_id: str, fields: dict[bytes, bytes], standing: Standing) -> None:
        """Act on one entry; the stored offset follows. What nobody can read, or what failed so many times for an
        unforeseen reason, is kept as a dead letter: every stream waits behind it."""
        try:
            await self._do(entry_id, fields, standing)
        except (Fenced, TransientError, VenueRejected, OutcomeUnknown):
            raise
        except Exception as error:
            if _tries(self._broken, keys.COMMAND, entry_id) < TRIES_MAX:
                raise
            await self._keep(entry_id, fields, _text(error), TRIES_MAX)
            await _tell_given_up(self._ports, keys.COMMAND, entry_id, error, "obeyed")

    async def _keep(self, entry_id: str, fields: dict[bytes, bytes], error: str, attempts: int) -> None:
        letter = DeadLetter(
            source=keys.COMMAND, entry_id=entry_id, error=error, fields=as_text(fields), attempts=attempts
        )
        await self._ledger.skip_to(keys.COMMAND, entry_id, letter)

    async def _do(self, entry_id: str, fields: dict[bytes, bytes], standing: Standing) -> None:
        try:
            command = command_decoder.decode(body(fields))
            if isinstance(command, ClosePosition):
                await self._ledger.close_by_command(
                    keys.COMMAND, entry_id, command.symbol, command.reason, command.side
                )
                self._desk.hint(command.symbol)
            elif isinstance(command, PlaceTrade):
                await self._enter(command, entry_id, standing)
            else:
                await self._ledger.skip_to(keys.COMMAND, entry_id)
        except (msgspec.MsgspecError, UnicodeDecodeError, BadMessage) as error:
            await self._keep(entry_id, fields, str(error), 1)

    async def _enter(self, command: PlaceTrade, entry_id: str, standing: Standing) -> None:
        active = await take_by_hand(
            self._ports,
            command,
            (keys.COMMAND, entry_id),
            stop_share=self._stop_share,
            standing=standing,
            limits=self._limits,
        )
        if active is not None:
            self._desk.start(active, command.symbol)


class Analyses:
    """Works through analyses and replies. `broken` has what nobody foresaw, by stream: the entry and its tries in a
    row. From then on a stream is read one entry at a time, until that one is over."""

    def __init__(self, ports: Ports, desk: Desk, limits: Limits) -> None:
        self._ports, self._desk, self._limits = ports, desk, limits
        self.broken: Broken = {}

    async def follow(self, stream: str, entries: list[Entry], standing: Standing, offsets: dict[str, str]) -> None:
        """Raises what went wrong. An entry that failed for an unforeseen reason so many times becomes a dead letter:
        what is behind it may be an exit."""
        parts = [[one] for one in entries] if stream in self.broken else [entries]
        for part in parts:
            entry_id, fields = part[0]
            try:
                await handle(self._ports, self._desk, stream, part, standing, self._limits)
            except (Fenced, TransientError, VenueRejected, OutcomeUnknown):
                raise
            except Exception as error:
                tries = _tries(self.broken, stream, entry_id)
                if len(part) > 1 or tries < TRIES_MAX:
                    raise
                now_ms = self._ports.clock.now_ms()
                await self._ports.ledger.poison(stream, entry_id, as_text(fields), _text(error), now_ms)
                await _tell_given_up(self._ports, stream, entry_id, error, "decided on")
            offsets[stream] = part[-1][0]
        self.broken.pop(stream, None)


def _tries(broken: Broken, stream: str, entry_id: str) -> int:
    """Count a failure of an entry; how many there were in a row."""
    last_id, tries = broken.get(stream, ("", 0))
    broken[stream] = entry_id, tries + 1 if last_id == entry_id else 1
    return broken[stream][1]


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\0", "\ufffd")[:ERROR_MAX]


async def _tell_given_up(ports: Ports, stream: str, entry_id: str, error: Exception, done: str) -> None:
    structlog.get_logger().error("entry_given_up", stream=stream, entry_id=entry_id, exc_info=error)
    text = f"{stream} {entry_id} was not {done}, {TRIES_MAX} tries failed: {_text(error)}"
    await ports.ledger.alert("error", "entry_given_up", text, None)


async def handle(
    ports: Ports, desk: Desk, stream: str, entries: list[Entry], standing: Standing, limits: Limits
) -> None:
    """Work through new analyses of one stream; the stored offset follows.

    Only what is stored is begun: an analysis that is read again may be judged otherwise than the first time.
    """
    taken = await take(ports, stream, entries, standing=standing, limits=limits)
    for begun in taken.begun:
        desk.start(begun.trade.analysis_id, begun.trade.symbol)
    if taken.again or taken.ended:
        for group in await ports.ledger.active_groups():
            desk.start(group.trade.analysis_id, group.trade.symbol)
            if group.trade.close_reason is not None:
                desk.hint(group.trade.symbol)
