"""Executors that start fast: everything is imported once, and each executor is a fork of that.

A kill -9 of such a process is a kill -9 of the real thing: it has its own pid, sockets and memory, and runs the
service's own `main`. Only the half second of imports is saved, so that a thousand starts take minutes.

Run as `python -m tests.kill.nursery`: one JSON command a line on standard input, one JSON answer a line.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
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
        return int((await self._ask({"do": "start", "env": dict(env), "log": str(log)}))["pid"])

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


def _serve() -> None:
    """Obey until the input ends. Nothing here starts a thread or an event loop: forks stay clean."""
    import phoenix95.executor.service  # noqa: F401 - imported once for all forks

    children: set[int] = set()
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, int] = {}
        if command["do"] == "start":
            pid = os.fork()
            if pid == 0:
                _become_executor(command["env"], command["log"])
            children.add(pid)
            answer["pid"] = pid
        elif command["do"] == "kill":
            os.kill(command["pid"], signal.SIGKILL)  # not reaped yet, so the pid is still this child's
            answer["status"] = os.waitstatus_to_exitcode(os.waitpid(command["pid"], 0)[1])
            children.discard(command["pid"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _become_executor(env: dict[str, str], log: str) -> None:
    from phoenix95.executor.__main__ import main

    os.environ.clear()
    os.environ.update(env)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["phoenix95.executor"]
    code = 1
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
