"""Names of our processes, and how long the host's state may be believed."""

import pytest

from phoenix95.monitor.core.expiry import expiry_ms
from phoenix95.monitor.core.processes import python_of, service_of


@pytest.mark.parametrize(
    ("command_line", "name"),
    [
        (["/x/.venv/bin/python", "-m", "phoenix95.feed"], "feed"),
        (["python3.11", "-X", "dev", "-I", "-m", "phoenix95.engine", "--x"], "engine"),
        (["python", "-m", "phoenix95.executor.migrate"], "executor"),
        (["/x/.venv/bin/python", "/x/.venv/bin/phoenix95", "up", "--fresh"], "up"),
        (["/x/.venv/bin/python", "/x/.venv/bin/phoenix95", "--version"], "phoenix95"),
        (["python", "-m", "phoenix951.feed"], None),
        (["python", "-m", "pytest", "phoenix95"], None),
        (["python", "-m"], None),
        (["python", "-c", "import phoenix95.feed"], None),
        (["python"], None),
        (["vim", "-m", "phoenix95.feed"], None),
        ([""], None),
        ([], None),
    ],
)
def test_only_our_python_processes_have_a_name(command_line, name):
    assert service_of(command_line) == name


@pytest.mark.parametrize(
    ("command_line", "name"),
    [
        (["/usr/bin/python3", "-X", "dev", "-m", "http.server", "--secret", "x"], "http.server"),
        (["python", "/srv/job.py", "--password=hunter2"], "job.py"),
        (["python", "-c", "password = 'hunter2'"], "python"),
        (["python", "-m"], "python"),
        (["python", "-"], "python"),
        (["python", "-I"], "python"),
        (["python"], "python"),
        (["vim", "x.py"], None),
        ([""], None),
        ([], None),
    ],
)
def test_any_python_process_is_named_without_its_arguments(command_line, name):
    assert python_of(command_line) == name


def test_the_host_state_expires_after_two_intervals():
    assert expiry_ms(3_000) == 6_000
