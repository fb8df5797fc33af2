"""Names of all keys. The braces are a Redis Cluster hash tag, so that a partition lives in one slot."""

from typing import Final

from phoenix95.common.ids import partition_of

META: Final = "p95:meta"
SYMBOLS: Final = "p95:symbols"
MEMBERS_ENGINE: Final = "p95:members:engine"
COMMAND: Final = "p95:command"
ACK: Final = "p95:ack"
ORDER: Final = "p95:order"
HOST: Final = "p95:host"
HOST_NOW: Final = "p95:host:now"
ALERT: Final = "p95:alert"
FEED_OFFSET: Final = "p95:offset:feed"
MONITOR_OFFSETS: Final = "p95:offset:monitor"
MONITOR_STATUS: Final = "p95:monitor:status"


def tag(partition: int) -> str:
    """The hash tag of a partition, two digits in braces."""
    return f"{{{partition:02d}}}"


def tick(symbol: str, partitions: int) -> str:
    return f"p95:tick:{tag(partition_of(symbol, partitions))}:{symbol}"


def price(symbol: str, partitions: int) -> str:
    return f"p95:price:{tag(partition_of(symbol, partitions))}:{symbol}"


def request(symbol: str, partitions: int) -> str:
    return f"p95:request:{tag(partition_of(symbol, partitions))}:{symbol}"


def analysis(symbol: str, partitions: int) -> str:
    return f"p95:analysis:{tag(partition_of(symbol, partitions))}:{symbol}"


def reply(symbol: str, partitions: int) -> str:
    return f"p95:reply:{tag(partition_of(symbol, partitions))}:{symbol}"


def snapshot(symbol: str, partitions: int) -> str:
    return f"p95:snap:{tag(partition_of(symbol, partitions))}:{symbol}"


def checkpoint(partition: int) -> str:
    return f"p95:ckpt:{tag(partition)}"


def lease(partition: int) -> str:
    return f"p95:lease:{tag(partition)}"


def dead_letter(service: str) -> str:
    return f"p95:dlq:{service}"


def dead_letter_engine(partition: int) -> str:
    """The engine's dead letters lie beside the partition, so that one script can skip and keep an entry."""
    return f"p95:dlq:engine:{tag(partition)}"


def heartbeat(service: str, instance: str) -> str:
    return f"p95:hb:{service}:{instance}"
