"""The frame of every service: settings, logs, the operations server, signals, drain, exit codes.

A service's `__main__.py` calls `run(name, itsSettings, main)`. `main` works until `context.stop` is set and
then finishes what it holds, within the drain deadline.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, Generic, NoReturn, TypeVar

import structlog
import uvloop
from structlog.typing import FilteringBoundLogger

from phoenix95.common import logs
from phoenix95.common.errors import ConfigError, InvariantBroken, Phoenix95Error
from phoenix95.common.health import Health
from phoenix95.common.metrics import Metrics
from phoenix95.common.ops_server import OpsServer
from phoenix95.common.retry import StopRequested
from phoenix95.common.settings import Settings, load, require
from phoenix95.common.settings_registry import REQUIRED, variable

DRAIN_S: Final = 8.0
CANCEL_S: Final = 1.0  # what a cancelled service gets to clean up
REPEAT_S: Final = 1.0  # supervisors can deliver one stop signal twice

EXIT_OK: Final = 0
EXIT_CRASH: Final = 1
EXIT_CONFIG: Final = 2
EXIT_INVARIANT: Final = 70

S = TypeVar("S", bound=Settings)


class Context(Generic[S]):
    """What a service is given: its settings, the stop to obey, and where it reports."""

    def __init__(self, service: str, settings: S) -> None:
        self.service = service
        self.instance = f"{socket.gethostname()}-{os.getpid()}"
        self.settings = settings
        self.stop = asyncio.Event()
        self.health = Health(service, settings.mode)
        self.metrics = Metrics()
        self.metrics.gauge("p95_mode", "1 under the mode that this process runs in", ["mode"]).labels(
            settings.mode
        ).set(1)
        self.log: FilteringBoundLogger = structlog.get_logger()
        self.started_wall_ms = time.time_ns() // 1_000_000


def run(
    service: str,
    settings_type: type[S],
    main: Callable[[Context[S]], Awaitable[None]],
    *,
    env: Mapping[str, str] | None = None,
    drain_s: float = DRAIN_S,
) -> NoReturn:
    """Run a service to its end and exit: 0 stopped, 1 crashed or forced, 2 misconfigured, 70 invariant broken."""
    try:
        settings = load(settings_type, service, os.environ if env is None else env)
        require(settings, *REQUIRED.get(service, ()))
        logs.configure(service, level=settings.log_level, fmt=settings.log_format)
        listening = bind(settings.http_host, settings.http_port, variable(service, "http_port"))
    except ConfigError as error:
        sys.stderr.write(f"phoenix95 {service}: {error}\n")
        sys.exit(EXIT_CONFIG)
    with listening, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_served(Context(service, settings), main, listening, drain_s))
    sys.exit(code)


def bind(host: str, port: int, setting: str) -> socket.socket:
    """A bound TCP socket; port 0 takes a free one. Raises ConfigError that names the port and its setting."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}: {error.strerror or error}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)  # now, not in the server: two may bind a port, only one may listen on it
    except OSError as error:
        listening.close()
        raise ConfigError(f"port {port} on {host}: {error.strerror or error}; set {setting} to another one") from error
    listening.setblocking(False)
    return listening


async def _served(
    context: Context[S], main: Callable[[Context[S]], Awaitable[None]], listening: socket.socket, drain_s: float
) -> int:
    host, port = listening.getsockname()[:2]
    _obey_signals(context)
    ops = OpsServer(listening, context.health, context.metrics)
    ops_task = asyncio.create_task(ops.serve(), name="ops")
    context.log.info("started", mode=context.settings.mode, ops=f"http://{host}:{port}", pid=os.getpid())
    work = asyncio.ensure_future(main(context))
    try:
        code = await _until_done(context, work, ops_task, drain_s)
    finally:
        context.health.stopping = True
        ops.stop()
    await asyncio.wait({ops_task}, timeout=CANCEL_S)
    context.log.info("stopped", exit_code=code)
    return code


async def _until_done(
    context: Context[S], work: "asyncio.Future[None]", ops: "asyncio.Task[None]", drain_s: float
) -> int:
    """Wait for the work's end, or for the stop and then at most the drain; return the exit code."""
    stopping = asyncio.create_task(context.stop.wait())
    ends: set[asyncio.Future[Any]] = {work, ops, stopping}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if ops.done() and not work.done() and not stopping.done():
        context.log.error("ops_server_ended", exc_info=ops.exception())
        return await _cancelled(context, work)
    stopping.cancel()
    if not work.done():
        await asyncio.wait({work}, timeout=drain_s)
    if not work.done():
        context.log.error("drain_deadline_passed", seconds=drain_s)
        return await _cancelled(context, work)
    return _exit_code(context, None if work.cancelled() else work.exception())


async def _cancelled(context: Context[S], work: "asyncio.Future[None]") -> int:
    work.cancel()
    await asyncio.wait({work}, timeout=CANCEL_S)
    if not work.done():
        context.log.error("forced_to_exit", reason="the work did not end when it was cancelled")
        sys.stderr.flush()
        os._exit(EXIT_CRASH)  # the loop's own end would wait for it without a deadline
    if not work.cancelled() and work.exception() is not None:
        return _exit_code(context, work.exception()) or EXIT_CRASH
    return EXIT_CRASH


def _exit_code(context: Context[S], error: BaseException | None) -> int:
    """Log why the work ended, once, and choose the exit code. The worst of a group decides."""
    causes = list(_leaves(error)) if error is not None else []
    causes = [cause for cause in causes if not isinstance(cause, asyncio.CancelledError | StopRequested)]
    code = EXIT_OK
    for cause in causes:
        if isinstance(cause, InvariantBroken):
            context.log.critical("invariant_broken", error=str(cause), kind=type(cause).__name__)
            code = EXIT_INVARIANT
        elif isinstance(cause, ConfigError):
            context.log.error("misconfigured", error=str(cause))
            code = code or EXIT_CONFIG
        elif isinstance(cause, Phoenix95Error):
            context.log.error("failed", error=str(cause), kind=type(cause).__name__)
            code = EXIT_CRASH if code != EXIT_INVARIANT else code
        else:
            context.log.error("crashed", exc_info=cause)
            code = EXIT_CRASH if code != EXIT_INVARIANT else code
    return code


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors inside a group of a TaskGroup, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _obey_signals(context: Context[S]) -> None:
    """The first SIGTERM or SIGINT asks to stop; a later second one ends the process at once."""
    loop = asyncio.get_running_loop()
    asked_at: list[float] = []

    def asked(name: str) -> None:
        now = time.monotonic()
        if not asked_at:
            asked_at.append(now)
            context.log.info("stopping", signal=name)
            context.health.stopping = True
            context.stop.set()
        elif now - asked_at[0] >= REPEAT_S:
            context.log.error("forced_to_exit", signal=name)
            sys.stderr.flush()
            os._exit(EXIT_CRASH)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked, number.name)
