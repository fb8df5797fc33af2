"""The small programs that every image carries."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from phoenix95.common.bus.acl import USERS

IMAGE = Path(__file__).parents[2] / "deploy/image"


def run(program: str, *arguments: str | Path, **env: str) -> "subprocess.CompletedProcess[str]":
    call = [sys.executable, IMAGE / program, *arguments]
    return subprocess.run(call, env={"PATH": os.defpath, **env}, capture_output=True, text=True, check=False)


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server whose /readyz answers this; yields its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(b'{"redis":"away"}')

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_a_container_is_healthy_when_its_service_is_ready(status: int, code: int) -> None:
    with answering(status) as port:
        done = run("ready.py", PHOENIX95_SERVICE="feed", P95_FEED_HTTP_PORT=str(port))
    assert (done.returncode, done.stdout) == (code, '{"redis":"away"}\n')


def test_a_service_that_does_not_answer_is_not_healthy(free_port: int) -> None:
    done = run("ready.py", PHOENIX95_SERVICE="engine", P95_ENGINE_HTTP_PORT=str(free_port))
    assert done.returncode == 1
    assert done.stdout.startswith(f"engine does not answer on port {free_port}: ")


def test_redis_gets_a_user_for_everybody_and_no_password(tmp_path: Path) -> None:
    for user in USERS:
        (tmp_path / f"redis_{user}").write_text(f"password-of-{user}\n")
    file = tmp_path / "users.acl"
    done = run("redis_users.py", tmp_path, file)
    assert done.returncode == 0, done.stderr
    text = file.read_text()
    assert {line.split()[1] for line in text.splitlines()} == {"default", *USERS}
    assert "password-of" not in text
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_missing_password_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    done = run("redis_users.py", tmp_path, tmp_path / "users.acl")
    assert done.returncode == 1
    assert done.stderr == f"redis-users: {tmp_path / f'redis_{USERS[0]}'}: No such file or directory\n"
    assert list(tmp_path.iterdir()) == []
