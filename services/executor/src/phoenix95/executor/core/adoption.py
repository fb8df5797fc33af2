"""A position that somebody else opened, made a trade of ours: so the same protocol protects it and ends it."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from phoenix95.common.events import Side
from phoenix95.common.ids import client_order_id
from phoenix95.common.money import ZERO, round_to
from phoenix95.executor.core.flatten import Held
from phoenix95.executor.core.group import Fill, Group, Trade
from phoenix95.executor.core.intents import ROLE_LETTERS, Intent, PositionSide
from phoenix95.executor.core.reconcile import ADOPTED_PREFIX, opened_by
from phoenix95.executor.core.sizing import Rules

HOLD_MS: Final = 100 * 365 * 86_400_000  # no time barrier: nobody has said for how long it is meant


def adopted(
    position: Held, fills: Iterable[Fill], *, account: str, now_ms: int, leverage: int, rules: Rules,
    stop_share: Decimal, recv_window_ms: int,
) -> Group:  # fmt: skip
    """The trade with its entry FILLED by the exchange's own figures; its stop is the protocol's next move.

    The stop lies `stop_share` of the mark price away from it, not from the entry: a position that has lost more than
    that already is not closed for having been found. Its fills are those since it was flat. Where the exchange's list
    does not reach so far back, one stands for them, with a negative id, at the exchange's average price: then the
    result is right but for the fees of the entry.
    """
    side: PositionSide = "LONG" if position.amount > 0 else "SHORT"
    size = abs(position.amount)
    opening: Side = "BUY" if side == "LONG" else "SELL"
    away = -stop_share if side == "LONG" else stop_share
    mine = (msgspec.structs.replace(one, position_side=side) for one in fills if one.position_side in (side, "BOTH"))
    run = opened_by(mine, size, side)
    known = run is not None
    if run is None:
        run = (_one_for_all(position, size, side, opening, now_ms, rules.quote),)
    first = run[0]
    entering = [one for one in run if one.order_id == first.order_id]
    filled = sum((one.quantity for one in entering), ZERO)
    name = f"{ADOPTED_PREFIX}{position.symbol}-{side}-{first.trade_id if known else now_ms}"
    trade = Trade(
        analysis_id=name,
        symbol=position.symbol,
        position_side=side,
        leverage=leverage,
        price=position.entry_price,
        stop_price=round_to(position.mark_price * (1 + away), rules.price_tick),
        target_price=None,
        hold_ms=HOLD_MS,
        expires_ms=now_ms,
        stage="PROTECTING",
        opened_ms=now_ms,
        naked_since_ms=now_ms,
        quote=rules.quote,
    )
    entry = Intent(
        client_id=client_order_id(account, name, ROLE_LETTERS["entry"], 0),
        analysis_id=name,
        symbol=position.symbol,
        role="entry",
        attempt=0,
        side=opening,
        position_side=side,
        quantity=filled,
        state="FILLED",
        # fills older than the first of these do not belong to it: one window is taken off where they are fetched
        signed_ms=(first.time_ms if known else now_ms) + recv_window_ms,
        order_id=first.order_id,
        filled=filled,
        average_price=sum((one.quantity * one.price for one in entering), ZERO) / filled,
        filled_ms=now_ms,
        reason="adopted: this system did not open it",
        updated_ms=now_ms,
    )
    return Group(trade=trade, intents=(entry,), fills=tuple(run))


def _one_for_all(position: Held, size: Decimal, side: PositionSide, opening: Side, now_ms: int, quote: str) -> Fill:
    return Fill(
        trade_id=-now_ms,
        order_id=f"before-{now_ms}",
        symbol=position.symbol,
        side=opening,
        position_side=side,
        price=position.entry_price,
        quantity=size,
        fee=ZERO,
        fee_asset=quote,
        realized_pnl=ZERO,
        time_ms=now_ms,
    )
