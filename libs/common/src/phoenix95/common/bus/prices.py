"""The latest price of each symbol, for people and gates, never for the engine. Expires when the feed is gone."""

from collections.abc import Mapping
from typing import Final

from phoenix95.common import keys
from phoenix95.common.bus.client import Connection, execute, translated

PRICE_TTL_MS: Final = 30_000  # older than this is no price


async def write_prices(
    redis: Connection, prices: Mapping[str, Mapping[str, str]], partitions: int, *, ttl_ms: int = PRICE_TTL_MS
) -> None:
    """Write the given fields of many symbols (fields by symbol) in one round trip; other fields stay."""
    if not prices:
        return
    with translated("prices"):
        async with redis.pipeline(transaction=False) as pipe:
            for symbol, fields in prices.items():
                key = keys.price(symbol, partitions)
                pipe.execute_command("HSET", key, *(part for item in fields.items() for part in item))
                pipe.execute_command("PEXPIRE", key, ttl_ms)
            await pipe.execute()


async def write_price(
    redis: Connection, symbol: str, partitions: int, fields: Mapping[str, str], *, ttl_ms: int = PRICE_TTL_MS
) -> None:
    """Write the given fields of one symbol; other fields stay, and all expire together."""
    await write_prices(redis, {symbol: fields}, partitions, ttl_ms=ttl_ms)


async def read_price(redis: Connection, symbol: str, partitions: int) -> dict[str, str] | None:
    """What the feed last wrote; None when that is older than its time to live."""
    key = keys.price(symbol, partitions)
    with translated(key):
        fields: dict[bytes, bytes] = await execute(redis, "HGETALL", key)
    return {name.decode(): value.decode() for name, value in fields.items()} or None
