"""Executors and paper exchanges that start fast: everything is imported once, and each of them is a fork of that.

A kill -9 of such a process is a kill -9 of the real thing: it has its own pid, sockets and memory, and runs the
service's own `main`. Only the half second of imports is saved, so that a thousand starts take minutes.

Run as `python -m tests.kill.nursery`: one JSON command a line on standard input, one JSON answer a line.
"""

import asyncio
import json
import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
ANSWER_S: Final = 20.0


class Nursery:
    """The other end: asks the nursery process to start and kill executors."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, log: Path) -> "Nursery":
        """Start the process and wait until everything is imported."""
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.kill.nursery",
                cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        nursery = cls(process)
        await nursery._ask({"do": "hello"})
        return nursery

    async def start(self, env: Mapping[str, str], log: Path) -> int:
        """Fork an executor with exactly this environment; its pid."""
        return int((await self._ask(_start("executor", (), env, log)))["pid"])

    async def kill(self, pid: int) -> int:
        """End an executor with SIGKILL; its wait status: -9 when this killed it, an exit code when it had ended."""
        return int((await self._ask({"do": "kill", "pid": pid}))["status"])

    async def close(self) -> None:
        """End the process and every executor that it still has."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def _ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        async with self._lock:
            stdin.write(json.dumps(command).encode() + b"\n")
            await stdin.drain()
            line = await asyncio.wait_for(stdout.readline(), ANSWER_S)
        if not line:
            raise RuntimeError("the nursery ended; see its log")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Forks:
    """The same for many tests with an event loop each: it blocks, and what it starts looks like a Popen."""

    def __init__(self, log: Path) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.kill.nursery"],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip

    def start(self, service: str, words: Sequence[str], env: Mapping[str, str], log: Path) -> "Fork":
        """Fork `python -m phoenix95.<service> <words>` with exactly this environment."""
        return Fork(self, self.ask(_start(service, words, env, log))["pid"])

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(command).encode() + b"\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError("the nursery ended; see its log")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._process.communicate()


class Fork:
    """A process of a nursery. `returncode` is None as far as anybody has seen it end."""

    def __init__(self, forks: Forks, pid: int) -> None:
        self._forks = forks
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._forks.ask({"do": "poll", "pid": self.pid})["status"]
        return self.returncode

    def wait(self, seconds: float = ANSWER_S) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        end = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"fork {self.pid}", seconds)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:  # not reaped yet, so the pid is still this one's
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _start(service: str, words: Sequence[str], env: Mapping[str, str], log: Path) -> dict[str, Any]:
    return {"do": "start", "service": service, "words": [*words], "env": dict(env), "log": str(log)}


def _serve() -> None:
    """Obey until the input ends. Nothing here starts a thread or an event loop: forks stay clean."""
    import phoenix95.executor.service
    import phoenix95.paper.service  # noqa: F401 - imported once for all forks

    children: set[int] = set()
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, int | None] = {}
        if command["do"] == "start":
            pid = os.fork()
            if pid == 0:
                _become(**{name: command[name] for name in ("service", "words", "env", "log")})
            children.add(pid)
            answer["pid"] = pid
        elif command["do"] == "kill":
            os.kill(command["pid"], signal.SIGKILL)  # not reaped yet, so the pid is still this child's
            answer["status"] = _reaped(children, command["pid"], 0)
        elif command["do"] == "poll":
            answer["status"] = _reaped(children, command["pid"], os.WNOHANG)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _reaped(children: set[int], pid: int, options: int) -> int | None:
    """The wait status of a child that has ended; None while it runs."""
    ended, status = os.waitpid(pid, options)
    if not ended:
        return None
    children.discard(pid)
    return os.waitstatus_to_exitcode(status)


def _become(service: str, words: list[str], env: dict[str, str], log: str) -> None:
    os.environ.clear()
    os.environ.update(env)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = [f"phoenix95.{service}", *words]
    code = 1
    try:
        runpy.run_module(f"phoenix95.{service}", run_name="__main__", alter_sys=False)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:
        traceback.print_exc()
    else:
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
