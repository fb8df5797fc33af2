"""One supervised process: started, waited for, watched, started again when it crashes, killed when it hangs."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from phoenix95.common.errors import ConfigError
from phoenix95.stack.backoff import Backoff
from phoenix95.stack.last_words import complaint
from phoenix95.stack.probes import Probe

EXIT_POLL_SECONDS: Final = 0.05
LIVE_EVERY_SECONDS: Final = 1.0
LIVE_MISSES_MAX: Final = 3
READY_EVERY_SECONDS: Final = 0.1
ALIVE_SECONDS: Final = 30.0  # a process that has not answered by then since its start never will
EXIT_CONFIG: Final = 2  # the child's settings are wrong: another start would end the same

Launch = Callable[[], "subprocess.Popen[bytes]"]


class GivenUp(Exception):
    """A child cannot be kept alive. The message names it and says why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} was given up: {why}")
        self.name = name


class Child:
    """`launch` starts the process; `ready` and `live` ask it. `changed` is called when a new process was started."""

    def __init__(
        self,
        name: str,
        *,
        launch: Launch,
        ready: Probe,
        live: Probe,
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.restarts = 0
        self.not_ready: str | None = "starting"
        self.ready = asyncio.Event()
        self.process: subprocess.Popen[bytes] | None = None
        self._launch = launch
        self._ask_ready = ready
        self._ask_live = live
        self._log = log
        self._stop_signal = stop_signal
        self._changed = changed
        self._stopping = False
        self._why = ""

    @property
    def pid(self) -> int | None:
        """The process that runs now; None between two."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    async def run(self) -> None:
        """Keep the process alive until `stop`. Raises GivenUp."""
        backoff = Backoff()
        while True:
            self._why = ""
            try:
                self.process = self._launch()
            except (ConfigError, OSError) as error:
                raise GivenUp(self.name, str(error)) from error
            self._changed()
            ready_seconds = await self._lifetime(self.process)
            if self._stopping:
                return
            backoff, delay = backoff.after(ready_seconds)
            if delay is None or self.process.returncode == EXIT_CONFIG:
                raise GivenUp(self.name, f"{self._ended()}: {complaint(self._log)}")
            self.restarts += 1
            self.not_ready = self._ended()
            self._changed()
            await asyncio.sleep(delay)

    async def stop(self, within_seconds: float) -> bool:
        """Ask it to end, kill it when it does not in time. Answers whether it went by itself."""
        self._stopping = True
        process = self.process
        if process is None or process.poll() is not None:
            return True
        process.send_signal(self._stop_signal)
        process.send_signal(signal.SIGCONT)  # one that was stopped could not obey
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return True
            await asyncio.sleep(EXIT_POLL_SECONDS)
        self.kill()
        return False

    def kill(self) -> None:
        """End it at once."""
        self._stopping = True
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def expect_end(self) -> None:
        """From now on its end is wanted and no reason to start it again."""
        self._stopping = True

    async def _lifetime(self, process: "subprocess.Popen[bytes]") -> float:
        """Watch one process to its end; answer how many seconds it was ready."""
        self.ready.clear()
        watching = asyncio.create_task(self._watch(process))
        ready_since: float | None = None
        try:
            while process.poll() is None:
                await asyncio.sleep(EXIT_POLL_SECONDS)
                if ready_since is None and self.ready.is_set():
                    ready_since = time.monotonic()
        finally:
            watching.cancel()
        self.ready.clear()
        return 0.0 if ready_since is None else time.monotonic() - ready_since

    async def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        """Set `ready` once it is; kill it when it has stopped answering, or never began to."""
        deadline = time.monotonic() + ALIVE_SECONDS
        misses, was_alive = 0, False
        while misses < LIVE_MISSES_MAX:
            if not self.ready.is_set():
                self.not_ready = await self._ask_ready()
                if self.not_ready is None:
                    self.ready.set()
            if await self._ask_live() is None:
                misses, was_alive = 0, True
            elif was_alive or time.monotonic() > deadline:
                misses += 1
            await asyncio.sleep(LIVE_EVERY_SECONDS if was_alive and self.ready.is_set() else READY_EVERY_SECONDS)
        self._kill_hung(process, "hung, killed")

    def _kill_hung(self, process: "subprocess.Popen[bytes]", why: str) -> None:
        if process.poll() is None and not self._stopping:
            self._why = why
            process.kill()

    def _ended(self) -> str:
        code = self.process.returncode if self.process is not None else None
        if self._why:
            return self._why
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"
