"""A reader's own offset in a stream of commands, for readers whose work may be repeated."""

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
