"""The desired symbols: feeds and engines follow this hash, commands change it."""

from phoenix95.common import keys
from phoenix95.common.bus.client import Connection, execute, translated


async def read_symbols(redis: Connection) -> dict[str, bytes]:
    """The desired symbols and what is noted of each (opaque bytes); empty before the first start."""
    with translated(keys.SYMBOLS):
        noted: dict[bytes, bytes] = await execute(redis, "HGETALL", keys.SYMBOLS)
    return {symbol.decode(): note for symbol, note in sorted(noted.items())}


async def add_symbol(redis: Connection, symbol: str, note: bytes = b"{}") -> bool:
    """Want a symbol; True when it is new. An existing symbol's note is replaced."""
    with translated(keys.SYMBOLS):
        return bool(await execute(redis, "HSET", keys.SYMBOLS, symbol, note))


async def remove_symbol(redis: Connection, symbol: str) -> bool:
    """Want a symbol no longer; True when it was wanted."""
    with translated(keys.SYMBOLS):
        return bool(await execute(redis, "HDEL", keys.SYMBOLS, symbol))
