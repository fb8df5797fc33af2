"""Where a local server listens: a unix socket, or a loopback port where the path is too long for one."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOCKET_PATH_MAX: Final = 107  # bytes; sockaddr_un has 108 with the closing zero
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Address:
    """Either `path` of a unix socket or a loopback `port`; the other is None."""

    path: Path | None = None
    port: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else f"{LOOPBACK}:{self.port}"

    def connect(self, timeout_seconds: float) -> socket.socket:
        """A connected socket. Raises OSError."""
        if self.path is not None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(timeout_seconds)
            try:
                connection.connect(str(self.path))
            except BaseException:
                connection.close()
                raise
            return connection
        return socket.create_connection((LOOPBACK, self.port or 0), timeout=timeout_seconds)


def fits_socket(path: Path) -> bool:
    """Whether a unix socket can have this path."""
    return len(os.fsencode(path)) <= SOCKET_PATH_MAX


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether one can listen on the port. A socket in TIME_WAIT does not count as busy."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
