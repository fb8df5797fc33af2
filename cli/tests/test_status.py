"""`phoenix95 status` against a gateway that speaks HTTP, and without one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from phoenix95.cli.gateway import find_gateway
from phoenix95.common.errors import ConfigError

WELL = {"status": "healthy", "components": {"feed": {"healthy": True, "progress_age_ms": 1200}}}
ILL = {"status": "unhealthy", "components": {"feed": {"healthy": False, "reason": "no heartbeat"}}}
INFO = {"version": "0.1.0", "mode": "paper", "equity": "10000.5", "counts": {"decisions": 3, "orders": 1}}
HELD = {"active_positions": [{"symbol": "BTCUSDT", "side": "long", "size": "0.1", "entry_price": "5", "more": 1}]}


MODES = {"modes": [{"scope": "account", "mode": "RUN"}, {"scope": "ETHUSDT", "mode": "HALT", "reason": "odd fills"}]}


class Gateway:
    """Answers what the test says."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, Any]] = {
            "/health": (200, WELL),
            "/api/info": (200, INFO),
            "/api/portfolio": (200, HELD),
            "/api/control": (200, MODES),
        }
        self.keys: set[str | None] = set()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gateway.keys.add(self.headers.get("X-API-Key"))
                status, body = gateway.pages[self.path]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    found = Gateway()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def data(tmp_path: Path, gateway: Gateway) -> Path:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "api_key").write_text("the-key\n")
    (tmp_path / "state.json").write_text(json.dumps({"gateway_url": gateway.url, "pid": 1}))
    return tmp_path


def status(*words: str, **env: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "phoenix95.cli", "status", *words],
        env={"COLUMNS": "200", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_system_that_is_well(data: Path, gateway: Gateway) -> None:
    code, out, err = status("--data", str(data))
    assert (code, err) == (0, "")
    for shown in (
        "healthy",
        "feed",
        "1.2 s ago",
        "10,000.50",
        "decisions",
        "BTCUSDT",
        "long",
        "ETHUSDT",
        "HALT",
        "odd fills",
    ):
        assert shown in out
    assert "account" not in out  # it is in RUN
    assert gateway.keys == {"the-key"}


def test_who_is_not_well_is_named_and_it_exits_with_1(data: Path, gateway: Gateway) -> None:
    gateway.pages["/health"] = (503, ILL)
    code, out, _ = status("--data", str(data))
    assert code == 1
    assert "unhealthy" in out
    assert "no heartbeat" in out


def test_as_json(data: Path) -> None:
    code, out, _ = status("--data", str(data), "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["health"]["status"], found["info"]["counts"]["orders"]) == ("healthy", 1)


def test_no_gateway_anywhere_is_one_line(tmp_path: Path, free_port: int) -> None:
    code, out, err = status("--data", str(tmp_path))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "phoenix95 up" in err
    code, out, err = status("--url", f"http://127.0.0.1:{free_port}")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"http://127.0.0.1:{free_port} cannot be reached" in err


@pytest.mark.parametrize("page", [(200, b"<html>"), (200, [1]), (500, {"detail": "broken"})])
def test_something_that_is_not_our_gateway_is_one_line(gateway: Gateway, page: tuple[int, Any]) -> None:
    gateway.pages["/health"] = page
    code, out, err = status("--url", gateway.url)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert gateway.url in err


def test_the_key_of_this_machine_is_not_sent_elsewhere(data: Path, gateway: Gateway) -> None:
    other = Gateway()
    assert status("--data", str(data), P95_GATEWAY_URL=other.url)[0] == 0
    assert other.keys == {None}
    assert status("--data", str(data), P95_GATEWAY_URL=other.url, P95_API_KEY="mine")[0] == 0
    assert other.keys == {None, "mine"}
    other.server.shutdown()
    other.server.server_close()


def test_an_address_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'nowhere'"):
        find_gateway("nowhere", tmp_path, {}).get("/health", dict)


def test_a_reader_that_leaves_early_causes_no_traceback(data: Path) -> None:
    line = f"{sys.executable} -m phoenix95.cli status --data {data} | true"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, env={"PATH": "/bin"})
    assert "Traceback" not in done.stderr


def test_the_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "phoenix95.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("phoenix95 0.")
