"""Alerts of every service become rows of system_events, before people are told of them."""

import time
from typing import Final

import msgspec

from phoenix95.common import keys
from phoenix95.common.bus import Connection
from phoenix95.common.bus.offsets import write_offsets
from phoenix95.common.bus.reader import entries_between, last_id
from phoenix95.common.errors import BadMessage, TransientError
from phoenix95.common.ids import StreamId
from phoenix95.common.serve import Context
from phoenix95.common.wire import alert_decoder
from phoenix95.monitor.config import MonitorSettings
from phoenix95.monitor.core.notices import system_event
from phoenix95.monitor.core.rows import SystemEvent
from phoenix95.monitor.ledger.tables import SystemEvents

OFFSET: Final = "alert_rows"
BATCH: Final = 100
AGAIN_S: Final = 5.0  # after Postgres did not answer; each try may take three seconds of those who wait


class Recorder:
    """Writes each alert at least once. Its offset stays behind while Postgres is away, so no alert is lost."""

    def __init__(self, context: Context[MonitorSettings], redis: Connection, events: SystemEvents) -> None:
        self._context = context
        self._redis = redis
        self._events = events
        self._offset = "0-0"
        self._not_before_s = 0.0
        self._written = context.metrics.counter("p95_monitor_rows", "Rows written to Postgres", ["table"])

    async def begin(self, offset: str | None) -> None:
        """Go on behind `offset`; None: from the first alert that there is."""
        self._offset = offset or "0-0"
        if await last_id(self._redis, keys.ALERT) < StreamId.parse(self._offset):
            await self.went_back()

    async def went_back(self) -> None:
        """The stream lost its end. What it still holds was written, so go on behind that."""
        self._offset = str(await last_id(self._redis, keys.ALERT))

    async def catch_up(self) -> None:
        """Write what is new. Gives up for some seconds when Postgres does not answer: telling goes first then.

        Raises TransientError when Redis does not answer.
        """
        if time.monotonic() < self._not_before_s:
            return
        while not self._context.stop.is_set():
            entries = await entries_between(self._redis, keys.ALERT, f"({self._offset}", "+", BATCH)
            if not entries:
                break
            rows = [row for entry_id, fields in entries if (row := _row(entry_id, fields)) is not None]
            try:
                await self._store(rows)
            except TransientError as error:
                self._not_before_s = time.monotonic() + AGAIN_S
                self._context.health.set("system_events", str(error))
                return
            self._offset = entries[-1][0]
            await write_offsets(self._redis, keys.MONITOR_OFFSETS, {OFFSET: self._offset})
        self._context.health.set("system_events", None)

    async def _store(self, rows: list[SystemEvent]) -> None:
        try:
            await self._events.write(rows)
        except BadMessage as error:
            # Nobody could ever write them: they must not keep later ones from being written. The stream has them.
            self._context.log.error("rows_refused", table="system_events", rows=len(rows), error=str(error))
            return
        self._written.labels("system_events").inc(len(rows))


def _row(entry_id: str, fields: dict[bytes, bytes]) -> SystemEvent | None:
    try:
        return system_event(alert_decoder.decode(fields.get(b"d", b"")), entry_id)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None  # whoever tells of it dead-letters it
