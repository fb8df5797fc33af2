"""Commands packed in C. The driver reads replies with hiredis, but in asyncio it packs commands in Python.

A batch for the publish guard has hundreds of arguments, and packing them costs more than all else we do.
"""

from typing import Any, Final

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection


class _Packed:
    """Replaces the driver's packing; the bytes are the same. Arguments are text, bytes and numbers."""

    def pack_command(self, *args: Any) -> list[bytes]:
        name = args[0]  # may be of two words, as in "XINFO STREAM"
        if " " in name if isinstance(name, str) else b" " in name:
            args = (*name.split(), *args[1:])
        return [hiredis.pack_command(args)]


class _PackedTcp(_Packed, Connection):
    pass


class _PackedTls(_Packed, SSLConnection):
    pass


class _PackedUnix(_Packed, UnixDomainSocketConnection):
    pass


_PACKED: Final[dict[type[AbstractConnection], type[AbstractConnection]]] = {
    Connection: _PackedTcp,
    SSLConnection: _PackedTls,
    UnixDomainSocketConnection: _PackedUnix,
}


def pack_in_c(pool: ConnectionPool) -> None:
    """Let the connections that `pool` will make pack their commands in C."""
    pool.connection_class = _PACKED[pool.connection_class]
