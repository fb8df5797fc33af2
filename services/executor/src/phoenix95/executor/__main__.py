"""`python -m phoenix95.executor` runs the service; the other commands are for operators."""

import argparse
import asyncio
import getpass
import os
import sys
from typing import Final

from phoenix95.common.errors import ConfigError, TransientError
from phoenix95.common.serve import EXIT_CONFIG, EXIT_CRASH
from phoenix95.common.serve import run as serve
from phoenix95.common.settings import load, require
from phoenix95.executor.config import ExecutorSettings

MODES: Final = ("RUN", "REDUCE_ONLY", "HALT", "FLATTEN")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m phoenix95.executor", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("migrate", help="create or update the tables of schema ledger")
    control = commands.add_parser("control", help="set what the executor may do; it survives restarts")
    control.add_argument("mode", choices=MODES)
    control.add_argument("--symbol", default="account", help="only this symbol (default: the whole account)")
    control.add_argument("--reason", default="", help="why; needed for RUN and REDUCE_ONLY, which may loosen")
    direct = commands.add_parser("flatten", help="close everything directly at the exchange; needs only its keys")
    direct.add_argument("--symbol", help="only this symbol (default: everything)")
    direct.add_argument("--yes", action="store_true", help="do not ask")
    direct.add_argument("--dry-run", action="store_true", help="only show what there is")
    direct.add_argument("--for", dest="seconds", type=float, default=60.0, help="seconds to go on trying (default: 60)")
    audit = commands.add_parser("audit", help="prove the ledger: its chain, the streams, the exchange, the results")
    audit.add_argument("--since", help="only from this time on: 2026-11-22T10:00:00Z")
    audit.add_argument("--account", help="only this account (default: all)")
    audit.add_argument("--anchor", help="an anchor noted earlier: finds a tail that was cut off")
    audit.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
    compare = commands.add_parser("reconcile", help="compare exchange and ledger; exit 1 when they differ")
    compare.add_argument("--apply", action="store_true", help="put right what differs; only where no executor runs")
    compare.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
    report = commands.add_parser("report", help="one day, tied to the exchange's income history")
    report.add_argument("--date", dest="day", help="2026-11-22, in UTC (default: the last day)")
    report.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if arguments.command is None:
        from phoenix95.executor.service import run

        serve("executor", ExecutorSettings, run)
    try:
        _once(arguments)
    except (ConfigError, TransientError) as error:
        sys.stderr.write(f"phoenix95 executor: {error}\n")
        sys.exit(EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_CRASH)


def _once(arguments: argparse.Namespace) -> None:
    if arguments.command == "reconcile":
        from phoenix95.executor.offline.commands import run_reconcile

        sys.exit(run_reconcile(apply=arguments.apply, as_json=arguments.as_json))
    if arguments.command == "flatten":
        from phoenix95.executor.offline.commands import flatten_direct

        given = {name: getattr(arguments, name) for name in ("symbol", "yes", "dry_run", "seconds")}
        sys.exit(flatten_direct(**given))
    if arguments.command == "audit":
        from phoenix95.executor.audit.commands import run_audit

        sys.exit(run_audit(**{name: getattr(arguments, name) for name in ("since", "account", "anchor", "as_json")}))
    if arguments.command == "report":
        from phoenix95.executor.audit.commands import run_report

        sys.exit(run_report(day=arguments.day, as_json=arguments.as_json))
    settings = load(ExecutorSettings, "executor", os.environ)
    require(settings, "postgres_url")
    if arguments.command == "migrate":
        from phoenix95.executor.ledger.migrate import upgrade

        upgrade(settings.postgres_url.reveal())
        return
    asyncio.run(_set_mode(settings, arguments))


async def _set_mode(settings: ExecutorSettings, arguments: argparse.Namespace) -> None:
    from phoenix95.executor.ledger.connect import connect
    from phoenix95.executor.ledger.control import set_by_person

    reason = arguments.reason.strip()
    if not reason and arguments.mode in ("RUN", "REDUCE_ONLY"):
        raise ConfigError("--reason is required: it is kept with your name")
    engine = connect(settings.postgres_url.reveal())
    try:
        changed = await set_by_person(
            engine, arguments.symbol, arguments.mode, reason or "by the operator", f"operator {_user()}"
        )
    finally:
        await engine.dispose()
    sys.stderr.write(f"{arguments.symbol}: {changed.previous} -> {changed.mode}\n")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user id need not have a name
        return f"uid {os.getuid()}"


if __name__ == "__main__":
    main()
