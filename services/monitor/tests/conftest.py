"""A database with the ledger's tables, made as an operator makes it; and somebody who is told."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time

import psycopg
import pytest
from psycopg.rows import dict_row


def migrate(postgres_url):
    env = {**os.environ, "P95_POSTGRES_URL": postgres_url, "P95_REDIS_URL": "unix:///not/needed"}
    command = [sys.executable, "-m", "phoenix95.executor", "migrate"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def ledger_template(postgres_server):
    """Made once; tests get copies."""
    name = f"monitor_template_{os.getpid()}"
    postgres_server.run_sql(f"CREATE DATABASE {name} TEMPLATE template0")
    migrate(postgres_server.url(name))
    yield name
    postgres_server.run_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def ledger_url(postgres_server, ledger_template):
    """A database of the test's own with the ledger's tables, empty."""
    name = f"monitor_{os.getpid()}"
    postgres_server.run_sql(f"CREATE DATABASE {name} TEMPLATE {ledger_template}")
    yield postgres_server.url(name)
    postgres_server.run_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def migrate_now():
    """Migrates a database: `migrate_now(url)`."""
    return migrate


@pytest.fixture
def ask():
    """Asks a database: `ask(url, sql)` gives rows as dicts, none for a statement without."""

    def asked(url, sql):
        with psycopg.connect(url, row_factory=dict_row, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    return asked


class Receiver:
    """A server that takes what channels send. `status` is what it answers, after `delay_s`.

    `seen` is what `look()` gave at the arrival of each.
    """

    def __init__(self):
        self.told = []
        self.paths = []
        self.status = 200
        self.delay_s = 0.0
        self.look = lambda: None
        self.seen = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.seen.append(outer.look())
                outer.paths.append(self.path)
                outer.told.append(json.loads(body) if body.startswith("{") else body)
                time.sleep(outer.delay_s)
                answer = b"ok" if outer.status == 200 else b"no"
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.json_url = f"json://hidden-user:hidden-word@{self.address}/"

    def titles(self):
        return [told["title"] for told in self.told]


@pytest.fixture
def receiver():
    """Somebody who is told, over HTTP on loopback."""
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()
