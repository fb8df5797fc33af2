"""Read what happens and tell people: alerts, how trades go, and what a person wants said; until the stop."""

import time
from typing import Final

import msgspec

from phoenix95.common import keys
from phoenix95.common.bus import Connection
from phoenix95.common.bus.append import append
from phoenix95.common.bus.offsets import read_offsets, write_offsets
from phoenix95.common.bus.reader import Entry, LogReader, last_ids
from phoenix95.common.errors import TransientError
from phoenix95.common.events import Ack, Alert, DeadLetter, Notify
from phoenix95.common.ids import STREAM_START, StreamId
from phoenix95.common.retry import backoff, pause
from phoenix95.common.serve import Context
from phoenix95.common.streams import TABLE
from phoenix95.common.wire import alert_decoder, command_decoder, order_decoder
from phoenix95.monitor.config import MonitorSettings
from phoenix95.monitor.core.notices import MESSAGE, notice_of_alert, notice_of_message, notice_of_order
from phoenix95.monitor.post import Outcome, Post
from phoenix95.monitor.recorder import OFFSET, Recorder

READ_BLOCK_MS: Final = 500  # so that a stop is noticed within half a second
REGRESSION_CHECK_S: Final = 5.0
NEWS_MS: Final = 600_000  # older alerts and messages are no news: they are kept, and nobody is told
SEEN: Final = "seen_wall_ms"
NAMES: Final = {"alert": keys.ALERT, "order": keys.ORDER, "command": keys.COMMAND}
ALERT_MAX: Final = next(key.keep_max for key in TABLE if key.name == keys.ALERT)
DEAD_MAX: Final = next(key.keep_max for key in TABLE if key.name == "p95:dlq:SERVICE")
OWN_MAX: Final = 100  # messages between being written and being read back


class Telling:
    """One reader of three streams. What was told is remembered in Redis; after a crash the last may be told again."""

    def __init__(
        self,
        context: Context[MonitorSettings],
        redis: Connection,
        reader: LogReader,
        post: Post,
        recorder: Recorder | None,
    ) -> None:
        self._context = context
        self._redis = redis
        self._reader = reader
        self._post = post
        self._recorder = recorder
        # Without a channel nobody can be told, but a message is still kept and acknowledged.
        self._names = NAMES if post.channels else {"command": keys.COMMAND}
        self._offsets: dict[str, str] = {}
        self._told_messages: list[str] = []
        self._checked_s = 0.0

    async def run(self) -> None:
        """Until the stop. Redis may go away and come back meanwhile."""
        waits = None
        while not self._context.stop.is_set():
            try:
                await self._round(back=waits is not None)
            except TransientError as error:
                if waits is None:
                    self._context.log.warning("telling_away", reason=str(error))
                    waits = backoff(cap_s=1.0)
                await pause(self._context.stop, next(waits))
                continue
            if waits is not None:
                self._context.log.info("telling_back")
                waits = None

    async def _round(self, *, back: bool) -> None:
        if not self._offsets:
            await self._begin()
        elif back or time.monotonic() - self._checked_s > REGRESSION_CHECK_S:
            await self._look_for_regression()
        streams = await self._reader.read(self._offsets)
        if self._recorder is not None:
            await self._recorder.catch_up()
        for key, entries in streams:
            for entry in entries:
                await self._take(key, entry)
                self._offsets[key] = entry[0]
                await self._remember()

    async def _begin(self) -> None:
        """Go on where we were. Trades of a time when nobody looked are no news: exchange time does not say how old."""
        stored = await read_offsets(self._redis, keys.MONITOR_OFFSETS)
        if self._recorder is not None:
            await self._recorder.begin(stored.get(OFFSET))
        looked_ms = int(stored.get(SEEN, "0"))
        tops = await last_ids(self._redis, self._names.values())
        begin = {key: stored.get(name, str(STREAM_START)) for name, key in self._names.items()}
        if keys.ORDER in begin and ("order" not in stored or _now_ms() - looked_ms > NEWS_MS):
            begin[keys.ORDER] = str(tops[keys.ORDER])
        self._offsets = begin
        await self._look_for_regression()

    async def _look_for_regression(self) -> None:
        """A stream that ends before our offset was rolled back: without this we would wait for ever."""
        self._checked_s = time.monotonic()
        for key in await self._reader.regressed(self._offsets):
            self._context.log.warning("stream_went_back", key=key, offset=self._offsets[key])
            top = str((await self._reader.last_ids((key,)))[key])
            self._offsets[key] = top if key == keys.ORDER else str(STREAM_START)
            if key == keys.ALERT and self._recorder is not None:
                await self._recorder.went_back()
        await self._remember()

    async def _remember(self) -> None:
        done = {name: self._offsets[key] for name, key in self._names.items()}
        await write_offsets(self._redis, keys.MONITOR_OFFSETS, {**done, SEEN: str(_now_ms())})

    async def _take(self, key: str, entry: Entry) -> None:
        entry_id, fields = entry
        try:
            if key == keys.ORDER:
                await self._of_order(fields)
            elif key == keys.ALERT:
                await self._of_alert(entry_id, fields)
            else:
                await self._of_command(entry_id, fields)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            await self._bury(key, entry, str(error))

    async def _of_order(self, fields: dict[bytes, bytes]) -> None:
        notice = notice_of_order(order_decoder.decode(fields.get(b"d", b"")))
        if notice is not None:
            await self._post.tell(notice)

    async def _of_alert(self, entry_id: str, fields: dict[bytes, bytes]) -> None:
        alert = alert_decoder.decode(fields.get(b"d", b""))
        if entry_id in self._told_messages:
            self._told_messages.remove(entry_id)
        elif _is_news(entry_id):
            await self._post.tell(notice_of_alert(alert))

    async def _of_command(self, entry_id: str, fields: dict[bytes, bytes]) -> None:
        command = command_decoder.decode(fields.get(b"d", b""))
        if not isinstance(command, Notify):
            return
        if not _is_news(entry_id):
            await self._ack(entry_id, ok=False, message="nobody was told: the monitor was away for too long")
            return
        alert = Alert(
            ts_wall_ms=_now_ms(),
            service=self._context.service,
            severity=command.severity,
            kind=MESSAGE,
            message=command.message,
        )
        kept_id = await append(self._redis, keys.ALERT, alert, maxlen=ALERT_MAX)
        self._told_messages = [*self._told_messages, kept_id][-OWN_MAX:]
        if self._recorder is not None:
            await self._recorder.catch_up()
        outcome = await self._post.tell_again(notice_of_message(command.message, command.severity))
        await self._ack(entry_id, ok=not (outcome.failed or outcome.left_out), message=_said(outcome))

    async def _ack(self, command_id: str, *, ok: bool, message: str) -> None:
        ack = Ack(command_id=command_id, service=self._context.service, ok=ok, message=message)
        await append(self._redis, keys.ACK, ack)

    async def _bury(self, key: str, entry: Entry, error: str) -> None:
        entry_id, fields = entry
        self._context.log.warning("entry_unreadable", key=key, entry_id=entry_id, error=error)
        if key == keys.COMMAND:
            return  # whoever acts on commands buries it
        text = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()}
        letter = DeadLetter(source=key, entry_id=entry_id, error=error, fields=text, attempts=1)
        await append(self._redis, keys.dead_letter("monitor"), letter, maxlen=DEAD_MAX)


def _said(outcome: Outcome) -> str:
    if outcome.left_out:
        return "kept as an alert, but nobody was told: too much was said in the last minute"
    if not outcome.taken and not outcome.failed:
        return "kept as an alert; nobody was told, because no channel is set"
    failed = f"not taken by {', '.join(outcome.failed)}" if outcome.failed else ""
    taken = f"told over {', '.join(outcome.taken)}" if outcome.taken else ""
    return "; ".join(filter(None, (taken, failed)))


def _is_news(entry_id: str) -> bool:
    return _now_ms() - StreamId.parse(entry_id).ms <= NEWS_MS


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
