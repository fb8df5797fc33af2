"""The offline commands as functions: the command line loads them by entry point, `__main__` calls them too.

Nothing heavy is imported here: `phoenix95 --help` loads this module.
"""

import asyncio
import os
import sys
from pathlib import Path

from phoenix95.executor.offline.where import DATA_DEFAULT

EXIT_NOT_DONE = 1


def flatten_direct(
    *,
    symbol: str | None = None,
    yes: bool = False,
    dry_run: bool = False,
    seconds: float = 60.0,
    data: Path = DATA_DEFAULT,
) -> int:
    """Close all positions and cancel all orders, directly at the exchange. Returns the exit code: 0 only if flat."""
    from phoenix95.executor.offline.flatten import flatten
    from phoenix95.executor.offline.where import settings_of

    settings = settings_of(data, os.environ)
    done = asyncio.run(
        flatten(
            settings,
            symbol=None if symbol is None else symbol.upper(),
            seconds=seconds,
            dry_run=dry_run,
            say=_say,
            confirm=lambda question: yes or _confirmed(question),
        )
    )
    if done.flat:
        _say(f"\nFlat: closed {done.closed} position(s), cancelled {done.cancelled} order(s).\n")
        return 0
    if dry_run:
        _say("\nNothing was done (--dry-run).\n")
    else:
        _say(f"\nNOT FLAT after {done.rounds} round(s). Left: {'; '.join(done.left) or 'unknown'}\n")
    return EXIT_NOT_DONE


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        _say("\nNobody can be asked: give --yes.\n")
        return False
    sys.stderr.write(f"\n{question} [y/N]: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
