"""Finds the server binaries of this machine. Nothing is downloaded; what is missing is named with its install line."""

import shutil
from pathlib import Path
from typing import Final

from phoenix95.common.errors import ConfigError

INSTALL_LINE: Final = "apt-get install -y --no-install-recommends redis-server postgresql-15"
POSTGRES_OLDEST: Final = 15
_POSTGRES_HOMES: Final = (Path("/usr/lib/postgresql"), Path("/usr/local/lib/postgresql"))


def redis_binary(name: str = "redis-server") -> Path:
    """The path of `redis-server`, `redis-check-aof` or `redis-cli`. Raises ConfigError with the install line."""
    found = shutil.which(name) or shutil.which(name, path="/usr/bin:/usr/local/bin:/usr/sbin")
    if found is None:
        raise ConfigError(f"{name} is not installed; install it with: {INSTALL_LINE}")
    return Path(found)


def postgres_binary(name: str = "postgres") -> Path:
    """The path of a program of the newest Postgres of this machine. Raises ConfigError with the install line.

    Debian keeps `postgres` and `initdb` out of PATH, in a folder for each major version.
    """
    needed = ("postgres", "initdb", name)
    versions = [
        (int(folder.parent.name), folder / name)
        for home in _POSTGRES_HOMES
        for folder in home.glob("*/bin")
        if folder.parent.name.isdigit() and all((folder / each).exists() for each in needed)
    ]
    if versions:
        version, path = max(versions)
        if version >= POSTGRES_OLDEST:
            return path
    found = shutil.which(name)
    if found is None or shutil.which("initdb") is None:
        raise ConfigError(f"Postgres {POSTGRES_OLDEST} or newer is not installed; install it with: {INSTALL_LINE}")
    return Path(found)


def check_binaries() -> None:
    """Raise ConfigError with the install line unless everything is there."""
    for name in ("redis-server", "redis-check-aof"):
        redis_binary(name)
    for name in ("postgres", "initdb", "pg_isready", "psql"):
        postgres_binary(name)
