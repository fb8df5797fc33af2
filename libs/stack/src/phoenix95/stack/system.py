"""All children of `up`: how each is started and asked, in which order they start and stop."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from phoenix95.common.bus.acl import USERS, acl_file
from phoenix95.common.errors import ConfigError
from phoenix95.common.settings_registry import variable
from phoenix95.stack import process
from phoenix95.stack.child import EXIT_CONFIG, Child, GivenUp
from phoenix95.stack.environment import Environment
from phoenix95.stack.folder import DataFolder
from phoenix95.stack.last_words import complaint
from phoenix95.stack.postgres_server import SOCKET_PORT, PostgresServer
from phoenix95.stack.probes import Probe, http_probe, postgres_live, redis_live, redis_ready
from phoenix95.stack.redis_server import RedisServer
from phoenix95.stack.screen import Screen

DATABASE: Final = "phoenix95"
EXCHANGE: Final = "paper"
# The feed comes last: the market of a recording begins when it subscribes, and everybody shall be there.
CONSUMERS: Final = ("engine", "executor", "monitor", "gateway")
FEED: Final = "feed"
START_STEPS: Final = 2 + 1 + 1 + len(CONSUMERS) + 1
# Who stops together needs nothing of each other; everybody goes before what they talk to.
STOP_ORDER: Final = (("feed",), ("gateway", "monitor"), ("executor", "engine"), ("paper",), ("postgres", "redis"))
STOP_SECONDS: Final = 6.5  # the whole stop; the promise is 10 s, with what comes before and after
KEPT_SECONDS: Final = 1.5  # of it for each group that is still to come
START_SECONDS: Final = 120.0
MIGRATE_SECONDS: Final = 60.0
LOG_BYTES_MAX: Final = 10_000_000

Command = Callable[[str], list[str]]


def module_command(service: str) -> list[str]:
    """How a service is started."""
    return [sys.executable, "-m", f"phoenix95.{service}"]


class System:
    """The children by name. `lock` is the data folder's, which the servers inherit."""

    def __init__(
        self,
        folder: DataFolder,
        redis: RedisServer,
        postgres: PostgresServer,
        environment: Environment,
        *,
        ports: Mapping[str, int],
        lock: int,
        screen: Screen,
        changed: Callable[[], None],
        command: Command = module_command,
    ) -> None:
        self.children: dict[str, Child] = {}
        self._killed: list[str] = []
        self._folder = folder
        self._redis = redis
        self._postgres = postgres
        self._environment = environment
        self._ports = ports
        self._lock = lock
        self._screen = screen
        self._changed = changed
        self._command = command

    async def start(self, tasks: asyncio.TaskGroup, symbols: Callable[[], Awaitable[tuple[str, ...]]]) -> None:
        """Start everything in order and wait until it is ready. Raises GivenUp or ConfigError.

        `symbols` asks the exchange, once it is there, which symbols the feed shall subscribe to.
        """
        for child in (self._redis_child(), self._postgres_child()):
            self._add(child, tasks)
        await self._all_ready("redis", "postgres")
        self._postgres.create_database(DATABASE)
        self._add(self._service(EXCHANGE), tasks)
        await self._migrate()
        await self._all_ready(EXCHANGE)
        self._environment.symbols = await symbols()
        for name in CONSUMERS:
            self._add(self._service(name), tasks)
        await self._all_ready(*CONSUMERS)
        self._add(self._service(FEED), tasks)
        await self._all_ready(FEED)

    async def stop_source(self) -> None:
        """Stop the feed: nothing new comes in, so that what is counted now is what stays."""
        for child in self.children.values():
            child.expect_end()
        if FEED in self.children and not await self.children[FEED].stop(KEPT_SECONDS):
            self._killed.append(FEED)

    async def stop(self) -> list[str]:
        """Stop everything in order; answer who had to be killed."""
        for child in self.children.values():
            child.expect_end()
        end = time.monotonic() + STOP_SECONDS
        killed = self._killed
        for index, names in enumerate(STOP_ORDER):
            group = [self.children[name] for name in names if name in self.children]
            within = end - time.monotonic() - KEPT_SECONDS * (len(STOP_ORDER) - 1 - index)
            went = await asyncio.gather(*(child.stop(max(KEPT_SECONDS, within)) for child in group))
            killed += [child.name for child, by_itself in zip(group, went, strict=True) if not by_itself]
        return killed

    def kill(self) -> None:
        """End everything at once; what was committed survives it."""
        for child in self.children.values():
            child.kill()

    def pids(self) -> dict[str, int]:
        """Who runs now."""
        return {name: child.pid for name, child in self.children.items() if child.pid is not None}

    def restarts(self) -> dict[str, int]:
        """How often each was started again."""
        return {name: child.restarts for name, child in self.children.items()}

    def troubles(self) -> dict[str, str]:
        """Who is not ready, and why."""
        return {
            name: child.not_ready or "not ready" for name, child in self.children.items() if not child.ready.is_set()
        }

    def _add(self, child: Child, tasks: asyncio.TaskGroup) -> None:
        self.children[child.name] = child
        tasks.create_task(child.run(), name=child.name)

    async def _all_ready(self, *names: str) -> None:
        began = time.monotonic()
        waiting = list(names)
        while waiting:
            for name in [name for name in waiting if self.children[name].ready.is_set()]:
                waiting.remove(name)
                self._screen.step(name, time.monotonic() - began)
            if not waiting:
                return
            first = self.children[waiting[0]]
            self._screen.waiting(f"waiting for {first.name}: {first.not_ready or 'starting'}")
            if time.monotonic() - began > START_SECONDS:
                raise GivenUp(first.name, f"not ready after {START_SECONDS:g} s: {first.not_ready}")
            await asyncio.sleep(0.1)

    def _redis_child(self) -> Child:
        users = {user: self._folder.reveal(f"redis_{user}") for user in USERS}
        self._redis.acl = acl_file(users)
        address = self._redis.address
        return self._child(
            "redis",
            lambda: _launched(self._redis, self._lock),
            redis_ready(address),
            redis_live(address),
        )

    def _postgres_child(self) -> Child:
        server = self._postgres

        async def ready() -> str | None:
            return None if server.answers() else f"{server.address} does not accept connections yet"

        live = postgres_live(server.address, f".s.PGSQL.{SOCKET_PORT}")
        return self._child("postgres", lambda: _launched(server, self._lock), ready, live, signal.SIGINT)

    def _service(self, name: str) -> Child:
        port = self._ports[variable(name, "http_port")]
        log = self._log(name)
        return self._child(
            name,
            lambda: process.spawn(self._command(name), cwd=self._folder.path, log=log, env=self._environment.of(name)),
            http_probe(port, "/readyz"),
            http_probe(port, "/livez"),
        )

    def _child(
        self, name: str, launch: Callable[[], "subprocess.Popen[bytes]"], ready: Probe, live: Probe,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Child:  # fmt: skip
        return Child(
            name,
            launch=launch,
            ready=ready,
            live=live,
            log=self._log(name),
            stop_signal=stop_signal,
            changed=self._changed,
        )

    async def _migrate(self) -> None:
        """Bring the database's tables to the version of this code."""
        began = time.monotonic()
        self._screen.waiting("migrating the database")
        log = self._log("migrate")
        running = process.spawn(
            [*self._command("executor"), "migrate"],
            cwd=self._folder.path,
            log=log,
            env=self._environment.of("executor"),
        )
        try:
            while running.poll() is None:
                if time.monotonic() - began > MIGRATE_SECONDS:
                    raise GivenUp("migrate", f"the migrations did not end within {MIGRATE_SECONDS:g} s")
                await asyncio.sleep(0.05)
        finally:
            if running.poll() is None:
                running.kill()
                running.wait()
        if running.returncode == EXIT_CONFIG:
            raise ConfigError(complaint(log))
        if running.returncode != 0:
            raise GivenUp("migrate", f"the migrations failed: {complaint(log)} (see {log})")
        self._screen.step("migrations", time.monotonic() - began)

    def _log(self, name: str) -> Path:
        """The log of a child; a large one of earlier runs is put aside."""
        log = self._folder.logs / f"{name}.log"
        with contextlib.suppress(FileNotFoundError):
            if name not in self.children and log.stat().st_size > LOG_BYTES_MAX:
                log.replace(log.with_suffix(".log.1"))
        return log


def _launched(server: RedisServer | PostgresServer, lock: int) -> "subprocess.Popen[bytes]":
    server.launch(pass_fds=(lock,))
    if server.process is None:
        raise ConfigError(f"{server.folder}: the server was not started")
    return server.process
