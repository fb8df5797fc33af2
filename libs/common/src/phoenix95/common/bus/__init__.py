"""The only home of Redis. Services get connections here and pass them around; they never import the driver."""

from phoenix95.common.bus.client import Connection, connect, connect_reader, ping, translated

__all__ = ["Connection", "connect", "connect_reader", "ping", "translated"]
