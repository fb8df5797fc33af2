"""A database with the ledger's tables, made as an operator makes it."""

import os
import subprocess
import sys

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
