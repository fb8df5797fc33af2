"""The probe on this very machine."""

import os
import socket
import subprocess
import sys
import time

import pytest

from phoenix95.monitor.probes import host
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


LISTENER = """
import socket, time
door = socket.create_server(("127.0.0.1", 0))
there = socket.create_connection(door.getsockname())
here, _ = door.accept()
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def one_of_ours_that_listens(tmp_path):
    script = tmp_path / "phoenix95"
    script.write_text(LISTENER)
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


def test_other_python_processes_are_not_ours_but_seen():
    sample = HostProbe(".").sample(0)
    assert of_pid(sample, os.getpid()) is None
    found = next(process for process in sample.other_python if process.pid == os.getpid())
    assert found.rss > 1_000_000
    assert found.threads >= 1


LOOK = """
from phoenix95.monitor.probes import host
host.OTHERS_MAX = 1_000  # so that small ones are seen too
sample = host.HostProbe(".").sample(0)
print(*(process.pid for process in sample.processes), "|", *(process.pid for process in sample.other_python))
"""
SUPERVISOR = """
import subprocess, sys
print(subprocess.run([sys.executable, "-c", sys.argv[2]], capture_output=True, text=True, check=True).stdout)
"""


def test_under_a_supervisor_another_system_is_not_ours(one_of_ours, tmp_path):
    folder = tmp_path / "second"
    folder.mkdir()
    script = folder / "phoenix95"
    script.write_text(SUPERVISOR)
    with subprocess.Popen([sys.executable, str(script), "up", LOOK], stdout=subprocess.PIPE, text=True) as supervisor:
        ours, others = supervisor.communicate()[0].split("|")
    assert ours.split() == [str(supervisor.pid)]
    assert str(one_of_ours.pid) in others.split()


def test_only_the_largest_of_the_others_are_seen(monkeypatch):
    monkeypatch.setattr(host, "OTHERS_MAX", 1)
    sample = HostProbe(".").sample(0)
    assert len(sample.other_python) == 1


def test_connections_are_counted_without_those_that_listen(one_of_ours_that_listens):
    seen = of_pid(HostProbe(".").sample(0), one_of_ours_that_listens.pid)
    assert seen.connections == 2  # both ends of one


def test_the_network_is_counted():
    probe = HostProbe(".")
    before = probe.sample(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        for _ in range(3):
            one.sendto(b"x" * 100, ("127.0.0.1", 9))
    after = probe.sample(0)
    assert after.packets_sent - before.packets_sent >= 3
    assert after.bytes_sent - before.bytes_sent >= 300
    assert after.packets_received >= before.packets_received
    assert after.bytes_received >= before.bytes_received


def test_used_is_what_is_not_free():
    sample = HostProbe(".").sample(0)
    assert 0 < sample.memory_used <= sample.memory_total
    assert 0 < sample.disk_used <= sample.disk_total


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
