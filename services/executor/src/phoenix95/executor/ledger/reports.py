"""The account's history for people: one portfolio row at each reconciliation."""

from datetime import UTC, datetime, time

from sqlalchemy import func, insert, select, update

from phoenix95.common.money import ZERO
from phoenix95.executor.core.book import day_of, drawdown
from phoenix95.executor.core.candidate import Exposure
from phoenix95.executor.core.pnl import percent_of
from phoenix95.executor.ledger.history import PortfolioRow
from phoenix95.executor.ledger.models import AccountRow, TradeRow
from phoenix95.executor.ledger.rows import when
from phoenix95.executor.ledger.writing import Writer
from phoenix95.executor.ports import VenueAccount


async def store_portfolio(writer: Writer, account: VenueAccount, held: tuple[Exposure, ...], now_ms: int) -> None:
    """`total_risk` and `max_drawdown` are shares of equity and of its peak; the day is the exchange's UTC day."""
    now = when(now_ms)
    midnight = datetime.combine(now.date(), time(), UTC)
    async with writer.write("portfolio") as writing:
        session = writing.session
        peak = await session.scalar(
            update(AccountRow)
            .where(AccountRow.name == writer.account)
            .values(peak_equity=func.greatest(AccountRow.peak_equity, account.equity))
            .returning(AccountRow.peak_equity)
        )
        worst = await session.scalar(
            select(func.max(PortfolioRow.max_drawdown)).where(PortfolioRow.account == writer.account)
        )
        results = await session.scalars(
            select(TradeRow.pnl).where(
                TradeRow.account == writer.account, TradeRow.status == "closed", TradeRow.closed >= midnight
            )
        )
        day = day_of([result for result in results.all() if result is not None])
        risk = sum((one.risk for one in held), ZERO)
        await session.execute(
            insert(PortfolioRow).values(
                account=writer.account,
                total_balance=account.equity,
                available_balance=account.available,
                used_margin=account.used_margin,
                unrealized_pnl=account.unrealized,
                total_risk=risk / account.equity if account.equity > 0 else ZERO,
                max_drawdown=max(worst or ZERO, drawdown(peak or ZERO, account.equity)),
                sharpe_ratio=None,
                active_positions=len(held),
                total_exposure=sum((one.notional for one in held), ZERO),
                daily_pnl=day.pnl,
                daily_pnl_percent=percent_of(day.pnl, account.wallet - day.pnl),
                daily_trades=day.trades,
                daily_wins=day.wins,
                daily_losses=day.losses,
                created=now,
                date=now.date(),
            )
        )
