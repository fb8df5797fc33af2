"""A reader's own offsets in streams, for readers whose work may be repeated."""

from collections.abc import Mapping

from phoenix95.common.bus.client import Connection, execute, translated


async def read_offset(redis: Connection, key: str) -> str:
    """The id of the last entry that was done; `0-0` before the first."""
    with translated(key):
        value: bytes | None = await execute(redis, "GET", key)
    return "0-0" if value is None else value.decode()


async def write_offset(redis: Connection, key: str, entry_id: str) -> None:
    """Remember that everything up to `entry_id` is done. Write it after the work, never before."""
    with translated(key):
        await execute(redis, "SET", key, entry_id)


async def read_offsets(redis: Connection, key: str) -> dict[str, str]:
    """The last ids that were done, by name; what was never begun is missing."""
    with translated(key):
        found: dict[bytes, bytes] = await execute(redis, "HGETALL", key)
    return {name.decode(): value.decode() for name, value in found.items()}


async def write_offsets(redis: Connection, key: str, offsets: Mapping[str, str]) -> None:
    """Remember how far each of these is done; the others stay. Write them after the work, never before."""
    pairs = [text for pair in offsets.items() for text in pair]
    if pairs:
        with translated(key):
            await execute(redis, "HSET", key, *pairs)
