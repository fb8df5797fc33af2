"""`phoenix95 up` with the small services: the same command line, the same supervisor, real Redis and Postgres."""

import sys
from pathlib import Path

import typer

from phoenix95.stack import supervise
from phoenix95.stack.command import up

SERVICE = Path(__file__).with_name("small_service.py")
whole = supervise.supervise
supervise.supervise = lambda options, env, screen: whole(
    options, env, screen, command=lambda name: [sys.executable, "-S", str(SERVICE), name]
)
typer.run(up)
