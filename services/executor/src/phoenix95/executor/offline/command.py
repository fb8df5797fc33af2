"""`phoenix95 reconcile`: loaded by the command line, which brings Typer along."""

from pathlib import Path
from typing import Annotated

import typer

from phoenix95.executor.offline import commands
from phoenix95.executor.offline.where import DATA_DEFAULT


def reconcile(
    *,
    apply: Annotated[
        bool, typer.Option("--apply", help="do it; only where no executor runs, which does it by itself")
    ] = False,
    data: Annotated[Path, typer.Option(help="the data folder of a system that runs on this machine")] = DATA_DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Compare positions, orders, settings and income at the exchange with the ledger. Exit 1 when they differ.

    Needs the ledger and the exchange's keys (to read), from P95_* or from the system in --data, and no service.
    """
    raise typer.Exit(commands.run_reconcile(apply=apply, as_json=as_json, data=data))
