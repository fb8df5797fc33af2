"""`phoenix95 close`: a person ends what is held in a symbol."""

from typing import Annotated, Literal

import typer

from phoenix95.cli.gateway import DATA_DEFAULT, find_gateway, segment
from phoenix95.cli.market import Symbols, command
from phoenix95.cli.options import AsJson, Data, Url


def close(
    symbols: Symbols,
    *,
    side: Annotated[
        Literal["long", "short"] | None, typer.Option(help="only this side; else whichever is held")
    ] = None,
    url: Url = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Close what is held in symbols, at the market. Never asks: getting out is safe. Exit 1 when nothing was held."""
    query = "" if side is None else f"?side={side}"
    command(
        "POST",
        lambda symbol: f"/api/positions/{segment(symbol)}/close{query}",
        symbols,
        find_gateway(url, data),
        as_json,
    )
