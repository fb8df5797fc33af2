"""What an answer of the exchange changes in the tables, and the events that say so."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from phoenix95.common.errors import InvariantBroken
from phoenix95.common.events import PositionChanged
from phoenix95.common.money import ZERO, plain
from phoenix95.executor.core.group import ExitReason, Fill, Group
from phoenix95.executor.core.pnl import percent_of, result
from phoenix95.executor.core.protection import resting_stop_price
from phoenix95.executor.ledger.history import PositionRow
from phoenix95.executor.ledger.models import FillRow, IntentRow, SignalRow, TradeRow
from phoenix95.executor.ledger.rows import changed, intent_values, when
from phoenix95.executor.ledger.writing import Writing


async def record(writing: Writing, account: str, before: Group, after: Group) -> None:
    """Store the intents that changed, and what follows for the trade and its position."""
    known = {intent.client_id: intent for intent in before.intents}
    for intent in after.intents:
        old = known.get(intent.client_id)
        if intent == old:
            continue
        await writing.session.execute(
            update(IntentRow).where(IntentRow.client_id == intent.client_id).values(**intent_values(intent, account))
        )
        if old is None or (old.state, old.filled) != (intent.state, intent.filled):
            writing.emit(changed(intent, after.trade.request))
    await _store_trade(writing, after)
    if before.protected and not after.protected and 0 < after.held <= before.held:
        symbol = after.trade.symbol
        writing.alert("warning", "stop_lost", f"{symbol}: its stop is not what it was; it is placed again", symbol)
    if after.entry.filled > 0:
        await _store_position(writing, account, after, opened=before.entry.filled == 0)


async def _store_trade(writing: Writing, group: Group) -> None:
    trade, entry = group.trade, group.entry
    values: dict[str, Any] = {
        "opened_ms": trade.opened_ms, "naked_since_ms": trade.naked_since_ms, "stage": trade.stage,
    }  # fmt: skip
    if entry.order_id is not None:
        values |= {"order_id": entry.order_id, "filled_amount": entry.filled, "filled_price": entry.average_price}
    if entry.filled > 0 and trade.opened_ms is not None:
        values |= {"status": "filled", "filled": when(trade.opened_ms)}
    await writing.session.execute(update(TradeRow).where(TradeRow.analysis_id == trade.analysis_id).values(**values))


async def _store_position(writing: Writing, account: str, group: Group, *, opened: bool) -> None:
    trade, entry = group.trade, group.entry
    price = entry.average_price if entry.average_price is not None else trade.price
    stamp = when(trade.opened_ms or entry.updated_ms)
    size, stop_price = max(ZERO, group.held), resting_stop_price(group)
    await writing.session.execute(
        insert(PositionRow)
        .values(
            analysis_id=trade.analysis_id, account=account, symbol=trade.symbol, side=trade.position_side.lower(),
            size=size, entry_price=price, leverage=trade.leverage, stop_loss=stop_price,
            take_profit=trade.target_price, is_active=True, created=stamp, updated=stamp,
        )
        .on_conflict_do_update(
            index_elements=["analysis_id", "account"],
            set_={
                "size": size, "entry_price": price, "stop_loss": stop_price,
                "protected": PositionRow.protected if trade.stage != "PROTECTING" else False,
            },
        )
    )  # fmt: skip
    if opened:
        await store_fees(writing, trade.analysis_id)
        decided_ms = await writing.session.scalar(
            update(SignalRow)
            .where(SignalRow.analysis_id == trade.analysis_id)
            .values(executed=True, execution_time_ms=entry.updated_ms - SignalRow.decided_ms)
            .returning(SignalRow.decided_ms)
        )
        await writing.session.execute(
            update(TradeRow)
            .where(TradeRow.analysis_id == trade.analysis_id)
            .values(execution_time_ms=entry.updated_ms - (decided_ms or entry.updated_ms))
        )
        writing.emit(
            PositionChanged(
                analysis_id=trade.analysis_id, symbol=trade.symbol, ts=entry.updated_ms, state="opened",
                side=_side(group), size=plain(entry.filled), entry_price=plain(price), request=trade.request,
            )
        )  # fmt: skip


async def store_fees(writing: Writing, analysis_id: str) -> None:
    """What was paid so far, also while the trade is open. A fill may be known before its position is, or after."""
    paid = await writing.session.scalar(
        select(func.coalesce(func.sum(FillRow.fee), ZERO))
        .select_from(FillRow)
        .join(TradeRow, TradeRow.analysis_id == FillRow.analysis_id)
        .where(FillRow.analysis_id == analysis_id, FillRow.fee_asset == TradeRow.quote)
    )
    await writing.session.execute(update(PositionRow).where(PositionRow.analysis_id == analysis_id).values(fees=paid))
    await writing.session.execute(update(TradeRow).where(TradeRow.analysis_id == analysis_id).values(fee=paid))


async def tell_of_strangers(writing: Writing, account: str, analysis_id: str, fills: Sequence[Fill]) -> None:
    """Alert once of new fills of orders that are none of ours: a person, or the exchange, changed the position.

    While a market order of ours is without its answer, a fill may be its own: then nothing is told.
    """
    ids = [fill.trade_id for fill in fills]
    known = set(
        await writing.session.scalars(
            select(FillRow.trade_id).where(
                FillRow.account == account, FillRow.symbol == fills[0].symbol, FillRow.trade_id.in_(ids)
            )
        )
    )
    columns = (IntentRow.order_id, IntentRow.role, IntentRow.state, IntentRow.trigger_price)
    intents = (await writing.session.execute(select(*columns).where(IntentRow.analysis_id == analysis_id))).all()
    ours = {one.order_id for one in intents}
    strange = [fill for fill in fills if fill.trade_id not in known and fill.order_id not in ours]
    at_market = (one for one in intents if one.role in ("entry", "exit", "target") and one.trigger_price is None)
    if not strange or any(one.state == "SENT" for one in at_market):
        return
    did = ", ".join(f"{fill.side} {plain(fill.quantity)} at {plain(fill.price)}" for fill in strange[:5])
    symbol = strange[0].symbol
    text = f"{symbol}: not by us: {did}; the stop follows the size"
    writing.alert("warning", "changed_by_hand", text, symbol)


async def protected(writing: Writing, analysis_id: str, now_ms: int) -> None:
    trade = await _trade(writing, analysis_id)
    trade.stage = "PROTECTED"
    position = await writing.session.scalar(select(PositionRow).where(PositionRow.analysis_id == analysis_id))
    if position is None:
        raise InvariantBroken(f"{analysis_id} is protected without a position")
    position.protected = True
    writing.emit(
        PositionChanged(
            analysis_id=analysis_id, symbol=trade.symbol, ts=now_ms, state="protected",
            side="long" if trade.position_side == "LONG" else "short", size=plain(position.size),
            entry_price=plain(position.entry_price), request=trade.request,
        )
    )  # fmt: skip


async def failed(writing: Writing, analysis_id: str, reason: str, now_ms: int) -> None:
    trade = await _trade(writing, analysis_id)
    trade.status, trade.stage, trade.closed = "cancelled", "FAILED", when(now_ms)
    trade.naked_since_ms = None
    trade.details = {**trade.details, "failed": reason}
    await _drop_planned(writing, analysis_id, now_ms)


async def finish(writing: Writing, group: Group, reason: ExitReason, now_ms: int) -> None:
    """The result is folded from the exchange's own list of trades, fees included."""
    made = result(group.fills, group.trade.position_side, group.trade.quote)
    if made.size != 0 or made.entry_price is None:
        raise InvariantBroken(f"{group.trade.analysis_id}: closed with {made.size} open by its fills")
    trade = await _trade(writing, group.trade.analysis_id)
    notional = made.entered * made.entry_price
    percent = percent_of(made.realized, notional)
    trade.status, trade.stage, trade.closed, trade.naked_since_ms = "closed", "CLOSED", when(now_ms), None
    trade.pnl, trade.pnl_percent, trade.fee = made.realized, percent, made.fees
    trade.details = {**trade.details, "exit_reason": reason} | _other_fees(made.fees_other)
    await writing.session.execute(
        update(PositionRow)
        .where(PositionRow.analysis_id == trade.analysis_id)
        .values(
            is_active=False, size=made.entered, entry_price=made.entry_price, exit_price=made.exit_price,
            exit_reason=reason, realized_pnl=made.realized, realized_pnl_percent=percent, fees=made.fees,
            unrealized_pnl=ZERO, unrealized_pnl_percent=ZERO, current_price=made.exit_price,
            closed=when(now_ms), updated=when(now_ms),
        )
    )  # fmt: skip
    await _drop_planned(writing, trade.analysis_id, now_ms)
    writing.emit(
        PositionChanged(
            analysis_id=trade.analysis_id, symbol=trade.symbol, ts=now_ms, state="closed", side=_side(group),
            size=plain(made.entered), entry_price=plain(made.entry_price), exit_reason=reason,
            exit_price=None if made.exit_price is None else plain(made.exit_price),
            realized_pnl=plain(made.realized), fees=plain(made.fees), request=trade.request,
        )
    )  # fmt: skip


async def _drop_planned(writing: Writing, analysis_id: str, now_ms: int) -> None:
    await writing.session.execute(
        update(IntentRow)
        .where(IntentRow.analysis_id == analysis_id, IntentRow.state == "PLANNED")
        .values(state="CANCELED", reason="not needed", updated_ms=now_ms)
    )


async def _trade(writing: Writing, analysis_id: str) -> TradeRow:
    trade = await writing.session.scalar(select(TradeRow).where(TradeRow.analysis_id == analysis_id))
    if trade is None:
        raise InvariantBroken(f"no trade {analysis_id}")
    return trade


def _side(group: Group) -> Any:
    return group.trade.position_side.lower()


def _other_fees(fees: dict[str, Any]) -> dict[str, Any]:
    return {"fees_other": {asset: plain(fee) for asset, fee in fees.items()}} if fees else {}
