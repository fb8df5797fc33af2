"""Every trade as one row, for spreadsheets and tax: the columns are a promise and stand in docs/how-to/audit.md."""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from sqlalchemy import Connection, text

from phoenix95.common.money import plain

_ROWS = text("""
    SELECT t.analysis_id, t.account, t.symbol, lower(t.position_side) AS side, t.status,
           t.created AS decided, t.filled AS opened, t.closed,
           t.amount AS quantity, t.filled_amount AS filled_quantity,
           coalesce(p.entry_price, t.filled_price) AS entry_price, p.exit_price, t.leverage,
           t.stop_loss, t.take_profit,
           t.pnl, t.pnl_percent, t.fee AS fees, t.funding, t.quote,
           coalesce(p.exit_reason, t.close_reason, t.metadata ->> 'failed') AS exit_reason,
           t.order_id, t.confidence, t.phoenix95_score AS score, t.risk_level, t.request
    FROM ledger.trades AS t LEFT JOIN ledger.positions AS p USING (analysis_id)
    WHERE t.created >= coalesce(CAST(:since AS timestamptz), '-infinity')
      AND t.created < coalesce(CAST(:until AS timestamptz), 'infinity')
    ORDER BY t.id
""")


class TradeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One trade. `pnl` is after `fees`, in `quote`; `funding` is apart from both, negative when it was paid. Times are
    exchange time; what has not happened is None. `decided` is when the gates let it pass."""

    analysis_id: str
    account: str
    symbol: str
    side: str
    status: str
    decided: datetime
    opened: datetime | None
    closed: datetime | None
    quantity: Decimal
    filled_quantity: Decimal
    entry_price: Decimal | None
    exit_price: Decimal | None
    leverage: int
    stop_loss: Decimal
    take_profit: Decimal | None
    pnl: Decimal | None
    pnl_percent: Decimal | None
    fees: Decimal
    funding: Decimal
    quote: str
    exit_reason: str | None
    order_id: str | None
    confidence: float
    score: float
    risk_level: str
    request: str | None


def trades(connection: Connection, since: datetime | None, until: datetime | None) -> tuple[TradeRow, ...]:
    """Trades decided in `[since, until)` of exchange time, the oldest first; None is open."""
    found = connection.execute(_ROWS, {"since": since, "until": until}).mappings()
    return tuple(TradeRow(**row) for row in found)


def as_csv(rows: Iterable[TradeRow]) -> str:
    """With a header line; times are ISO in UTC, numbers exact and without an exponent, empty is what there is not."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(TradeRow.__struct_fields__)
    for row in rows:
        writer.writerow([_field(getattr(row, name)) for name in TradeRow.__struct_fields__])
    return out.getvalue()


def _field(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
    return str(value)
