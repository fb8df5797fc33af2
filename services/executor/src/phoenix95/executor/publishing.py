"""The outbox to Redis: in order, and again whenever we cannot be sure."""

import asyncio
from typing import Any, Final

import msgspec
import structlog

from phoenix95.common import keys
from phoenix95.common.bus import Connection
from phoenix95.common.bus.append import append, append_once
from phoenix95.common.bus.reader import last_id
from phoenix95.common.errors import TransientError
from phoenix95.common.events import Event
from phoenix95.common.retry import backoff, pause
from phoenix95.common.wire import ack_decoder, alert_decoder, dead_letter_decoder, order_decoder
from phoenix95.executor.ledger.outbox import Outbox, Waiting

BATCH: Final = 100
GATHER_S: Final = 0.02  # the order that was just decided on leaves before its events do
IDLE_S: Final = 1.0  # the outbox is looked at this often even without a call
FOLLOW_EVERY: Final = 5  # idle looks between two comparisons with the stream's end
STREAM_MAX: Final = 100_000
_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    keys.ORDER: order_decoder,
    keys.ACK: ack_decoder,
    keys.ALERT: alert_decoder,
    keys.dead_letter("executor"): dead_letter_decoder,
}


async def publish(outbox: Outbox, redis: Connection, emitted: asyncio.Event, stop: asyncio.Event) -> None:
    """Until `stop`, and then once more for what is left."""
    log = structlog.get_logger()
    waits, idle = None, FOLLOW_EVERY
    while True:
        stopping = stop.is_set()
        emitted.clear()
        try:
            if idle >= FOLLOW_EVERY:
                idle = 0
                again = await outbox.follow(keys.ORDER, await last_id(redis, keys.ORDER))
                if again:
                    log.warning("order_stream_went_back", republished=again)
            while await _batch(outbox, redis):
                idle = 0
        except TransientError as error:
            if waits is None:
                log.warning("publishing_waits", reason=str(error))
                waits = backoff(cap_s=2.0)
            idle = FOLLOW_EVERY  # history may have been rolled back while Redis was away
            if stopping or await pause(stop, next(waits)):
                return
            continue
        waits = None
        if stopping:
            return
        idle += await _nothing_came(emitted, stop)
        await pause(stop, GATHER_S)


async def _batch(outbox: Outbox, redis: Connection) -> bool:
    """Publish the oldest rows. True when there may be more."""
    rows = await outbox.waiting(BATCH)
    for row in rows:
        await _one(redis, row)
    if rows:
        await outbox.published([row.seq for row in rows])
    return len(rows) == BATCH


async def _one(redis: Connection, row: Waiting) -> None:
    event: Event = _DECODERS[row.stream].decode(row.body)
    if row.entry_id is not None:
        await append_once(redis, row.stream, event, row.entry_id)
    else:
        await append(redis, row.stream, event, maxlen=STREAM_MAX)


async def _nothing_came(emitted: asyncio.Event, stop: asyncio.Event) -> bool:
    waits = {asyncio.ensure_future(emitted.wait()), asyncio.ensure_future(stop.wait())}
    try:
        done, _ = await asyncio.wait(waits, timeout=IDLE_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return not done
