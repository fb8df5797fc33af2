"""The streams that the executor follows: every analysis, every reply, and the commands."""

import time
from collections.abc import Mapping
from typing import Final

import msgspec
import structlog

from phoenix95.common import keys
from phoenix95.common.bus import Connection
from phoenix95.common.bus.reader import Entry, LogReader
from phoenix95.common.bus.symbols import read_symbols
from phoenix95.common.errors import TransientError
from phoenix95.common.events import ClosePosition, DeadLetter
from phoenix95.common.wire import command_decoder
from phoenix95.executor.core.candidate import Limits
from phoenix95.executor.desk import Desk
from phoenix95.executor.ledger.store import PostgresLedger
from phoenix95.executor.ports import Ports, Venue, VenueAccount
from phoenix95.executor.protocol.intake import Standing, take

SYMBOLS_EVERY_S: Final = 1.0
REGRESSED_EVERY_S: Final = 5.0
ACCOUNT_FRESH_S: Final = 5.0  # gates may work with figures this old
ACCOUNT_USABLE_S: Final = 60.0  # and with these while the exchange does not answer


class AccountView:
    """The account's figures, asked for when the last answer is too old."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._told: VenueAccount | None = None
        self._at_s = 0.0

    def put(self, told: VenueAccount) -> None:
        self._told, self._at_s = told, time.monotonic()

    async def get(self) -> VenueAccount | None:
        """None when the exchange has not answered for too long: then nothing is entered."""
        if self._told is None or time.monotonic() - self._at_s > ACCOUNT_FRESH_S:
            try:
                self.put(await self._venue.account())
            except TransientError as error:
                structlog.get_logger().warning("account_not_told", reason=str(error))
                if time.monotonic() - self._at_s > ACCOUNT_USABLE_S:
                    self._told = None
        return self._told


class Following:
    """Offsets by stream, as they are stored in the ledger, and the set of streams that follows the symbols."""

    def __init__(self, redis: Connection, partitions: int, offsets: Mapping[str, str]) -> None:
        self._redis = redis
        self._partitions = partitions
        self.offsets = {keys.COMMAND: "0-0", **offsets}
        self._symbols_at_s = 0.0
        self._checked_at_s = time.monotonic()

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


async def handle(
    ports: Ports,
    ledger: PostgresLedger,
    desk: Desk,
    stream: str,
    entries: list[Entry],
    standing: Standing,
    limits: Limits,
) -> None:
    """Work through new entries of one stream; the stored offset follows."""
    if stream == keys.COMMAND:
        for entry_id, fields in entries:
            await _command(ledger, desk, entry_id, fields)
        return
    accepted = await take(ports, stream, entries, standing=standing, limits=limits)
    symbol = stream.rsplit(":", 1)[-1]
    for analysis_id in accepted:
        desk.start(analysis_id, symbol)


async def _command(ledger: PostgresLedger, desk: Desk, entry_id: str, fields: dict[bytes, bytes]) -> None:
    """Only closing is ours. What nobody can read is kept as a dead letter."""
    try:
        command = command_decoder.decode(fields.get(b"d", b""))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        text = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in fields.items()}
        letter = DeadLetter(source=keys.COMMAND, entry_id=entry_id, error=str(error), fields=text, attempts=1)
        await ledger.skip_to(keys.COMMAND, entry_id, letter)
        return
    if isinstance(command, ClosePosition):
        await ledger.close_by_command(keys.COMMAND, entry_id, command.symbol, command.reason)
        desk.hint(command.symbol)
    else:
        await ledger.skip_to(keys.COMMAND, entry_id)
