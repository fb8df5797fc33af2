"""An own Redis of this machine's binary: unix socket, AOF, nothing outside its folder, never the default port."""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from phoenix95.common.errors import ConfigError, TransientError
from phoenix95.stack import process
from phoenix95.stack.address import LOOPBACK, Address, fits_socket, free_port
from phoenix95.stack.binaries import redis_binary
from phoenix95.stack.last_words import last_lines

START_SECONDS: Final = 30.0  # loading a large AOF takes its time
STOP_SECONDS: Final = 2.0
_AOF_FOLDER: Final = "appendonlydir"
_MANIFEST: Final = "appendonly.aof.manifest"
_ENV: Final = {"PATH": os.defpath, "LC_ALL": "C"}


class RedisServer:
    """One `redis-server` in `folder`. `acl` is the text of an ACL file; without it the default user may do all.

    `port` is used only when the folder's path is too long for a unix socket; None takes a free one.
    """

    def __init__(
        self, folder: Path, *, acl: str | None = None, port: int | None = None, log: Path | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.acl = acl
        self.log = log or self.folder / "redis.log"
        socket_path = self.folder / "redis.sock"
        if fits_socket(socket_path):
            self.address = Address(path=socket_path)
        else:
            self.address = Address(port=port or free_port())
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address without a user, as `phoenix95.common.bus.connect` takes it."""
        if self.address.path is not None:
            return f"unix://{quote(str(self.address.path))}"
        return f"redis://{LOOPBACK}:{self.address.port}"

    def start(self, *, pass_fds: Sequence[int] = ()) -> None:
        """Check and repair the append-only file, start, and wait until it answers.

        Raises ConfigError when the binary is missing or the server refuses to start.
        """
        self.launch(pass_fds=pass_fds)
        if not process.wait_until(lambda: self.answers() or not self.alive(), START_SECONDS) or not self.alive():
            self.kill()
            raise ConfigError(f"Redis did not start in {self.folder}: {last_lines(self.log)}")

    def launch(self, *, pass_fds: Sequence[int] = ()) -> None:
        """As `start`, without waiting for an answer."""
        binary = redis_binary()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._repair()
        self._write_config()
        if self.address.path is not None:
            self.address.path.unlink(missing_ok=True)
        self.process = process.spawn(
            [binary, "redis.conf"],
            cwd=self.folder,
            log=self.log,
            env=_ENV,
            death_signal=signal.SIGTERM,
            pass_fds=pass_fds,
        )

    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def answers(self) -> bool:
        """Whether it has loaded its data and speaks. A refusal for want of a password is an answer too."""
        try:
            reply = self.command("PING")
        except (OSError, TransientError):
            return False
        return reply.startswith((b"+PONG", b"-NOAUTH"))

    def command(self, *words: str, timeout_seconds: float = 2.0) -> bytes:
        """Send one command without arguments that need quoting; answers the first line of the reply."""
        with self.address.connect(timeout_seconds) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            reply = b""
            while not reply.endswith(b"\n"):
                part = connection.recv(4096)
                if not part:
                    raise TransientError(f"Redis at {self.address} closed the connection")
                reply += part
        return reply.split(b"\r\n", 1)[0]

    def stop(self) -> None:
        """End it in order: what it acknowledged is on the disk."""
        if self.process is not None:
            process.stop(self.process, signal.SIGTERM, within_seconds=STOP_SECONDS)

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _write_config(self) -> None:
        # All names are relative to the folder, which is the working directory: so any path will do.
        lines = [
            f"port {self.address.port or 0}",
            f"bind {LOOPBACK}",
            "daemonize no",
            "databases 1",
            'save ""',
            "appendonly yes",
            "appendfsync everysec",
            # A torn transaction must stop the start, not be cut in the middle: see `_repair`.
            "aof-load-truncated no",
            "maxmemory-policy noeviction",
            "tcp-keepalive 60",
        ]
        if self.address.path is not None:
            lines += ["unixsocket redis.sock", "unixsocketperm 700"]
        if self.acl is not None:
            write_private(self.folder / "users.acl", self.acl)
            lines.append("aclfile users.acl")
        write_private(self.folder / "redis.conf", "\n".join(lines) + "\n")

    def _repair(self) -> None:
        """Cut a torn tail off the append-only file, after copying it.

        Redis itself would cut inside a MULTI and later run the torn half together with the next transaction.
        """
        files = self.folder / _AOF_FOLDER
        if not (files / _MANIFEST).exists():
            return
        check = [str(redis_binary("redis-check-aof")), _MANIFEST]
        if process.complete(check, cwd=files, env=_ENV).returncode == 0:
            return
        backup = self.folder / f"{_AOF_FOLDER}.torn"
        shutil.rmtree(backup, ignore_errors=True)
        shutil.copytree(files, backup)
        check.insert(1, "--fix")
        fixed = process.complete(check, cwd=files, env=_ENV, text="y\n")
        if fixed.returncode != 0:
            said = fixed.stdout.strip().splitlines()[-1:]
            raise ConfigError(f"Redis' append-only file in {files} cannot be repaired: {' '.join(said)}")


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
