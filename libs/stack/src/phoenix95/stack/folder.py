"""The data folder of `up`: one owner at a time, secrets, and what a second start must know."""

import fcntl
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Final

import msgspec

from phoenix95.common.errors import ConfigError
from phoenix95.stack.options import Source
from phoenix95.stack.redis_server import write_private

LOCK_WAIT_SECONDS: Final = 8.0  # servers of an `up` that was killed finish within this time
_LOCK: Final = "up.lock"
_KEY_BYTES: Final = 24
_OURS: Final = ("redis", "postgres", "paper", "logs", "secrets", "tmp", "config.toml", "market.json", "state.json")


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What runs now, for `status`, for tests and for people. Written again at each start of a child."""

    pid: int
    gateway_url: str
    ports: dict[str, int]
    pids: dict[str, int]
    restarts: dict[str, int]
    redis_url: str
    ready: bool


class DataFolder:
    """Everything the system writes lies below `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self.tmp = path / "tmp"
        self.config = path / "config.toml"
        self._lock: int | None = None

    def take(self) -> int:
        """Become the only owner and return the lock's descriptor.

        Redis and Postgres inherit it, so that the folder stays taken until the last writer is gone, even if
        `up` is killed. Raises ConfigError when another one runs here, and for a folder that is not ours.
        """
        self._make()
        lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LOCK_WAIT_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                owner = os.pread(lock, 32, 0).decode(errors="replace").strip()
                if _runs(owner) or time.monotonic() > deadline:
                    os.close(lock)
                    who = f"pid {owner}" if _runs(owner) else "a server of an earlier run has not ended"
                    raise ConfigError(f"already running in {self.path}, {who}") from None
                time.sleep(0.1)
        (self.path / "state.json").unlink(missing_ok=True)  # of one that was killed
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock
        return lock

    def release(self) -> None:
        """Let another `up` have the folder."""
        (self.path / "state.json").unlink(missing_ok=True)
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def clear(self) -> None:
        """Remove what earlier runs left, and nothing else. Only the owner may."""
        for name in _OURS:
            path = self.path / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def prepare(self) -> None:
        """Make the sub-folders."""
        for folder in (self.logs, self.tmp, self.path / "paper", self.path / "secrets"):
            folder.mkdir(mode=0o700, exist_ok=True)

    def secret(self, name: str, value: str | None = None) -> Path:
        """The file of a secret: written with `value`, or made up at the first time and kept."""
        path = self.path / "secrets" / name
        if value is not None:
            write_private(path, value + "\n")
        elif not path.exists():
            write_private(path, secrets.token_urlsafe(_KEY_BYTES) + "\n")
        return path

    def reveal(self, name: str) -> str:
        """The text of a secret, made up at the first time."""
        return self.secret(name).read_text().strip()

    def stored_source(self) -> Source | None:
        """The market that the folder was started with; None for a new folder."""
        try:
            return msgspec.json.decode((self.path / "market.json").read_bytes(), type=Source)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise ConfigError(f"{self.path / 'market.json'} cannot be read: {error}; add --fresh") from error

    def store_source(self, source: Source) -> None:
        """Remember the market for the next start."""
        write_private(self.path / "market.json", msgspec.json.encode(source).decode() + "\n")

    def store_state(self, state: State) -> None:
        """Publish what runs."""
        write_private(self.path / "state.json", msgspec.json.format(msgspec.json.encode(state)).decode() + "\n")

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = {entry.name for entry in self.path.iterdir()}
            writable = os.access(self.path, os.W_OK | os.X_OK)
        except OSError as error:
            raise ConfigError(f"--data {self.path}: {error.strerror}") from error
        if not writable:
            raise ConfigError(f"--data {self.path}: not writable")
        if found and _LOCK not in found:
            raise ConfigError(f"--data {self.path}: not empty, and not a data folder of phoenix95")


def _runs(pid: str) -> bool:
    """Whether the process that wrote its id into the lock is alive."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
