"""How commands reach the socket: packed in C, and without losing a cancellation.

The driver reads replies with hiredis, but in asyncio it packs commands in Python; a batch for the publish guard has
hundreds of arguments, and packing them costs more than all else we do. And it sends under `asyncio.wait_for`, which up
to Python 3.11 swallows a cancellation that arrives together with the result: a task that is told to stop would go on.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError


class _Packed:
    """Replaces the driver's packing; the bytes are the same. Arguments are text, bytes and numbers."""

    def pack_command(self, *args: Any) -> list[bytes]:
        name = args[0]  # may be of two words, as in "XINFO STREAM"
        if " " in name if isinstance(name, str) else b" " in name:
            args = (*name.split(), *args[1:])
        return [hiredis.pack_command(args)]


class _Sent(AbstractConnection):
    """Replaces the driver's sending; the errors are the same."""

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()  # type: ignore[no-untyped-call]
        parts = [command.encode()] if isinstance(command, str) else [command] if isinstance(command, bytes) else command
        try:
            async with asyncio.timeout(self.socket_timeout):
                await self._send_packed_command(parts)
        except BaseException as error:
            # Half a command may be in the socket, so the connection is of no use any more.
            await self.disconnect(nowait=True)
            if isinstance(error, TimeoutError):
                raise RedisTimeoutError("Timeout writing to socket") from None
            if isinstance(error, OSError):
                raise RedisConnectionError(f"Error while writing to socket: {error}") from error
            raise


class _PackedTcp(_Packed, _Sent, Connection):
    pass


class _PackedTls(_Packed, _Sent, SSLConnection):
    pass


class _PackedUnix(_Packed, _Sent, UnixDomainSocketConnection):
    pass


_PACKED: Final[dict[type[AbstractConnection], type[AbstractConnection]]] = {
    Connection: _PackedTcp,
    SSLConnection: _PackedTls,
    UnixDomainSocketConnection: _PackedUnix,
}


def pack_in_c(pool: ConnectionPool) -> None:
    """Let the connections that `pool` will make pack their commands in C."""
    pool.connection_class = _PACKED[pool.connection_class]
