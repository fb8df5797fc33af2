"""What a deployment fixed at its first start."""

from typing import Final

from phoenix95.common import keys
from phoenix95.common.bus.client import Connection, execute, translated
from phoenix95.common.errors import ConfigError

_PARTITIONS: Final = "partitions"


async def agree_on_partitions(redis: Connection, partitions: int) -> None:
    """Store the number of partitions at the first start; later raise ConfigError when it is another.

    With another number a symbol's keys would have other names, and its history would seem to be gone.
    """
    with translated(keys.META):
        await execute(redis, "HSETNX", keys.META, _PARTITIONS, partitions)
        stored = int(await execute(redis, "HGET", keys.META, _PARTITIONS))
    if stored != partitions:
        raise ConfigError(
            f"P95_PARTITIONS: {partitions}, but this Redis was started with {stored} and keeps that for life"
        )
