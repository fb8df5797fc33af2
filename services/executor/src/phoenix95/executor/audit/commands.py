"""The commands as plain functions that return the exit code; the command line and `__main__` both call them."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import msgspec

from phoenix95.common.errors import ConfigError, TransientError
from phoenix95.executor.offline.where import DATA_DEFAULT, settings_of

EXIT_DIFFERS: Final = 1
EXIT_CANNOT: Final = 2
NO_POSTGRES: Final = "P95_POSTGRES_URL is required and not set, and no system runs in --data"


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
        raise ConfigError(NO_POSTGRES)
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


def run_report(*, day: str | None = None, as_json: bool = False, data: Path = DATA_DEFAULT) -> int:
    """Print one day. 0: it ties to the income history; 1: something differs; 2: there was nothing to compare with."""
    from datetime import date

    from phoenix95.executor.audit.daily import as_text, report

    try:
        on = None if day is None else date.fromisoformat(day)
    except ValueError as error:
        raise ConfigError(f"--date: {day!r} is no day like 2026-11-22") from error
    settings = settings_of(data, os.environ)
    if not settings.postgres_url:
        raise ConfigError(NO_POSTGRES)
    try:
        made = asyncio.run(report(settings, on))
    except TransientError as error:
        sys.stderr.write(f"phoenix95 report: {error}\n")
        return EXIT_CANNOT
    if as_json:
        whole = {**msgspec.to_builtins(made), "tied": made.tied}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(whole)).decode() + "\n")
    else:
        sys.stdout.write(as_text(made))
    if not made.tied:
        return EXIT_DIFFERS
    return EXIT_CANNOT if any(one.exchange is None for one in made.ties) else 0
