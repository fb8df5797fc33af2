"""A position that somebody else opened becomes a trade like any other, in one transaction with its alert."""

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from phoenix95.common.money import ZERO
from phoenix95.executor.core.group import Group
from phoenix95.executor.core.intents import Intent
from phoenix95.executor.ledger import outcome
from phoenix95.executor.ledger.control import ITSELF, set_control
from phoenix95.executor.ledger.models import FillRow, IntentRow, TradeRow
from phoenix95.executor.ledger.rows import fill_values, intent_values, when
from phoenix95.executor.ledger.writing import Writer

ADOPTED = "adopted"
ACTIVE = ("pending", "filled")


async def adopt(writer: Writer, group: Group, reason: str) -> bool:
    """Store it, and take no new entries in its symbol until a person resumes. False: it is a trade already."""
    trade, entry = group.trade, group.entry
    opened_ms = trade.opened_ms or entry.updated_ms
    async with writer.write("adoption") as writing:
        session = writing.session
        active = await session.scalar(
            select(TradeRow.id).where(
                TradeRow.account == writer.account, TradeRow.symbol == trade.symbol,
                TradeRow.position_side == trade.position_side, TradeRow.status.in_(ACTIVE),
            )
        )  # fmt: skip
        if active is not None:
            return False
        await session.execute(
            insert(TradeRow).values(
                analysis_id=trade.analysis_id, account=writer.account, symbol=trade.symbol, side=entry.side,
                position_side=trade.position_side, amount=entry.quantity, price=trade.price, leverage=trade.leverage,
                confidence=0.0, phoenix95_score=0.0, risk_level=ADOPTED, stop_loss=trade.stop_price, take_profit=None,
                status="filled", stage=trade.stage, hold_ms=trade.hold_ms, expires_ms=trade.expires_ms,
                opened_ms=opened_ms, naked_since_ms=trade.naked_since_ms, quote=trade.quote, created=when(opened_ms),
                reasoning=[reason], details={ADOPTED: True},
            )
        )  # fmt: skip
        await session.execute(insert(IntentRow).values(**intent_values(entry, writer.account)))
        await session.execute(
            upsert(FillRow).on_conflict_do_nothing(),
            [fill_values(fill, writer.account, trade.analysis_id) for fill in group.fills],
        )
        before: Intent = msgspec.structs.replace(entry, state="SENT", filled=ZERO)
        await outcome.record(writing, writer.account, msgspec.structs.replace(group, intents=(before,)), group)
        await set_control(session, trade.symbol, "REDUCE_ONLY", reason, who=ITSELF, cause="foreign_position")
        writing.alert(
            "critical", "foreign_position",
            f"{reason}; adopted with a stop at {trade.stop_price}, {trade.symbol} takes no entries until resumed",
            trade.symbol,
        )  # fmt: skip
    return True
