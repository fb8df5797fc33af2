"""The commands as plain functions that return the exit code; the command line and `__main__` both call them."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import msgspec

from phoenix95.common.errors import ConfigError, TransientError
from phoenix95.executor.offline.where import DATA_DEFAULT, settings_of

EXIT_CANNOT: Final = 2


def run_audit(
    *,
    account: str | None = None,
    since: str | None = None,
    anchor: str | None = None,
    as_json: bool = False,
    data: Path = DATA_DEFAULT,
) -> int:
    """Check everything and print it. 0: all holds; 1: something does not; 2: it could not be found out."""
    from phoenix95.executor.audit.run import audit
    from phoenix95.executor.audit.show import as_text, clear, progress
    from phoenix95.executor.audit.times import ms_of
    from phoenix95.executor.core.chain import Head

    try:
        noted = None if anchor is None else Head.parse(anchor)
    except ValueError as error:
        raise ConfigError(f"--anchor: {error}") from error
    settings = settings_of(data, os.environ)
    if not settings.postgres_url:
        raise ConfigError("P95_POSTGRES_URL is required and not set, and no system runs in --data")
    try:
        report = asyncio.run(
            audit(settings, account=account, since_ms=ms_of(since, "--since"), anchor=noted, progress=progress)
        )
    except TransientError as error:
        sys.stderr.write(f"phoenix95 audit: {error}\n")
        return EXIT_CANNOT
    finally:
        clear()
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report)).decode() + "\n")
    else:
        sys.stdout.write(as_text(report))
    if report.verdict == "violation":
        first = next(line for line in report.lines if line.differences)
        sys.stderr.write(f"phoenix95 audit: VIOLATION, {first.check}: {first.differences[0]}\n")
    return report.exit_code
