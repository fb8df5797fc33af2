"""`phoenix95 audit` and `phoenix95 report`: loaded by the command line, which brings Typer along."""

from pathlib import Path
from typing import Annotated

import typer

from phoenix95.executor.audit import commands
from phoenix95.executor.offline.where import DATA_DEFAULT

Data = Annotated[Path, typer.Option(help="the data folder of a system that runs on this machine")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


def audit(
    *,
    since: Annotated[str | None, typer.Option(help="only from this time on: 2026-11-22T10:00:00Z")] = None,
    account: Annotated[str | None, typer.Option(help="only this account (default: all)")] = None,
    anchor: Annotated[str | None, typer.Option(help="an anchor noted earlier: finds a tail that was cut off")] = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Prove the ledger: its chain, the streams, the exchange, the results. Exit 1 on a violation, 2 if unable."""
    raise typer.Exit(commands.run_audit(account=account, since=since, anchor=anchor, as_json=as_json, data=data))


def report(
    *,
    day: Annotated[str | None, typer.Option("--date", help="2026-11-22, in UTC (default: the last day)")] = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """One day: trades, results, refusals by gate, and the tie to the exchange's income. Exit 1 if it differs."""
    raise typer.Exit(commands.run_report(day=day, as_json=as_json, data=data))
