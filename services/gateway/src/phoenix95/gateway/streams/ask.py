"""Requests and commands, appended; replies and prices, read. Every failure here is Redis being away."""

import msgspec

from phoenix95.common import keys
from phoenix95.common.bus import Connection
from phoenix95.common.bus.append import append
from phoenix95.common.bus.beat import list_heartbeats, read_value, write_heartbeat
from phoenix95.common.bus.meta import agree_on_partitions
from phoenix95.common.bus.prices import read_price
from phoenix95.common.bus.reader import entries_between
from phoenix95.common.bus.symbols import read_symbols
from phoenix95.common.events import Analysis, Command, Heartbeat, HostSample, Request
from phoenix95.common.wire import engine_output_decoder, host_decoder, request_decoder
from phoenix95.gateway.away import needs_redis
from phoenix95.gateway.core.asking import RequestName


class Bus:
    """What the routes may do with Redis. Raises Away when it does not answer."""

    def __init__(self, redis: Connection, partitions: int) -> None:
        self._redis = redis
        self._partitions = partitions

    async def ask(self, request: Request) -> RequestName:
        """Append a request. When this raises, the request may have been written all the same."""
        with needs_redis():
            entry_id = await append(self._redis, keys.request(request.symbol, self._partitions), request)
        return RequestName(request.symbol, entry_id)

    async def command(self, command: Command) -> str:
        """Append a command and return its id. When this raises, it may have been written all the same."""
        with needs_redis():
            return await append(self._redis, keys.COMMAND, command)

    async def reply(self, name: RequestName) -> Analysis | None:
        """The engine's answer to a request; None while there is none."""
        d = await self._entry(keys.reply(name.symbol, self._partitions), name.entry_id)
        output = None if d is None else engine_output_decoder.decode(d)
        return output if isinstance(output, Analysis) else None

    async def asked(self, name: RequestName) -> Request | None:
        """What was asked under a name; None when there is no such request, or no longer."""
        d = await self._entry(keys.request(name.symbol, self._partitions), name.entry_id)
        return None if d is None else request_decoder.decode(d)

    async def symbols(self) -> list[str]:
        """The desired symbols, sorted."""
        with needs_redis():
            return list(await read_symbols(self._redis))

    async def price(self, symbol: str) -> dict[str, str] | None:
        """What the feed last wrote of a symbol; None when that expired."""
        with needs_redis():
            return await read_price(self._redis, symbol, self._partitions)

    async def heartbeats(self) -> list[Heartbeat]:
        """All services that live."""
        with needs_redis():
            return await list_heartbeats(self._redis)

    async def host(self) -> HostSample | None:
        """The machine's current state; None when the monitor has not written for two intervals."""
        with needs_redis():
            d = await read_value(self._redis, keys.HOST_NOW)
        try:
            return None if d is None else host_decoder.decode(d)
        except msgspec.MsgspecError:
            return None

    async def agree(self) -> None:
        """Check that this deployment has our number of partitions. Raises ConfigError when it has another."""
        with needs_redis():
            await agree_on_partitions(self._redis, self._partitions)

    async def beat(self, sign: Heartbeat) -> None:
        """Write the gateway's own heartbeat."""
        with needs_redis():
            await write_heartbeat(self._redis, sign)

    async def _entry(self, key: str, entry_id: str) -> bytes | None:
        with needs_redis():
            entries = await entries_between(self._redis, key, entry_id, entry_id, 1)
        return entries[0][1].get(b"d") if entries else None
