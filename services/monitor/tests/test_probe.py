"""The probe on this very machine."""

import os
import subprocess
import sys
import time

import pytest

from phoenix95.monitor.probes.host import HostProbe

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"


@pytest.fixture
def one_of_ours(tmp_path):
    """A process whose command line is that of our command."""
    script = tmp_path / "phoenix95"
    script.write_text(SLEEPER)
    with subprocess.Popen([sys.executable, str(script), "up"], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def of_pid(sample, pid):
    return next((process for process in sample.processes if process.pid == pid), None)


def test_the_sample_is_of_this_host():
    sample = HostProbe(".").sample(1_000)
    assert sample.ts_wall_ms == 1_000
    assert sample.cpu_count == os.cpu_count()
    assert 0 < sample.memory_available < sample.memory_total
    assert 0 < sample.disk_free < sample.disk_total
    assert 0 <= sample.memory_percent <= 100
    assert 0 <= sample.disk_percent <= 100


def test_a_process_of_ours_is_seen_while_it_lives(one_of_ours):
    probe = HostProbe(".")
    seen = of_pid(probe.sample(0), one_of_ours.pid)
    assert seen.name == "up"
    assert seen.rss > 1_000_000
    assert 0 < seen.pss <= seen.rss
    assert seen.threads == 1
    one_of_ours.kill()
    one_of_ours.wait()
    assert of_pid(probe.sample(0), one_of_ours.pid) is None


def test_other_python_processes_are_not_ours():
    assert of_pid(HostProbe(".").sample(0), os.getpid()) is None


def test_a_look_does_not_wait():
    probe = HostProbe(".")
    started = time.perf_counter()
    for _ in range(5):
        probe.sample(0)
    assert (time.perf_counter() - started) / 5 < 0.5  # psutil with an interval would take a second each


def test_cpu_shares_are_since_the_last_look(one_of_ours):
    probe = HostProbe(".")
    first = of_pid(probe.sample(0), one_of_ours.pid)
    time.sleep(0.2)
    second = of_pid(probe.sample(0), one_of_ours.pid)
    assert first.cpu_percent >= 0
    assert second.cpu_percent < 50  # it sleeps
