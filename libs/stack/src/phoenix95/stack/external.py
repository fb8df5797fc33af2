"""Servers that somebody else runs, known by their URL alone; for tests."""

import shutil
import socket
import subprocess
from urllib.parse import unquote, urlsplit, urlunsplit

from phoenix95.common.errors import ConfigError, TransientError

REDIS_PORT_DEFAULT = 6379
_TIMEOUT_SECONDS = 5.0


class ExternalRedis:
    """A Redis at `url` (`redis://[user:password@]host:port` or `unix:///path`)."""

    def __init__(self, url: str) -> None:
        self.url = url

    def command(self, *words: str) -> bytes:
        """Send one plain command, answer the reply's first line. Raises TransientError or OSError."""
        parts = urlsplit(self.url)
        lines = [" ".join(words)]
        if parts.password:
            lines.insert(0, f"AUTH {unquote(parts.username or 'default')} {unquote(parts.password)}")
        with self._connect() as connection, connection.makefile("rb") as replies:
            connection.sendall("".join(f"{line}\r\n" for line in lines).encode())
            reply = b""
            for _ in lines:
                reply = replies.readline().rstrip()
                if not reply or reply.startswith(b"-"):
                    raise TransientError(f"Redis answered {reply.decode()!r}")
        return reply

    def _connect(self) -> socket.socket:
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(_TIMEOUT_SECONDS)
            connection.connect(unquote(parts.path))
            return connection
        return socket.create_connection((parts.hostname, parts.port or REDIS_PORT_DEFAULT), timeout=_TIMEOUT_SECONDS)


class ExternalPostgres:
    """A Postgres at `url`, whose user may create databases."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, database: str = "postgres") -> str:
        """The same server, another database."""
        parts = urlsplit(self._url)
        return urlunsplit(parts._replace(path=f"/{database}"))

    def run_sql(self, sql: str) -> str:
        """Run one statement with psql. Raises ConfigError with what Postgres said."""
        psql = shutil.which("psql")
        if psql is None:
            raise ConfigError("psql is not installed; install it with: apt-get install postgresql-client-15")
        call = [psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self._url, "-c", sql]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ConfigError(f"Postgres refused: {done.stderr.strip()}")
        return done.stdout.strip()
