"""The tables of schema `ledger`, as far as the gateway reads them. The executor owns and migrates them."""

from typing import Final

import msgspec
from sqlalchemy import TableClause, column, table

from phoenix95.gateway.reads.rows import DecisionRow, OrderRow, PortfolioRow, PositionRow

SCHEMA: Final = "ledger"


def _table(name: str, row: type[msgspec.Struct], *further: str) -> TableClause:
    """A table with the columns that a row shows, and those that are only asked by."""
    names = dict.fromkeys((*row.__struct_fields__, *further))
    return table(name, *(column(each) for each in names), schema=SCHEMA)


SIGNALS: Final = _table("signals", DecisionRow, "request")
INTENTS: Final = _table("intents", OrderRow, "analysis_id", "signed_ms")
POSITIONS: Final = _table("positions", PositionRow, "id")
PORTFOLIO: Final = _table("portfolio", PortfolioRow, "id")
FILLS: Final = table("fills", column("trade_id"), schema=SCHEMA)
