"""Values that live only while someone writes them: heartbeats, and the host's current state."""

from typing import Final

import msgspec

from phoenix95.common import keys
from phoenix95.common.bus.client import Connection, execute, translated
from phoenix95.common.events import Event, Heartbeat
from phoenix95.common.wire import encode, heartbeat_decoder

HEARTBEAT_TTL_MS: Final = 10_000
_SCAN_COUNT: Final = 1000  # keys looked at in one step of the scan


async def write_expiring(redis: Connection, key: str, event: Event, ttl_ms: int) -> None:
    """Set a key to an event that is forgotten after `ttl_ms`."""
    with translated(key):
        await execute(redis, "SET", key, encode(event), "PX", ttl_ms)


async def read_value(redis: Connection, key: str) -> bytes | None:
    """What a key holds; None when it expired or never was."""
    with translated(key):
        value: bytes | None = await execute(redis, "GET", key)
    return value


async def write_heartbeat(redis: Connection, beat: Heartbeat, *, ttl_ms: int = HEARTBEAT_TTL_MS) -> None:
    """Say that an instance of a service lives."""
    await write_expiring(redis, keys.heartbeat(beat.service, beat.instance), beat, ttl_ms)


async def list_heartbeats(redis: Connection) -> list[Heartbeat]:
    """All living instances, by service and instance. One that cannot be read is left out."""
    found: list[Heartbeat] = []
    with translated("heartbeats"):
        async for key in redis.scan_iter(match=keys.heartbeat("*", "*"), count=_SCAN_COUNT):
            value = await execute(redis, "GET", key)
            if value is None:
                continue
            try:
                found.append(heartbeat_decoder.decode(value))
            except msgspec.MsgspecError:
                continue
    return sorted(found, key=lambda beat: (beat.service, beat.instance))
