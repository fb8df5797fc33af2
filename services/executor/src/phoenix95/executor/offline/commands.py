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
    from phoenix95.common.logs import configure
    from phoenix95.executor.offline.flatten import flatten
    from phoenix95.executor.offline.where import settings_of

    settings = settings_of(data, os.environ)
    configure("executor", level="warning", fmt="console")
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


def run_reconcile(*, apply: bool = False, as_json: bool = False, data: Path = DATA_DEFAULT) -> int:
    """Show how exchange and ledger differ. Returns the exit code: 0 when they do not."""
    import msgspec

    from phoenix95.common.logs import configure
    from phoenix95.executor.core.reconcile import WORDS
    from phoenix95.executor.offline.reconcile import reconcile
    from phoenix95.executor.offline.table import table
    from phoenix95.executor.offline.where import settings_of

    settings = settings_of(data, os.environ)
    configure("executor", level="warning", fmt="console")
    seen = asyncio.run(reconcile(settings, apply=apply))
    if as_json:
        shown = [{**msgspec.to_builtins(one), "would": ": ".join(WORDS[one.action])} for one in seen.findings]
        told = {**msgspec.to_builtins(seen), "findings": shown, "agrees": not seen.findings}
        _say(msgspec.json.format(msgspec.json.encode(told)).decode() + "\n")
        return EXIT_NOT_DONE if seen.findings else 0
    _say(
        f"account {seen.account}, {seen.exchange}\n"
        f"{seen.trades} active trade(s) in the ledger; {seen.positions} position(s) and {seen.orders} open order(s) "
        "at the exchange\n\n"
    )
    if not seen.findings:
        _say("Exchange and ledger agree.\n")
        return 0
    _say(
        table(
            ("difference", "symbol", "exchange", "ledger", "would"),
            [
                (
                    one.kind.replace("_", " "),
                    f"{one.symbol} {one.position_side.lower()}" if one.position_side else one.symbol,
                    one.exchange,
                    one.ledger,
                    WORDS[one.action][0],
                )
                for one in seen.findings
            ],
        )
    )
    _say("\n")
    for action in dict.fromkeys(one.action for one in seen.findings):
        _say(f" {': '.join(WORDS[action])}\n")
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
