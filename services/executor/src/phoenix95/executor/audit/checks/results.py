"""What was booked against the fills that it comes of."""

from decimal import Decimal
from typing import cast

from phoenix95.common.money import plain
from phoenix95.executor.audit.checks import check
from phoenix95.executor.audit.scene import DIFFERENCES_MAX, Outcome, Scene
from phoenix95.executor.core.intents import PositionSide
from phoenix95.executor.core.pnl import result, until_flat
from phoenix95.executor.ledger.evidence import Closed


@check("results are the sum of fills and fees", rank=70)
async def results(scene: Scene) -> Outcome:
    closed = await scene.ledger.closed(scene.since_ms)
    found = [words for one in closed if (words := _judged(one))]
    return Outcome(checked=len(closed), differences=tuple(found[:DIFFERENCES_MAX]))


def _judged(closed: Closed) -> str | None:
    side = cast(PositionSide, closed.position_side)
    made = result(until_flat(closed.fills, side), side, closed.quote)
    if made.size != 0:
        return f"{closed.analysis_id}: closed, and by its fills {plain(made.size)} {closed.symbol} are open"
    for what, booked, summed in (
        ("result", closed.pnl, made.realized),
        ("fees", closed.fee, made.fees),
        ("position's result", closed.realized, made.realized),
        ("position's fees", closed.fees, made.fees),
    ):
        if booked != summed:
            return f"{closed.analysis_id}: {what} {_shown(booked)} is booked, fills and fees make {_shown(summed)}"
    return None


def _shown(number: Decimal | None) -> str:
    return "none" if number is None else plain(number)
