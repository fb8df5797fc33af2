"""The options that every command has."""

from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[str | None, typer.Option(help="the gateway's address; else P95_GATEWAY_URL, else --data")]
Data = Annotated[Path, typer.Option(help="the data folder of a system that runs on this machine")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Symbol = Annotated[str, typer.Argument(help="as the exchange spells it: BTCUSDT", metavar="SYMBOL")]
