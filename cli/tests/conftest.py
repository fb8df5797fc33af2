"""The command as a person runs it, against a system that runs: one for all tests of a worker."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CLI = [sys.executable, "-m", "phoenix95.cli"]
START_S = 60
STOP_S = 15
ANSWER_S = 40
PORTS = (
    "P95_GATEWAY_PORT", "P95_PAPER_PORT", "P95_PAPER_WS_PORT", "P95_FEED_HTTP_PORT", "P95_ENGINE_HTTP_PORT",
    "P95_EXECUTOR_HTTP_PORT", "P95_MONITOR_HTTP_PORT", "P95_GATEWAY_HTTP_PORT", "P95_PAPER_HTTP_PORT",
)  # fmt: skip


class Said(NamedTuple):
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


def hear_ctrl_c() -> None:
    """For a new process: what runs in the background of a shell ignores Ctrl-C, and hands that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Commands:
    """Runs `phoenix95` with the data folder of a running system; `columns` is the terminal's width."""

    def __init__(self, data: Path) -> None:
        self.data = data

    @property
    def url(self) -> str:
        """The gateway's address."""
        return str(json.loads((self.data / "state.json").read_text())["gateway_url"])

    def __call__(self, *words: str, columns: int = 100, **env: str) -> Said:
        where = [] if "--url" in words or "P95_GATEWAY_URL" in env else ["--data", str(self.data)]
        done = subprocess.run(
            [*CLI, *words, *where],
            env={"COLUMNS": str(columns), **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **how: Any) -> "subprocess.Popen[Any]":
        """One that goes on until it is stopped. `how` replaces the pipes: see `subprocess.Popen`."""
        how = how or {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*CLI, *words, "--data", str(self.data)], preexec_fn=hear_ctrl_c, **how)


@pytest.fixture(scope="session")
def phoenix95(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """The whole system on free ports, with its simulated exchange; everything of it ends with the tests."""
    data = tmp_path_factory.mktemp("cli") / "data"
    said = data.with_name("up.stderr")
    up = subprocess.Popen(
        [*CLI, "up", "--data", str(data), "--json"],
        stdout=subprocess.DEVNULL,
        stderr=said.open("wb"),
        env={k: v for k, v in os.environ.items() if not k.startswith("P95_")} | dict.fromkeys(PORTS, "0"),
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + START_S
        while not _ready(data):
            assert up.poll() is None, said.read_text()[-2000:]
            assert time.monotonic() < deadline, f"not up in {START_S} s: {said.read_text()[-2000:]}"
            time.sleep(0.2)
        yield Commands(data)
    finally:
        up.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            up.wait(timeout=STOP_S)
        up.kill()


def _ready(data: Path) -> bool:
    with contextlib.suppress(OSError, json.JSONDecodeError):
        return bool(json.loads((data / "state.json").read_text()).get("ready"))
    return False
