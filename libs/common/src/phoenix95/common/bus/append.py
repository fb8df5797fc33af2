"""Appending to plain streams: requests, commands, acknowledgements, order events, alerts, dead letters."""

from redis.exceptions import ResponseError

from phoenix95.common.bus.client import Connection, execute, translated
from phoenix95.common.bus.reader import entries_between, last_id
from phoenix95.common.errors import Diverged
from phoenix95.common.events import Event
from phoenix95.common.ids import StreamId
from phoenix95.common.wire import encode


async def append(redis: Connection, key: str, event: Event, *, id: str = "*", maxlen: int | None = None) -> str:  # noqa: A002
    """Append an event and return its id. `maxlen` cuts the oldest entries, roughly: a few more may stay.

    After a TransientError the entry may be there: repeat only where a double does no harm, or give the id
    and use `append_once`.
    """
    cut = () if maxlen is None else ("MAXLEN", "~", maxlen)
    with translated(key):
        entry_id: bytes = await execute(redis, "XADD", key, *cut, id, "d", encode(event))
    return entry_id.decode()


async def append_once(redis: Connection, key: str, event: Event, id: StreamId, *, s: bytes | None = None) -> bool:  # noqa: A002
    """Append an event under an id of ours; may be repeated. Ids must be given out in order.

    True: appended. False: it is there already, with the same `d`. Raises Diverged when this id is taken by
    something else, or was passed over by a later one.
    """
    d = encode(event)
    stamps = () if s is None else ("s", s)
    try:
        with translated(key):
            await execute(redis, "XADD", key, str(id), "d", d, *stamps)
    except ResponseError:
        if await last_id(redis, key) < id:
            raise
    else:
        return True
    stored = await entries_between(redis, key, str(id), str(id), 1)
    if not stored or stored[0][1].get(b"d") != d:
        raise Diverged(key, str(id))
    return False
