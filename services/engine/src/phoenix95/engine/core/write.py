"""The one place where an analysis is put together, so that bar analyses and replies round alike."""

from collections.abc import Sequence

import msgspec

from phoenix95.common.events import Action, Analysis, Bar, Factor, Quality, Side
from phoenix95.engine.core.factors.base import Readings
from phoenix95.engine.core.numbers import ratio, shown, shown_or_none
from phoenix95.engine.core.proposal import Proposal, score
from phoenix95.engine.core.state import SymbolState


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at one moment. `reasons` say why to hold, or what speaks for the trade."""

    id: str
    action: Action
    side: Side | None
    ts: int
    confidence: float
    bar: Bar | None
    readings: Readings
    factors: tuple[Factor, ...]
    quality: Quality
    proposal: Proposal | None
    position_fraction: float
    hold_ms: int
    reasons: Sequence[str]
    request: str | None = None
    trade: bool = True


def write(state: SymbolState, found: Finding) -> Analysis:
    """The analysis as it is published: every number rounded, nothing proposed without a proposal."""
    config, proposal = state.config, found.proposal
    chance = None if proposal is None else proposal.chance
    as_of = str(state.at)
    return Analysis(
        id=found.id,
        strategy=config.strategy,
        symbol=state.symbol,
        action=found.action,
        side=found.side,
        cause=as_of,
        ts=found.ts,
        expires_at=found.ts + config.signal_ttl_ms,
        price=shown(state.price),
        confidence=ratio(found.confidence),
        phoenix95_score=score(
            found.side, found.confidence, found.factors, proposal=proposal, quality=found.quality, config=config
        ),
        risk_level="low" if proposal is None else proposal.risk_level,
        win_probability=None if chance is None else ratio(chance.win),
        win_samples=0 if proposal is None else proposal.samples,
        brier=None if proposal is None or proposal.brier is None else ratio(proposal.brier),
        position_fraction=ratio(found.position_fraction),
        leverage=1 if proposal is None else proposal.leverage,
        stop_loss=None if proposal is None else shown(proposal.stop_loss),
        take_profit=None if proposal is None else shown(proposal.take_profit),
        hold_ms=found.hold_ms,
        bar=found.bar,
        indicators={name: shown_or_none(value) for name, value in found.readings.items() if name != "close"},
        factors=found.factors,
        quality=found.quality,
        reasoning=tuple(found.reasons),
        config=config.name,
        request=found.request,
        as_of=None if found.request is None else as_of,
        trade=found.trade,
    )
