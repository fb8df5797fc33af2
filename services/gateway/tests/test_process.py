"""`python -m phoenix95.gateway` as a supervisor runs it."""

import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

API_KEY = "a-key-that-must-never-be-logged"
PSS_MB_MAX = 85  # alone; beside the other services it shares its libraries and takes less
WAIT_S = 20


@pytest.fixture
def start(redis_url, migrated_url, free_port):
    """Starts gateways with these settings on top; kills what is left of them."""
    started = []

    def start_one(**settings):
        env = {name: value for name, value in os.environ.items() if not name.startswith("P95_")}
        env |= {
            "P95_REDIS_URL": redis_url,
            "P95_POSTGRES_URL": migrated_url,
            "P95_EXCHANGE_REST_URL": "http://127.0.0.1:1",
            "P95_GATEWAY_API_KEY": API_KEY,
            "P95_GATEWAY_PORT": str(free_port),
            "P95_GATEWAY_HTTP_PORT": "0",
            **settings,
        }
        process = subprocess.Popen([sys.executable, "-m", "phoenix95.gateway"], env=env, stderr=subprocess.PIPE)
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def until_it_answers(port):
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/api/metrics", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the gateway did not answer")


def ended(process):
    """(exit code, log)."""
    log = process.communicate(timeout=WAIT_S)[1].decode()
    return process.returncode, log


def test_it_stops_when_asked_also_with_a_caller_that_waits_and_never_logs_the_key(start, free_port):
    process = start()
    until_it_answers(free_port)
    url = f"http://127.0.0.1:{free_port}/api/execute"
    httpx.post(url, headers={"X-API-Key": API_KEY + "x"}, json={}, trust_env=False)
    httpx.post(url, headers={"X-API-Key": API_KEY}, json={"symbol": API_KEY}, trust_env=False)
    with socket.create_connection(("127.0.0.1", free_port)) as idle:
        idle.sendall(b"GET /api/info HTTP/1.1\r\n")
        process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        code, log = ended(process)
    assert time.monotonic() - asked < 6
    assert code == 0
    assert API_KEY not in log
    assert "Traceback" not in log


def test_it_is_small(start, free_port):
    process = start()
    until_it_answers(free_port)
    with httpx.Client(trust_env=False, base_url=f"http://127.0.0.1:{free_port}") as client:
        for path in ("/health", "/api/info", "/api/portfolio", "/api/metrics") * 20:
            client.get(path)
    with open(f"/proc/{process.pid}/smaps_rollup") as rollup:
        pss_kb = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    print(f"gateway: {pss_kb / 1024:.1f} MB")  # noqa: T201  shown with -s
    assert pss_kb / 1024 < PSS_MB_MAX
    with open(f"/proc/{process.pid}/maps") as maps:
        assert "pydantic_core" not in maps.read()  # Litestar would load it wherever something else installed it


def test_a_busy_port_is_named(start, free_port):
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        code, log = ended(start())
    assert code == 2
    assert f"port {free_port}" in log
    assert "P95_GATEWAY_PORT" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"P95_GATEWAY_HOST": "0.0.0.0", "P95_GATEWAY_API_KEY": ""}, "P95_GATEWAY_API_KEY"),  # noqa: S104
        ({"P95_GATEWAY_PROT": "1"}, "did you mean P95_GATEWAY_PORT"),
        ({"P95_GATEWAY_PORT": "80103"}, "P95_GATEWAY_PORT"),
        ({"P95_POSTGRES_URL": ""}, "P95_POSTGRES_URL is required"),
        ({"P95_POSTGRES_URL": "nonsense"}, "P95_POSTGRES_URL"),
        ({"P95_POSTGRES_URL": "mysql://u:hunter2@h/d"}, "mysql is not postgresql"),
        ({"P95_REDIS_URL": "http://x"}, "P95_REDIS_URL"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(start, settings, words):
    code, log = ended(start(**settings))
    assert code == 2
    assert words in log
    assert "Traceback" not in log
    assert "hunter2" not in log


def test_another_number_of_partitions_than_the_deployments_is_refused(start, redis_server):
    redis_server.command("HSET", "p95:meta", "partitions", "8")
    code, log = ended(start())
    assert code == 2
    assert "P95_PARTITIONS: 16, but this Redis was started with 8" in log
    assert "Traceback" not in log
