"""`phoenix95 up` as a process, with small services and a real Redis and Postgres."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import psutil
import pytest

from phoenix95.stack.ports import DEFAULTS
from phoenix95.stack.process import wait_until
from phoenix95.stack.system import STOP_ORDER

PROGRAM = Path(__file__).with_name("small_up.py")
STOP_SECONDS = 10.0
START_SECONDS = 30.0


class Up:
    """One `up` in `data`; the fixture `data` ends those that a failed test left."""

    started: ClassVar[list["Up"]] = []

    def __init__(self, data: Path, *words: str, env: dict[str, str] | None = None) -> None:
        self.data = data
        outer = {"PATH": os.environ["PATH"], **dict.fromkeys(DEFAULTS, "0"), **(env or {})}
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "--data", str(data), *words],
            env=outer,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(self)

    def state(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.data / "state.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            found = {}
        return found if found.get("pid") == self.process.pid else {"ready": False, "pids": {}, "restarts": {}}

    def wait_ready(self) -> dict[str, Any]:
        wait_until(lambda: self.state()["ready"] or self.process.poll() is not None, START_SECONDS)
        if not self.state()["ready"]:
            self.process.kill()
            raise AssertionError(self.process.communicate()[1])
        return self.state()

    def wait_for(self, what: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        assert wait_until(lambda: what(self.state()), seconds), self.state()
        return self.state()

    def stop(self, how: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Signal and wait; answers exit code, stdout, stderr."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        out, err = self.process.communicate(timeout=STOP_SECONDS)
        return self.process.returncode, out, err


def run(data: Path, *words: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    up = Up(data, *words, env=env)
    out, err = up.process.communicate(timeout=START_SECONDS)
    return up.process.returncode, out, err


def left_over(data: Path) -> list[str]:
    """Processes that work below the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(data.resolve()):
                found.append(f"{process.pid} {process.cmdline()}")
        except (psutil.Error, OSError):
            continue
    return found


@pytest.fixture
def data() -> Iterator[Path]:
    with TemporaryDirectory(prefix="p95-") as folder:
        yield Path(folder) / "data"
        for up in Up.started:
            if up.process.poll() is None:
                up.process.kill()
                up.process.communicate()
        Up.started.clear()
        for process in [int(line.split()[0]) for line in left_over(Path(folder))]:
            os.kill(process, signal.SIGKILL)


def mode(data: Path, service: str, text: str) -> None:
    (data / f"mode_{service}").write_text(text)


def prepared(data: Path) -> Path:
    """An empty folder of ours, to put the modes of small services into."""
    data.mkdir()
    (data / "up.lock").touch()
    return data


def test_ctrl_c_stops_everything_in_order_and_leaves_nothing(data: Path) -> None:
    up = Up(data, "--json")
    state = up.wait_ready()
    assert set(state["pids"]) == {
        "redis", "postgres", "paper", "feed", "engine", "executor", "monitor", "gateway",
    }  # fmt: skip
    time.sleep(1.2)
    began = time.monotonic()
    code, out, err = up.stop()
    assert (code, time.monotonic() - began < STOP_SECONDS) == (0, True), err
    stopped = (data / "stopped").read_text().split()
    groups = [stopped[:1], stopped[1:3], stopped[3:5], stopped[5:]]
    assert [set(group) for group in groups] == [set(group) for group in STOP_ORDER[:4]]
    assert left_over(data) == []
    summary = json.loads(out)
    assert summary["decisions"] == 7
    assert summary["latency_ms"]["feed"] == {"p50": 1.5}
    assert set(summary["pss_mb"]) == {"paper", "feed", "engine", "executor", "monitor", "gateway", "up"}
    assert summary["complete"] is True
    assert f"gateway  {state['gateway_url']}" in err
    assert (data / "secrets" / "api_key").read_text().strip() in err


def test_nothing_is_left_after_a_kill_9_and_the_next_start_resumes(data: Path) -> None:
    mode(prepared(data), "engine", "stubborn")
    up = Up(data)
    first = [psutil.Process(pid) for pid in up.wait_ready()["pids"].values()]
    key = (data / "secrets" / "api_key").read_text()
    up.process.kill()
    up.process.communicate()
    mode(data, "engine", "")
    second = Up(data)  # at once: it waits for the servers of the first
    second.wait_ready()
    assert not [process for process in first if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert (data / "secrets" / "api_key").read_text() == key
    assert len(left_over(data)) >= 8
    assert second.stop()[0] == 0
    assert left_over(data) == []


def test_a_child_that_ignores_the_stop_is_killed_in_time(data: Path) -> None:
    mode(prepared(data), "executor", "stubborn")
    mode(data, "feed", "stubborn")
    up = Up(data)
    up.wait_ready()
    code, out, _ = up.stop(signal.SIGTERM)
    assert code == 0
    assert left_over(data) == []
    assert "killed, because it did not end in time: feed, executor" in out


def test_crashed_and_hung_children_are_started_again_and_counted(data: Path) -> None:
    up = Up(data, "--json")
    pids = up.wait_ready()["pids"]
    for name in ("feed", "redis", "postgres"):
        os.kill(pids[name], signal.SIGKILL)
    os.kill(pids["engine"], signal.SIGSTOP)
    wanted = {"feed", "redis", "postgres", "engine"}
    up.wait_for(lambda state: {n for n, count in state["restarts"].items() if count == 1} == wanted, 20)
    state = up.wait_for(lambda state: wanted <= set(state["pids"]), 10)
    assert all(state["pids"][name] != pids[name] for name in wanted)
    code, out, _ = up.stop()
    assert code == 0
    assert {name for name, count in json.loads(out)["restarts"].items() if count} == wanted
    assert left_over(data) == []


def test_a_child_that_never_works_is_given_up(data: Path) -> None:
    mode(prepared(data), "monitor", "crash")
    code, _, err = run(data, "--json")
    assert code == 1
    assert "monitor was given up: ended with exit code 1: something broke" in err
    assert left_over(data) == []


def test_a_misconfigured_child_is_not_tried_again(data: Path) -> None:
    mode(prepared(data), "feed", "config")
    code, _, err = run(data, "--json")
    assert code == 1
    assert "feed was given up: ended with exit code 2: phoenix95 feed: unknown setting P95_TYPO" in err
    assert left_over(data) == []


def test_ctrl_c_while_it_starts(data: Path) -> None:
    mode(prepared(data), "executor", "waiting")
    up = Up(data)
    up.wait_for(lambda state: "executor" in state["pids"], START_SECONDS)
    code, _, err = up.stop()
    assert code == 0, err
    assert left_over(data) == []


def test_a_busy_port_is_named(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = run(data, env={"P95_GATEWAY_PORT": str(port)})
    assert (code, err.count("\n")) == (2, 1)
    assert f"port {port} on 127.0.0.1 is in use; free it, or set P95_GATEWAY_PORT" in err


def test_a_missing_binary_is_named_with_the_line_that_installs_it(data: Path, tmp_path: Path) -> None:
    hidden = "import shutil; shutil.which = lambda *_, **__: None; "
    (tmp_path / "sitecustomize.py").write_text(hidden)
    code, _, err = run(data, env={"PYTHONPATH": str(tmp_path)})
    assert (code, err.count("\n")) == (2, 1)
    assert "redis-server is not installed; install it with: apt-get install" in err


def test_a_folder_that_is_not_ours_is_left_alone(data: Path) -> None:
    data.mkdir()
    (data / "logs").mkdir()
    code, _, err = run(data, "--fresh")
    assert code == 2
    assert "not a data folder of phoenix95" in err
    assert [path.name for path in data.iterdir()] == ["logs"]


def test_fresh_forgets_and_a_refused_fresh_does_not(data: Path) -> None:
    assert run(data, "--for", "0.1s", "--source", "synthetic:5")[0] == 0
    key = (data / "secrets" / "api_key").read_text()
    code, _, err = run(data, "--for", "0.1s", "--source", "synthetic:6")
    assert (code, "add --fresh" in err) == (2, True)
    assert run(data, "--fresh", "--until-end")[0] == 2
    assert (data / "secrets" / "api_key").read_text() == key
    code, out, err = run(data, "--for", "0.1s", "--source", "synthetic:6", "--fresh", "--json")
    assert json.loads(out)["source"] == "synthetic:6"
    assert (data / "secrets" / "api_key").read_text() != key


def test_no_default_port_no_file_elsewhere_and_no_second_up(data: Path) -> None:
    up = Up(data)
    pids = up.wait_ready()["pids"]
    processes = [psutil.Process(pid) for pid in pids.values()]
    processes += [child for process in processes for child in process.children(recursive=True)]
    for process in processes:
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip == "127.0.0.1"
                assert connection.laddr.port not in (6379, 5432)
    elsewhere = {
        path
        for process in processes
        for path in written_files(process)
        if not Path(path).is_relative_to(data.resolve()) and not path.startswith(("/dev/null", "/dev/zero"))
    }
    assert elsewhere == set()
    code, _, err = run(data)
    assert (code, err) == (2, f"phoenix95 up: already running in {data}, pid {up.process.pid}\n")
    assert up.process.poll() is None
    up.stop()


def written_files(process: psutil.Process) -> list[str]:
    return [file.path for file in process.open_files() if file.mode != "r"]


def test_a_long_path_below_a_private_parent(data: Path) -> None:
    data.mkdir(mode=0o700)
    long = data / ("long" * 40) / "a b"
    up = Up(long, "--json")
    assert up.wait_ready()["redis_url"].startswith("redis://127.0.0.1:")
    code, out, err = up.stop()
    assert code == 0, err
    assert json.loads(out)["given_up"] is None
    assert left_over(data) == []


def test_the_end_of_a_recording_ends_the_run(data: Path, tmp_path: Path) -> None:
    recording = tmp_path / "recording"
    recording.touch()
    code, out, err = run(data, "--source", f"recorded:{recording}", "--until-end", "--json")
    summary = json.loads(out)
    assert (code, summary["settled"]) == (0, True), err
    assert json.loads((data / "env_feed.json").read_text())["P95_FEED_SYMBOLS"] == "BTCUSDT"


def test_a_typo_is_named_before_anything_starts(data: Path) -> None:
    typo = data.with_name("typo.toml")
    typo.write_text("[engine]\nbarms = [1000]\n")
    code, _, err = run(data, "--profile", str(typo))
    assert (code, "unknown key 'barms' in [engine]; did you mean bar_ms?" in err) == (2, True), err
    code, _, err = run(data, env={"P95_FED_SYMBOLS": "BTCUSDT"})
    assert (code, "unknown setting P95_FED_SYMBOLS; did you mean P95_FEED_SYMBOLS?" in err) == (2, True), err
    assert not (data / "redis").exists()
