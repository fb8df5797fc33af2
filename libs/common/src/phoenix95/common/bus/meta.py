"""What a deployment fixed at its first start."""

from typing import Final

from phoenix95.common import keys
from phoenix95.common.bus.client import Connection, execute, translated
from phoenix95.common.errors import ConfigError
from phoenix95.common.modes import Mode

_PARTITIONS: Final = "partitions"
_MODE: Final = "mode"


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


async def agree_on_mode(redis: Connection, mode: Mode) -> None:
    """Store the mode at the first start; later raise ConfigError when it is another.

    The ticks and analyses of one exchange must not be continued, and not be traded upon, at another one.
    """
    with translated(keys.META):
        await execute(redis, "HSETNX", keys.META, _MODE, mode)
        stored = (await execute(redis, "HGET", keys.META, _MODE)).decode()
    if stored != mode:
        raise ConfigError(f"P95_MODE is {mode}, but this Redis holds the data of {stored}: use one of its own")
