"""The whole system as a person runs it: `phoenix95 up`, its gateway over HTTP, its processes by their ids."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

UP = [str(Path(sys.executable).with_name("phoenix95")), "up"]
START_S = 60
STOP_S = 12  # ten are promised
POLL_S = 0.1
PORTS = (
    "P95_GATEWAY_PORT", "P95_PAPER_PORT", "P95_PAPER_WS_PORT", "P95_FEED_HTTP_PORT", "P95_ENGINE_HTTP_PORT",
    "P95_EXECUTOR_HTTP_PORT", "P95_MONITOR_HTTP_PORT", "P95_GATEWAY_HTTP_PORT", "P95_PAPER_HTTP_PORT",
)  # fmt: skip


def wait_for(what: str, look: Callable[[], T | None], seconds: float) -> T:
    """Ask until `look` answers with something true; fail naming `what`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if found := look():
                return found
        time.sleep(POLL_S)
    raise AssertionError(f"{what} did not happen within {seconds} s")


class System:
    """A running `phoenix95 up --json`. Free ports are chosen, so that it may stand beside a demo."""

    def __init__(self, data: Path, *args: str) -> None:
        self.data = data
        self.said = data.with_name(data.name + ".stderr")
        self.process = subprocess.Popen(
            [*UP, "--data", str(data), "--json", *args],
            stdout=subprocess.PIPE,
            stderr=self.said.open("wb"),
            env={k: v for k, v in os.environ.items() if not k.startswith("P95_")} | dict.fromkeys(PORTS, "0"),
            start_new_session=True,
        )

    def state(self) -> dict[str, Any]:
        """What `up` publishes about itself; empty while it starts."""
        try:
            state: dict[str, Any] = json.loads((self.data / "state.json").read_text())
        except FileNotFoundError:
            return {}
        return state

    def wait_ready(self) -> None:
        """Return when every service is up; fail with what `up` said when it ended."""

        def ready() -> bool:
            assert self.process.poll() is None, f"`up` ended: {self.said.read_text()[-2000:]}"
            return bool(self.state().get("ready"))

        wait_for("the start of all services", ready, START_S)

    def kill(self, service: str) -> None:
        """Kill -9 one service's process."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.state()["pids"][service], signal.SIGKILL)

    def wait_restarted(self, service: str, restarts: int) -> None:
        """Return when `service` was started again for at least the given time."""
        wait_for(f"restart {restarts} of {service}", lambda: self.state()["restarts"].get(service, 0) >= restarts, 20)

    def gateway(self) -> httpx.Client:
        """A client of the gateway with the key that `up` made."""
        key = (self.data / "secrets" / "api_key").read_text().strip()
        return httpx.Client(base_url=self.state()["gateway_url"], headers={"X-API-Key": key}, timeout=5)

    def summary(self, seconds: float) -> dict[str, Any]:
        """Wait for the end of `up` by itself and return its summary; fail unless it ended with 0."""
        out, _ = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, self.said.read_text()[-2000:]
        found: dict[str, Any] = json.loads(out)
        return found

    def interrupt(self) -> float:
        """Press Ctrl-C and return how many seconds the stop took."""
        started = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=STOP_S)
        return time.monotonic() - started

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()  # its children end with it


@contextlib.contextmanager
def running(data: Path, *args: str) -> Iterator[System]:
    """Start the system on `data` and leave nothing of it behind."""
    system = System(data, *args)
    try:
        system.wait_ready()
        yield system
    finally:
        system.end()


def execute(client: httpx.Client, **request: object) -> str:
    """Ask for an analysis and a trade; returns the request's id."""
    answer = client.post("/api/execute", json=request)
    assert answer.status_code in (200, 202), answer.text
    return str(answer.json()["request_id"])
