"""Redis and Postgres in real folders: torn files, long paths, parents that nobody may enter, kills."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from phoenix95.common.bus.acl import acl_file
from phoenix95.common.errors import ConfigError
from phoenix95.stack import unprivileged
from phoenix95.stack.address import fits_socket
from phoenix95.stack.postgres_server import PostgresServer
from phoenix95.stack.process import wait_until
from phoenix95.stack.redis_server import RedisServer

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


@pytest.fixture
def short() -> Iterator[Path]:
    with TemporaryDirectory(prefix="p95-") as folder:
        yield Path(folder)


def works(folder: Path) -> None:
    """Start both servers there, write, stop, start again, read."""
    postgres, redis = PostgresServer(folder / "postgres", password="x"), RedisServer(folder / "redis")
    try:
        postgres.start()
        redis.start()
        postgres.run_sql("CREATE TABLE t AS SELECT 7 AS n")
        redis.command("SET", "n", "7")
        for server in (postgres, redis):
            server.stop()
            server.start()
        assert postgres.run_sql("SELECT n FROM t") == "7"
        assert redis.command("EXISTS", "n") == b":1"
    finally:
        postgres.stop()
        redis.stop()


def test_a_path_too_long_for_a_socket_with_a_space_and_a_comma(short: Path) -> None:
    folder = short / ("long" * 40) / "with a space, and a comma"
    folder.mkdir(parents=True)
    assert not fits_socket(folder / "redis.sock")
    works(folder)


def test_a_private_parent(short: Path) -> None:
    short.chmod(0o700)
    works(short / "data")


@AS_ROOT
def test_a_private_parent_of_somebody_else(short: Path) -> None:
    home = short / "home"
    home.mkdir(mode=0o700)
    os.chown(home, 4321, 4321)
    works(home / "data")


@AS_ROOT
@pytest.mark.parametrize("way", range(3))
def test_each_way_of_not_being_root(short: Path, way: int, monkeypatch: pytest.MonkeyPatch) -> None:
    short.chmod(0o755)
    only = unprivileged._candidates()[way]
    monkeypatch.setattr(unprivileged, "_candidates", lambda: [only])
    works(short)


@AS_ROOT
def test_root_without_a_way_is_told(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = unprivileged._candidates()[2]
    monkeypatch.setattr(unprivileged, "_candidates", lambda: [nobody])
    short.chmod(0o700)
    with pytest.raises(ConfigError, match="refuses to run as root"):
        PostgresServer(short / "postgres", password="x").start()


def test_a_torn_transaction_is_cut_off_as_a_whole(short: Path) -> None:
    redis = RedisServer(short)
    redis.start()
    redis.command("SET", "whole", "1")
    redis.stop()
    log = next((short / "appendonlydir").glob("*.incr.aof"))
    intact = log.stat().st_size
    with log.open("ab") as file:  # the machine lost power in the middle of a script's writes
        file.write(b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$1\r\n1\r\n*3\r\n$3\r\nSE")
    redis.start()
    assert redis.command("EXISTS", "whole") == b":1"
    assert redis.command("EXISTS", "half") == b":0"
    redis.stop()
    assert log.stat().st_size == intact
    assert (short / "appendonlydir.torn" / log.name).stat().st_size > intact


def test_a_restart_under_our_users_keeps_transactions(short: Path) -> None:
    """Redis replays its file as the default user, and drops what that user may not do."""
    redis = RedisServer(short, acl=acl_file({"operator": "secret"}) + "user admin on nopass ~* &* +@all\n")
    redis.start()
    lines = ("AUTH admin x", "MULTI", "SET a 1", "SET b 2", "EXEC")
    assert redis.command("\r\n".join(lines)).startswith(b"+OK")
    redis.stop()
    redis.start()
    with redis.address.connect(2.0) as connection:
        connection.sendall(b"AUTH admin x\r\nEXISTS a b\r\nQUIT\r\n")
        with connection.makefile("rb") as replies:
            assert replies.read().split(b"\r\n")[:2] == [b"+OK", b":2"]
    redis.stop()


def test_postgres_starts_after_a_kill_even_if_its_pid_lives_on_as_somebody_else(short: Path) -> None:
    postgres = PostgresServer(short, password="x")
    postgres.start()
    lock = postgres.data / "postmaster.pid"
    text = lock.read_text()
    postgres.kill()
    lock.write_text(f"{os.getpid()}\n{text.partition(chr(10))[2]}")
    postgres.start()
    assert postgres.run_sql("SELECT 1") == "1"
    with pytest.raises(ConfigError, match="already runs"):
        PostgresServer(short, password="x").start()
    postgres.stop()


def test_the_password_is_asked_for(short: Path) -> None:
    postgres = PostgresServer(short, password="right")
    postgres.start()
    wrong = PostgresServer(short, password="wrong")
    with pytest.raises(ConfigError, match="password authentication failed"):
        wrong.run_sql("SELECT 1")
    postgres.stop()


def test_servers_go_when_their_starter_is_killed(short: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from phoenix95.stack.postgres_server import PostgresServer as P;"
        "from phoenix95.stack.redis_server import RedisServer as R; p=P(Path(sys.argv[1])/'p', password='x');"
        "r=R(Path(sys.argv[1])/'r'); p.start(); r.start(); print(p.process.pid, r.process.pid, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(short)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pids = [int(word) for word in starter.stdout.readline().split()]
        starter.send_signal(signal.SIGKILL)
    assert len(pids) == 2
    assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 5.0)


def test_a_server_that_cannot_start_says_why(short: Path) -> None:
    redis = RedisServer(short, acl="user broken on nonsense\n")
    began = time.monotonic()
    with pytest.raises(ConfigError, match="Redis did not start"):
        redis.start()
    assert time.monotonic() - began < 5
