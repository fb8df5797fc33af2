"""Answers to requests from outside. They read the state and never change it, so that a replay need not ask again."""

import math
from collections.abc import Iterator

import msgspec

from phoenix95.common.events import Analysis, Request, Side
from phoenix95.common.ids import StreamId, reply_id
from phoenix95.engine.core.conclude import case_for, own_finding
from phoenix95.engine.core.evidence import confidence_for, sign
from phoenix95.engine.core.factors.base import weighed
from phoenix95.engine.core.lane import Lane
from phoenix95.engine.core.market import spread_bps
from phoenix95.engine.core.outcomes import Tally
from phoenix95.engine.core.proposal import SMALLEST_DISTANCE, Barriers, Proposal, atr_barriers, propose, tally_of
from phoenix95.engine.core.state import SymbolState
from phoenix95.engine.core.write import Finding, write

HOLD_MS_MAX = 30 * 86_400_000  # a time barrier beyond a month is a slip of the pen
DEFAULT = "default"  # the origin of barriers while the average range is not known


def answer(state: SymbolState, request_id: StreamId, request: Request) -> Analysis:
    """The reply to a request, by what is known as of the last entry folded.

    The age of an answer counts from the asking: a quiet market's last trade may be old, and a request that had
    to wait must not look fresh. ERROR means that nothing can be said or that the request contradicts itself;
    HOLD that the market speaks against it.
    """
    lane = state.lanes[0]
    own = own_finding(
        state,
        lane,
        id=reply_id(state.config.strategy, state.symbol, str(request_id)),
        ts=request.requested_at,
        request=str(request_id),
        trade=request.trade,
    )
    side = request.side or own.side
    wrong = next(_contradictions(state, request, side), None)
    if wrong is not None:
        return write(state, _without_trade(own, side, "ERROR", [wrong]))
    if side is None:
        return write(state, own)
    found = _for_side(state, lane, own, side, request)
    against = list(_market_objections(state, request, found.ts))
    if against:
        found = msgspec.structs.replace(found, action="HOLD", position_fraction=0.0, reasons=against)
    return write(state, found)


def _for_side(state: SymbolState, lane: Lane, own: Finding, side: Side, request: Request) -> Finding:
    """The finding for the side that was asked for, or for the engine's own with what the request replaces."""
    given = {"rsi": request.rsi, "macd_histogram": request.macd}
    read = {**own.readings, **{name: value for name, value in given.items() if value is not None}}
    factors = weighed(read)
    own_confidence = confidence_for(side, factors)
    proposal = _proposal(state, lane, own, side, request)
    found = msgspec.structs.replace(
        own,
        side=side,
        confidence=own_confidence if request.confidence is None else request.confidence,
        readings=read,
        factors=factors,
        proposal=proposal,
        hold_ms=own.hold_ms if request.hold_ms is None else request.hold_ms,
    )
    if request.side is None:  # the engine's own opinion and its own reasons to hold stand
        uncalibrated = own.action == "EXECUTE" and proposal.chance is None
        size = state.config.outside_fraction if uncalibrated else own.position_fraction
        return msgspec.structs.replace(found, position_fraction=size)
    reasons = [f"asked for by {request.source}: {side}", f"stop and target by {proposal.barriers.origin}"]
    if proposal.kelly > 0:
        reasons += case_for(proposal)
    else:
        reasons.append("fixed size: no calibrated edge stands behind this trade")
    size = proposal.kelly or state.config.outside_fraction
    return msgspec.structs.replace(found, action="EXECUTE", position_fraction=size, reasons=reasons)


def _proposal(state: SymbolState, lane: Lane, own: Finding, side: Side, request: Request) -> Proposal:
    """The trade to judge. The engine's outcomes speak only for its own side, barriers and holding time."""
    config, atr = state.config, own.readings["atr"]
    barriers = None if atr is None else atr_barriers(atr, state.price, config)
    barriers = barriers or Barriers(config.cold_stop, config.cold_target, DEFAULT)
    if request.stop_loss is not None or request.take_profit is not None:
        barriers = Barriers(
            barriers.stop if request.stop_loss is None else abs(request.stop_loss / state.price - 1),
            barriers.target if request.take_profit is None else abs(request.take_profit / state.price - 1),
            "request",
        )
    is_own = own.side == side and barriers.origin == "average range" and request.hold_ms is None
    return propose(
        side,
        barriers,
        tally_of(lane, side) if is_own else Tally(),
        price=state.price,
        atr=atr,
        spread_bps=spread_bps(state),
        funding=state.funding,
        hold_ms=own.hold_ms if request.hold_ms is None else request.hold_ms,
        config=config,
    )


def _contradictions(state: SymbolState, request: Request, side: Side | None) -> Iterator[str]:
    """What is plainly wrong with the request itself."""
    if not state.price:
        yield "no trade of this symbol is known"
        return
    for name in ("price", "confidence", "rsi", "macd", "volume", "stop_loss", "take_profit"):
        value = getattr(request, name)
        if value is not None and not math.isfinite(value):
            yield f"{name} {value} is not finite"
    for name in ("price", "stop_loss", "take_profit"):
        value = getattr(request, name)
        if value is not None and value <= 0:
            yield f"{name} {value} is not above 0"
    if request.confidence is not None and not 0 <= request.confidence <= 1:
        yield f"confidence {request.confidence} is not in [0, 1]"
    if request.hold_ms is not None and not 0 < request.hold_ms <= HOLD_MS_MAX:
        yield f"hold_ms {request.hold_ms} is not in [1, {HOLD_MS_MAX}]"
    if side is not None:
        for name, direction in (("stop_loss", -sign(side)), ("take_profit", sign(side))):
            value = getattr(request, name)
            if value is not None and not SMALLEST_DISTANCE <= direction * (value / state.price - 1) < 1:
                yield f"{name} {value} is on the wrong side of {state.price} for a {side}"


def _market_objections(state: SymbolState, request: Request, ts: int) -> Iterator[str]:
    """What speaks against any trade now, whoever asks."""
    config, spread = state.config, spread_bps(state)
    age_ms = ts - state.price_ms
    if age_ms > config.stale_ms:
        yield f"the last trade is {age_ms} ms old, more than {config.stale_ms}"
    if -age_ms > config.stale_ms:
        yield f"asked {-age_ms} ms before the last trade, more than {config.stale_ms}"
    if spread is not None and spread > config.max_spread_bps:
        yield f"spread {round(spread, 2)} bps is above {config.max_spread_bps}"
    if request.price is not None and abs(request.price - state.price) > config.max_deviation * state.price:
        yield f"price {request.price} is more than {config.max_deviation} away from the last trade at {state.price}"


def _without_trade(own: Finding, side: Side | None, action: str, reasons: list[str]) -> Finding:
    return msgspec.structs.replace(own, action=action, side=side, proposal=None, position_fraction=0.0, reasons=reasons)
