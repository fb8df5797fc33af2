"""`phoenix95 up` from the first check to the last line: prepare, start, watch, sum up, stop."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from phoenix95.common.bus import connect
from phoenix95.common.errors import ConfigError
from phoenix95.common.settings import check_names
from phoenix95.stack.address import LOOPBACK
from phoenix95.stack.binaries import check_binaries
from phoenix95.stack.child import GivenUp
from phoenix95.stack.environment import Environment, check_environment
from phoenix95.stack.figures import Summary, analyses_of
from phoenix95.stack.folder import DataFolder, State
from phoenix95.stack.memory import MemoryPeaks
from phoenix95.stack.observer import Observer
from phoenix95.stack.options import Options, resolve_source
from phoenix95.stack.ports import GATEWAY_PORT, choose_ports
from phoenix95.stack.postgres_server import PostgresServer
from phoenix95.stack.profile import parse_profile, read_profile
from phoenix95.stack.redis_server import RedisServer, write_private
from phoenix95.stack.screen import Screen
from phoenix95.stack.system import DATABASE, START_STEPS, Command, System, module_command

LOOK_SECONDS: Final = 1.0
MEMORY_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 60.0  # after the end of a recording
FINISH_SECONDS: Final = 30.0
FINISH_SECONDS_STOPPED: Final = 1.0  # a person waits: the whole stop takes at most 10 s
REPEAT_SECONDS: Final = 1.0  # a terminal and a supervisor can deliver one stop twice
_SERVERS: Final = frozenset({"redis", "postgres"})


class _StopAsked(Exception):
    """A signal came."""


class _Over(Exception):
    """The run has reached its end."""


async def supervise(
    options: Options, env: Mapping[str, str], screen: Screen, *, command: Command = module_command
) -> tuple[int, Summary | None]:
    """Run until stopped; answer the exit code, and the summary unless nothing was started.

    Raises ConfigError before anything was started.
    """
    check_environment(env)
    folder = DataFolder(options.data)
    lock = folder.take()
    try:
        return await Run(options, env, screen, folder, lock, command).whole()
    finally:
        folder.release()


class Run:
    """One life of the system."""

    def __init__(
        self, options: Options, env: Mapping[str, str], screen: Screen, folder: DataFolder, lock: int, command: Command
    ) -> None:
        stored = None if options.fresh else folder.stored_source()
        self.source = resolve_source(options.source, stored, until_end=options.until_end)
        text = read_profile(options.profile)
        profile = parse_profile(options.profile, text)
        check_names(env, f"--profile {options.profile}", profile)
        self.ports = choose_ports(env)
        check_binaries()
        if options.fresh:  # only now: nothing is thrown away for a start that is refused
            folder.clear()
        folder.prepare()
        write_private(folder.config, text)
        folder.store_source(self.source)
        self._options = options
        self._screen = screen
        self._folder = folder
        self._redis = RedisServer(folder.path / "redis", log=folder.logs / "redis.log")
        postgres = PostgresServer(
            folder.path / "postgres", password=folder.reveal("postgres"), log=folder.logs / "postgres.log"
        )
        environment = Environment(
            folder,
            env,
            ports=self.ports,
            source=self.source,
            speed=options.speed,
            profile=profile,
            redis_url=self._redis.url,
            postgres_url=postgres.url(DATABASE),
        )
        self._system = System(
            folder,
            self._redis,
            postgres,
            environment,
            ports=self.ports,
            lock=lock,
            screen=screen,
            changed=self._publish,
            command=command,
        )
        redis = connect(self._redis.url, name="p95-up", username="operator", password=folder.reveal("redis_operator"))
        self._redis_client = redis
        self._observer = Observer(redis, self.ports, folder.reveal("api_key"))
        self._memory = MemoryPeaks()
        self._began = time.monotonic()
        self._ready = False
        self._settled: bool | None = None
        self._given_up: str | None = None

    async def whole(self) -> tuple[int, Summary | None]:
        """Start, run, stop. Whatever happens, no child is left."""
        stop = asyncio.Event()
        self._obey_signals(stop)
        try:
            await self._until_over(stop)
            self._screen.end_progress()
            self._screen.end_live()
            if self._ready:
                self._sample_memory()
                await self._observer.ask_latencies()
            await self._system.stop_source()
            summary = await self._summary(stop)
        finally:
            self._screen.end_progress()
            self._screen.end_live()
            self._screen.say("stopping ...")
            killed = await self._system.stop()
            await self._redis_client.aclose()
        if killed:
            self._screen.say(f"killed, because it did not end in time: {', '.join(killed)}")
        if self._ready:
            self._screen.summarize(summary)
        if self._given_up is not None:
            self._screen.say(self._given_up, style="bold red")
        return (1 if self._given_up is not None else 0), summary

    async def _until_over(self, stop: asyncio.Event) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_raise_when(stop))
                self._screen.begin(START_STEPS)
                await self._system.start(tasks, self._symbols)
                self._screen.end_progress()
                self._ready = True
                self._publish()
                self._announce()
                await self._watch(stop)
                raise _Over
        except* (_StopAsked, _Over):
            pass
        except* (GivenUp, ConfigError) as group:
            self._given_up = str(_first(group))

    def _announce(self) -> None:
        key_file = self._folder.path / "secrets" / "api_key"
        self._screen.say(f"running {self.source} at speed {self._options.speed:g}; logs in {self._folder.logs}")
        self._screen.say(f"gateway  {self._gateway_url()}", style="bold")
        self._screen.say(f"API key  {self._folder.reveal('api_key')}   (header X-API-Key; kept in {key_file})")

    async def _watch(self, stop: asyncio.Event) -> None:
        """Show the figures until the run is over.

        The stop is looked at too: up to Python 3.11 `asyncio.wait_for`, which Redis' driver uses, loses a
        cancellation that comes together with its result.
        """
        began = time.monotonic()
        memory_at, ended_at = 0.0, None
        while not stop.is_set():
            round_began = time.monotonic()
            if round_began - memory_at >= MEMORY_SECONDS:
                memory_at = round_began
                self._sample_memory()
            figures = await self._observer.look()
            self._screen.show(figures, self._system.troubles(), sum(self._system.restarts().values()))
            if self._options.run_seconds is not None and time.monotonic() - began >= self._options.run_seconds:
                return
            if self._options.until_end:
                ended_at = await self._look_for_end(ended_at)
                if self._settled is not None:
                    return
            left = LOOK_SECONDS - (time.monotonic() - round_began)
            if self._options.run_seconds is not None:
                left = min(left, began + self._options.run_seconds - time.monotonic())
            await asyncio.sleep(max(0.05, left))

    async def _look_for_end(self, ended_at: float | None) -> float | None:
        """Set `_settled` when everything behind the recording's end is done, or has taken too long."""
        paper = await self._observer.paper()
        if paper is None or not paper.done:
            return ended_at
        now = time.monotonic()
        ended_at = now if ended_at is None else ended_at
        reason = self._observer.unsettled(paper)
        if reason is None:
            self._settled = True
        elif now - ended_at > SETTLE_SECONDS:
            self._screen.say(f"the recording ended {SETTLE_SECONDS:g} s ago, but {reason}", style="yellow")
            self._settled = False
        return ended_at

    async def _symbols(self) -> tuple[str, ...]:
        """The symbols that a recording has; a synthetic market has what the feed asks for by itself."""
        if self.source.kind == "synthetic":
            return ()
        paper = await self._observer.paper()
        if paper is None or not paper.symbols:
            raise GivenUp("paper", "it does not say which symbols its recording has")
        return tuple(paper.symbols)

    async def _summary(self, stop: asyncio.Event) -> Summary:
        complete = False
        if self._ready:
            complete = await self._observer.finish(FINISH_SECONDS_STOPPED if stop.is_set() else FINISH_SECONDS)
        counts = self._observer.census.by_symbol()
        ledger = self._observer.ledger
        return Summary(
            source=str(self.source),
            speed=self._options.speed,
            seconds=round(time.monotonic() - self._began, 1),
            ticks={symbol: count.trades for symbol, count in counts.items()},
            gaps={symbol: count.gaps for symbol, count in counts.items()},
            analyses=analyses_of(counts),
            decisions=ledger.decisions,
            orders=ledger.orders,
            fills=ledger.fills,
            positions=ledger.positions,
            restarts=self._system.restarts(),
            pss_mb=self._memory.pss_mb,
            rss_mb=self._memory.rss_mb,
            latency_ms=self._observer.latency_ms,
            equity=ledger.equity,
            complete=complete,
            settled=self._settled,
            given_up=self._given_up,
        )

    def _sample_memory(self) -> None:
        pids = {name: pid for name, pid in self._system.pids().items() if name not in _SERVERS}
        self._memory.sample({**pids, "up": os.getpid()})

    def _publish(self) -> None:
        self._folder.store_state(
            State(
                pid=os.getpid(),
                gateway_url=self._gateway_url(),
                ports=self.ports,
                pids=self._system.pids(),
                restarts=self._system.restarts(),
                redis_url=self._redis.url,
                ready=self._ready,
            )
        )

    def _gateway_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports[GATEWAY_PORT]}"

    def _obey_signals(self, stop: asyncio.Event) -> None:
        """The first signal stops in order, a later second one kills."""
        loop = asyncio.get_running_loop()
        asked_at: list[float] = []

        def asked() -> None:
            if not asked_at:
                asked_at.append(time.monotonic())
                stop.set()
            elif time.monotonic() - asked_at[0] >= REPEAT_SECONDS:
                self._given_up = self._given_up or "killed: a second stop was asked for"
                self._system.kill()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, asked)


async def _raise_when(stop: asyncio.Event) -> None:
    await stop.wait()
    raise _StopAsked


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def encode_summary(summary: Summary) -> str:
    """The one JSON object of --json."""
    return msgspec.json.format(msgspec.json.encode(summary)).decode()
