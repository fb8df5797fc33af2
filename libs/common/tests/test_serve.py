"""The frame of a service, as a supervisor sees it: signals, drain, exit codes, operations pages."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

PREAMBLE = """
import asyncio, os, sys, time
from phoenix95.common.errors import *
from phoenix95.common.retry import forever
from phoenix95.common.serve import Context, run
from phoenix95.common.settings import Settings

class ToySettings(Settings, frozen=True, kw_only=True):
    name: str = "toy"

"""


class Service:
    """A running toy service."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process = process
        self._log = log

    def log(self) -> str:
        return self._log.read_text()

    def address(self) -> str:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r'"ops": "(http://[^"]+)"', self.log()):
                return found.group(1)
            time.sleep(0.02)
        raise AssertionError(f"the service did not start:\n{self.log()}")

    def open(self, path: str, timeout_s: float = 5.0) -> HTTPResponse:
        answer: HTTPResponse = urllib.request.urlopen(self.address() + path, timeout=timeout_s)  # noqa: S310 - our own
        return answer

    def get(self, path: str) -> tuple[int, str]:
        try:
            with self.open(path) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def send(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 20
        while text not in self.log():
            assert time.monotonic() < deadline, f"{text!r} did not come:\n{self.log()}"
            time.sleep(0.02)

    def code(self) -> int:
        return self.process.wait(20)


Start = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    services: list[Service] = []

    def begin(body: str, *, drain_s: float = 5.0, **env: str) -> Service:
        source = PREAMBLE + textwrap.dedent(body) + f'\nrun("toy", ToySettings, main, drain_s={drain_s})\n'
        log = tmp_path / f"{len(services)}.log"
        with log.open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-c", source],
                stderr=err,
                stdout=err,
                text=True,
                env={"PATH": os.environ["PATH"], **env},
            )
        services.append(Service(process, log))
        return services[-1]

    yield begin
    for service in services:
        service.process.kill()
        service.process.wait()


OBEDIENT = """
async def main(context):
    context.health.check("work", lambda: None)
    await context.stop.wait()
    context.log.info("drained")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_0(start: Start, number: signal.Signals) -> None:
    service = start(OBEDIENT)
    service.address()
    service.send(number)
    assert service.code() == 0
    events = [json.loads(line)["event"] for line in service.log().splitlines()]
    assert events == ["started", "stopping", "drained", "stopped"]


def test_the_pages_answer_in_the_loop(start: Start) -> None:
    service = start(
        """
        async def main(context):
            context.health.check("redis", lambda: "redis is away")
            context.metrics.counter("p95_ticks", "ticks").inc(5)
            await context.stop.wait()
        """
    )
    assert service.get("/livez") == (200, "ok\n")
    status, body = service.get("/readyz")
    assert (status, json.loads(body)["checks"]) == (503, {"redis": "redis is away"})
    page = service.get("/metrics")[1]
    assert "p95_ticks_total 5.0" in page
    assert 'p95_mode{mode="paper"} 1.0' in page
    assert service.get("/other")[0] == 404


def test_a_hung_loop_does_not_answer(start: Start) -> None:
    service = start(
        """
        async def main(context):
            context.log.info("up")
            await asyncio.sleep(0.2)
            time.sleep(60)
        """
    )
    service.wait_for('"up"')
    time.sleep(0.5)
    with pytest.raises(OSError, match="timed out"), service.open("/livez", timeout_s=0.5):
        pass


def test_a_service_that_ends_by_itself_ends_with_0(start: Start) -> None:
    assert start("async def main(context): pass").code() == 0


# ---------------------------------------------------------------- stopping


def test_a_repeated_signal_within_a_second_is_ignored(start: Start) -> None:
    service = start(
        """
        async def main(context):
            await context.stop.wait()
            await asyncio.sleep(0.4)
        """
    )
    service.address()
    service.send()
    service.wait_for("stopping")
    service.send()
    service.send(signal.SIGINT)
    assert service.code() == 0


def test_a_later_second_signal_forces_the_exit(start: Start) -> None:
    service = start(
        """
        async def main(context):
            await context.stop.wait()
            await asyncio.sleep(60)
        """,
        drain_s=60.0,
    )
    service.address()
    service.send()
    service.wait_for("stopping")
    time.sleep(1.1)
    service.send()
    assert service.code() == 1
    assert "forced_to_exit" in service.log()


def test_what_does_not_drain_in_time_is_cancelled(start: Start) -> None:
    service = start(
        """
        async def main(context):
            try:
                await asyncio.sleep(60)
            finally:
                context.log.info("cleaned_up")
        """,
        drain_s=0.2,
    )
    service.address()
    service.send()
    assert service.code() == 1
    assert "drain_deadline_passed" in service.log()
    assert "cleaned_up" in service.log()


def test_what_does_not_even_end_when_cancelled_is_left_behind(start: Start) -> None:
    service = start(
        """
        async def main(context):
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    pass
        """,
        drain_s=0.1,
    )
    service.address()
    service.send()
    assert service.code() == 1
    assert "the work did not end when it was cancelled" in service.log()


def test_a_service_that_still_waits_for_a_dependency_stops_at_once_with_0(start: Start) -> None:
    service = start(
        """
        async def main(context):
            async def connect():
                raise TransientError("connection refused")
            await forever(connect, name="redis", stop=context.stop, health=context.health)
        """
    )
    service.wait_for("waiting_for")
    assert json.loads(service.get("/readyz")[1])["checks"] == {"redis": "waiting for redis: connection refused"}
    service.send()
    assert service.code() == 0
    assert "Traceback" not in service.log()


def test_a_draining_service_is_alive_but_not_ready(start: Start) -> None:
    service = start(
        """
        async def main(context):
            context.health.check("work", lambda: None)
            await context.stop.wait()
            await asyncio.sleep(3)
        """
    )
    assert service.get("/readyz")[0] == 200
    service.send()
    service.wait_for("stopping")
    status, body = service.get("/readyz")
    assert (status, json.loads(body)["checks"]["stopping"]) == (503, "asked to stop")
    assert service.get("/livez")[0] == 200


# ---------------------------------------------------------------- failing


@pytest.mark.parametrize(
    ("error", "code", "event"),
    [
        ('ConfigError("P95_PARTITIONS is 8 but the deployment has 16")', 2, "misconfigured"),
        ('TransientError("redis is away")', 1, "failed"),
        ('InvariantBroken("two owners")', 70, "invariant_broken"),
        ('Diverged("p95:analysis", "1-2")', 70, "invariant_broken"),
        ('ExceptionGroup("g", [TransientError("a"), ExceptionGroup("h", [InvariantBroken("b")])])', 70, "failed"),
        ('ExceptionGroup("g", [InvariantBroken("b"), TransientError("a")])', 70, "invariant_broken"),
        ('ExceptionGroup("g", [ConfigError("b"), TransientError("a")])', 1, "misconfigured"),
    ],
)
def test_each_of_our_errors_has_its_exit_code_and_no_traceback(start: Start, error: str, code: int, event: str) -> None:
    service = start(f"async def main(context): raise {error}")
    assert service.code() == code
    assert f'"event": "{event}"' in service.log()
    assert "Traceback" not in service.log()


def test_an_unexpected_error_is_logged_once_with_its_traceback(start: Start) -> None:
    service = start("async def main(context): raise ZeroDivisionError('signature=abc')")
    assert service.code() == 1
    assert service.log().count("Traceback") == 1
    assert "signature=abc" not in service.log()


def test_an_error_while_draining_is_not_lost(start: Start) -> None:
    service = start(
        """
        async def main(context):
            await context.stop.wait()
            raise InvariantBroken("lost a tick")
        """
    )
    service.address()
    service.send()
    assert service.code() == 70
    assert "lost a tick" in service.log()


def test_a_typo_is_one_line_and_exit_2(start: Start) -> None:
    service = start(OBEDIENT, P95_TOY_NAEM="x")
    assert service.code() == 2
    assert service.log() == "phoenix95 toy: unknown setting P95_TOY_NAEM; did you mean P95_TOY_NAME?\n"


def test_a_busy_port_is_named_and_exit_2(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        service = start(OBEDIENT, P95_TOY_HTTP_PORT=str(port))
        assert service.code() == 2
    assert service.log() == (
        f"phoenix95 toy: port {port} on 127.0.0.1: Address already in use; set P95_TOY_HTTP_PORT to another one\n"
    )


def test_an_address_that_is_not_ours_is_named_and_exit_2(start: Start) -> None:
    service = start(OBEDIENT, P95_HTTP_HOST="no.such.host.invalid")
    assert service.code() == 2
    assert service.log().startswith("phoenix95 toy: cannot listen on no.such.host.invalid: ")
    assert service.log().count("\n") == 1


def test_a_service_of_ours_needs_its_dependencies_named(tmp_path: Path) -> None:
    source = PREAMBLE + OBEDIENT + '\nrun("executor", ToySettings, main)\n'
    env = {"PATH": os.environ["PATH"], "P95_REDIS_URL": "unix:///x"}
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stderr) == (2, "phoenix95 executor: P95_POSTGRES_URL is required and not set\n")
