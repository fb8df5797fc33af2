"""An own Postgres of this machine's binaries: unix socket, a password, nothing outside its folder."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from phoenix95.common.errors import ConfigError
from phoenix95.stack import process
from phoenix95.stack.address import LOOPBACK, Address, fits_socket, free_port
from phoenix95.stack.binaries import postgres_binary
from phoenix95.stack.last_words import last_lines
from phoenix95.stack.redis_server import write_private
from phoenix95.stack.unprivileged import Wrapper, wrapper_for

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 3.0
USER: Final = "p95"
SOCKET_PORT: Final = 5495  # only a part of the socket's file name: no port is opened for it
_ENV: Final[Mapping[str, str]] = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_SETTINGS: Final[Mapping[str, str]] = {
    "shared_buffers": "32MB",
    "max_connections": "60",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}


class PostgresServer:
    """One Postgres in `folder`, its superuser `p95` with `password`.

    `port` is used only when the folder's path is too long for a unix socket; None takes a free one.
    `durable=False` trades the promise of COMMIT for speed and is for tests.
    """

    def __init__(
        self, folder: Path, *, password: str, port: int | None = None, log: Path | None = None, durable: bool = True
    ) -> None:
        self.folder = folder.absolute()
        self.password = password
        self.durable = durable
        self.log = log or self.folder / "postgres.log"
        self.data = self.folder / "data"
        if fits_socket(self.folder / f".s.PGSQL.{SOCKET_PORT}"):
            self.address = Address(path=self.folder)
        else:
            self.address = Address(port=port or free_port())
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        """Where and as whom to connect; both libpq and SQLAlchemy read it."""
        user = f"{USER}:{quote(self.password, safe='')}"
        if self.address.path is not None:
            where = quote(str(self.address.path), safe="")
            return f"postgresql://{user}@/{database}?host={where}&port={SOCKET_PORT}"
        return f"postgresql://{user}@{LOOPBACK}:{self.address.port}/{database}"

    def start(self, *, pass_fds: Sequence[int] = ()) -> None:
        """Create the cluster at the first time, start it, and wait until it answers.

        Raises ConfigError when the binaries are missing or the server refuses to start.
        """
        self.launch(pass_fds=pass_fds)
        if not process.wait_until(lambda: self.answers() or not self.alive(), START_SECONDS) or not self.alive():
            self.kill()
            raise ConfigError(f"Postgres did not start in {self.folder}: {last_lines(self.log)}")

    def launch(self, *, pass_fds: Sequence[int] = ()) -> None:
        """As `start`, without waiting for an answer."""
        binary = postgres_binary()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        wrapper = wrapper_for(self.folder, self.data)
        if not self.data.exists():
            self._create(wrapper)
        self._forget_dead_owner()
        settings = dict(_SETTINGS)
        if self.address.path is not None:
            # Relative to the data folder, where the server works: so spaces and commas in the path do no harm.
            settings |= {"listen_addresses": "", "unix_socket_directories": "..", "port": str(SOCKET_PORT)}
        else:
            settings |= {"listen_addresses": LOOPBACK, "unix_socket_directories": "", "port": str(self.address.port)}
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = process.spawn(
            [*wrapper.argv(signal.SIGINT), binary, "-D", self.data, *options],
            cwd=self.folder,
            log=self.log,
            env=_ENV,
            death_signal=signal.SIGINT,
            pass_fds=pass_fds,
        )

    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def answers(self) -> bool:
        """Whether it accepts connections."""
        host, port = self._host_and_port()
        ask = [str(postgres_binary("pg_isready")), "-q", "-t", "1", "-h", host, "-p", port]
        return subprocess.run(ask, env=_ENV, check=False).returncode == 0

    def run_sql(self, sql: str, *, database: str = "postgres") -> str:
        """Run one statement and answer its rows as text. Raises ConfigError with what Postgres said."""
        host, port = self._host_and_port()
        call = [str(postgres_binary("psql")), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        call += ["-h", host, "-p", port, "-U", USER, "-d", database, "-c", sql]
        done = subprocess.run(
            call, env={**_ENV, "PGPASSWORD": self.password}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ConfigError(f"Postgres refused: {done.stderr.strip()}")
        return done.stdout.strip()

    def create_database(self, name: str) -> None:
        """Create a database unless it exists."""
        if self.run_sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'") != "1":  # noqa: S608 - our own name
            self.run_sql(f'CREATE DATABASE "{name}" TEMPLATE template0')

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, everything committed is on the disk."""
        if self.process is not None:
            process.stop(self.process, signal.SIGINT, within_seconds=STOP_SECONDS)

    def kill(self) -> None:
        """End it as a crash would; its sessions notice and go too."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _host_and_port(self) -> tuple[str, str]:
        if self.address.path is not None:
            return str(self.address.path), str(SOCKET_PORT)
        return LOOPBACK, str(self.address.port)

    def _create(self, wrapper: Wrapper) -> None:
        """Make the cluster beside its place and move it there, so that half of one is never used."""
        draft = self.folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        password_file = self.folder / "password.new"
        write_private(password_file, self.password + "\n")
        for path in (self.folder, password_file):
            wrapper.hand_over(path)
        call: list[str | Path] = [
            *wrapper.argv(),
            postgres_binary("initdb"),
            "-D",
            draft,
            "-U",
            USER,
            "-A",
            "scram-sha-256",
        ]
        call += [f"--pwfile={password_file}", "-E", "UTF8", "--locale=C"]
        if not self.durable:
            call.append("--no-sync")
        made = process.complete(call, cwd=self.folder, env=_ENV)
        password_file.unlink(missing_ok=True)
        if made.returncode != 0:
            said = [line.strip() for line in made.stderr.splitlines() if line.strip()]
            raise ConfigError(f"Postgres cannot create its folder {self.data}: {' | '.join(said[-3:])}")
        draft.replace(self.data)

    def _forget_dead_owner(self) -> None:
        """Remove `postmaster.pid` of a server that is gone; its pid may belong to somebody else by now.

        Raises ConfigError when a Postgres still works in the folder.
        """
        lock = self.data / "postmaster.pid"
        try:
            pid = int(lock.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return
        try:
            works_in = Path(f"/proc/{pid}/cwd").readlink()
        except OSError:
            works_in = None
        if works_in is not None and works_in == Path(os.path.realpath(self.data)):
            raise ConfigError(f"a Postgres already runs in {self.data}, pid {pid}")
        lock.unlink(missing_ok=True)
