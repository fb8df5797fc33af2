"""The exchange's income history in the ledger: stored as it is, booked to trades, and compared with their fills."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from phoenix95.executor.core.reconcile import Booked
from phoenix95.executor.ledger.history import IncomeRow
from phoenix95.executor.ledger.models import TradeRow
from phoenix95.executor.ledger.writing import Writer

OVERLAP_MS: Final = 120_000  # rows may come late; those that are there already are skipped
LATE_MS: Final = 120_000  # what is younger is not compared yet: fills and income need not come at the same time
LOOK_BACK_MS: Final = 7 * 86_400_000  # of the comparison; older trades were compared before
OF_TRADES: Final = ("REALIZED_PNL", "COMMISSION", "FUNDING_FEE")


class Row(NamedTuple):
    """One row as the exchange tells it."""

    income_type: str
    tran_id: int
    symbol: str
    asset: str
    amount: Decimal
    time_ms: int
    trade_id: int | None


# Realised results and commissions name the trade of the exchange's list; funding is of who held the position then.
# What two trades of a symbol may have earned (one of each side) is booked to neither.
_BOOK: Final = text("""
    UPDATE ledger.income i SET analysis_id = f.analysis_id FROM ledger.fills f
    WHERE i.account = :account AND i.analysis_id IS NULL AND i.trade_id IS NOT NULL AND i.income_type <> 'FUNDING_FEE'
      AND f.account = i.account AND f.symbol = i.symbol AND f.trade_id = i.trade_id
""")
_BOOK_FUNDING: Final = text("""
    WITH holders AS (
        SELECT i.tran_id, i.symbol, min(t.analysis_id) AS analysis_id
        FROM ledger.income i JOIN ledger.trades t
          ON t.account = i.account AND t.symbol = i.symbol AND t.opened_ms <= i.time_ms
         AND (t.status = 'filled' OR (t.status = 'closed' AND t.closed >= to_timestamp(i.time_ms / 1000.0)))
        WHERE i.account = :account AND i.analysis_id IS NULL AND i.income_type = 'FUNDING_FEE'
        GROUP BY i.tran_id, i.symbol HAVING count(*) = 1
    )
    UPDATE ledger.income i SET analysis_id = h.analysis_id FROM holders h
    WHERE i.account = :account AND i.income_type = 'FUNDING_FEE' AND i.tran_id = h.tran_id AND i.symbol = h.symbol
    RETURNING i.analysis_id
""")
_SUM_FUNDING: Final = text("""
    UPDATE ledger.trades t SET funding = (
        SELECT coalesce(sum(i.amount), 0) FROM ledger.income i
        WHERE i.analysis_id = t.analysis_id AND i.income_type = 'FUNDING_FEE'
    ) WHERE t.analysis_id = ANY(:ids)
""")
# Only what the exchange's list of trades and its income history both had time to tell, and only since income is kept.
_BOOKED: Final = text("""
    WITH known AS (
        SELECT f.analysis_id, f.symbol, t.quote, sum(f.realized_pnl) AS realised,
               sum(f.fee) FILTER (WHERE f.fee_asset = t.quote) AS fees, bool_and(f.trade_id > 0) AS whole
        FROM ledger.fills f JOIN ledger.trades t ON t.analysis_id = f.analysis_id
        WHERE f.account = :account GROUP BY f.analysis_id, f.symbol, t.quote
        HAVING max(f.time_ms) < :until AND min(f.time_ms) >= :since
    )
    SELECT k.analysis_id, k.symbol, k.realised AS fills_realised, -coalesce(k.fees, 0) AS fills_commission,
           coalesce(sum(i.amount) FILTER (WHERE i.income_type = 'REALIZED_PNL'), 0) AS income_realised,
           coalesce(sum(i.amount) FILTER (WHERE i.income_type = 'COMMISSION' AND i.asset = k.quote), 0)
               AS income_commission
    FROM known k LEFT JOIN ledger.income i ON i.account = :account AND i.analysis_id = k.analysis_id
    WHERE k.whole GROUP BY 1, 2, 3, 4 ORDER BY 1
""")
_NOBODYS: Final = text("""
    SELECT income_type || ' ' || asset AS name, sum(amount) AS amount FROM ledger.income
    WHERE account = :account AND analysis_id IS NULL AND time_ms < :until AND time_ms >= :since
      AND income_type = ANY(:types) GROUP BY 1
""")


async def since_ms(writer: Writer) -> int | None:
    """From when on to ask, exchange ms; None while there never was a trade."""
    async with writer.read("income") as session:
        newest = await session.scalar(select(func.max(IncomeRow.time_ms)).where(IncomeRow.account == writer.account))
        if newest is not None:
            return int(newest) - OVERLAP_MS
        first = await session.scalar(select(func.min(TradeRow.created)).where(TradeRow.account == writer.account))
        return None if first is None else int(first.timestamp() * 1000) - OVERLAP_MS


async def store_income(writer: Writer, rows: Sequence[Row]) -> int:
    """Keep new rows, and book what can be booked, also of those that were kept before. How many were new."""
    async with writer.write("income") as writing:
        session, account = writing.session, {"account": writer.account}
        new = 0
        if rows:
            stored = await session.scalars(
                insert(IncomeRow).on_conflict_do_nothing().returning(IncomeRow.tran_id),
                [{**account, **row._asdict()} for row in rows],
            )
            new = len(stored.all())
        await session.execute(_BOOK, account)
        funded = [row.analysis_id for row in await session.execute(_BOOK_FUNDING, account)]
        if funded:
            await session.execute(_SUM_FUNDING, {"ids": funded})
        return new


async def booked(session: AsyncSession, account: str, now_ms: int) -> tuple[tuple[Booked, ...], dict[str, Decimal]]:
    """Each trade's figures twice, and what belongs to no trade, of the last days; nothing while no income is kept."""
    oldest = await session.scalar(select(func.min(IncomeRow.time_ms)).where(IncomeRow.account == account))
    if oldest is None:
        return (), {}
    span = {
        "account": account, "until": now_ms - LATE_MS, "since": max(int(oldest), now_ms - LOOK_BACK_MS),
    }  # fmt: skip
    trades = tuple(Booked(**row._mapping) for row in await session.execute(_BOOKED, span))
    nobodys = await session.execute(_NOBODYS, {**span, "types": list(OF_TRADES)})
    return trades, {row.name: row.amount for row in nobodys}
