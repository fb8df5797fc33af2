"""The engine's own opinion: at a bar's close, or when somebody asks for it."""

from phoenix95.common.events import Analysis, Bar, Quality
from phoenix95.common.ids import analysis_id
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.factors.base import Readings, weighed
from phoenix95.engine.core.lane import Lane, quality, readings
from phoenix95.engine.core.market import spread_bps
from phoenix95.engine.core.numbers import ratio, shown_or_none
from phoenix95.engine.core.outcomes import enter
from phoenix95.engine.core.proposal import Proposal, atr_barriers, propose, tally_of
from phoenix95.engine.core.state import SymbolState
from phoenix95.engine.core.strategies.base import Opinion, strategy_named
from phoenix95.engine.core.write import Finding, write


def conclude(state: SymbolState, lane: Lane, bar: Bar, k: int) -> Analysis:
    """The analysis of a bar that the last trade has just closed, as the k-th output of that trade."""
    late_ms = state.ms - (bar.open_time + bar.length_ms)
    found = own_finding(
        state, lane, id=analysis_id(state.config.strategy, state.symbol, state.seq, k), ts=state.ms, late_ms=late_ms
    )
    return write(state, found)


def own_finding(
    state: SymbolState, lane: Lane, *, id: str, ts: int, late_ms: int = 0, request: str | None = None,  # noqa: A002
    trade: bool = True,
) -> Finding:  # fmt: skip
    """What the strategy would do now; `late_ms` is how long ago the last bar closed."""
    config = state.config
    read = readings(lane)
    factors = weighed(read)
    opinion = opinion_of(lane, read, config)
    proposal = own_proposal(state, lane, read, opinion)
    trust = quality(lane, shown_or_none(spread_bps(state)))
    objections = _objections(opinion, proposal, trust, lane, late_ms, config)
    return Finding(
        id=id,
        action="HOLD" if objections else "EXECUTE",
        side=opinion.side,
        ts=ts,
        confidence=opinion.confidence,
        bar=lane.last,
        readings=read,
        factors=factors,
        quality=trust,
        proposal=proposal,
        position_fraction=0.0 if objections or proposal is None else proposal.kelly,
        hold_ms=config.hold_bars * lane.length_ms,
        reasons=objections or case_for(proposal),
        request=request,
        trade=trade,
    )


def learn(state: SymbolState, lane: Lane, bar: Bar, price: float) -> None:
    """Watch the signal of a bar, if it gave one, as a virtual trade entered at `price`."""
    read = readings(lane)
    opinion, atr = opinion_of(lane, read, state.config), read["atr"]
    if opinion.side is not None and atr is not None and not lane.degraded:
        closed_ms = bar.open_time + bar.length_ms
        enter(tally_of(lane, opinion.side), opinion.side, price, closed_ms, lane.length_ms, atr, state.config)


def opinion_of(lane: Lane, read: Readings, config: Config) -> Opinion:
    """What the strategy says; nothing while the indicators are not warm."""
    return strategy_named(config.strategy).opinion(weighed(read), config) if lane.warm else Opinion(None, 0.5)


def own_proposal(state: SymbolState, lane: Lane, read: Readings, opinion: Opinion) -> Proposal | None:
    """The trade of the strategy's side; None without a side or without measurable barriers."""
    atr = read["atr"]
    barriers = None if atr is None or not state.price else atr_barriers(atr, state.price, state.config)
    if opinion.side is None or barriers is None:
        return None
    return propose(
        opinion.side,
        barriers,
        tally_of(lane, opinion.side),
        price=state.price,
        atr=atr,
        spread_bps=spread_bps(state),
        funding=state.funding,
        hold_ms=state.config.hold_bars * lane.length_ms,
        config=state.config,
    )


def case_for(proposal: Proposal | None) -> list[str]:
    """What the outcomes say for a trade; empty when it is not calibrated."""
    if proposal is None or proposal.chance is None or proposal.expected is None:
        return []
    return [
        f"evidence agrees on {proposal.side}",
        f"target before stop with chance {ratio(proposal.chance.win)} by {proposal.samples} outcomes",
        f"expected {ratio(proposal.expected)} of notional after costs of {ratio(proposal.cost)}",
    ]


def _objections(
    opinion: Opinion, proposal: Proposal | None, trust: Quality, lane: Lane, late_ms: int, config: Config
) -> list[str]:
    """Why the engine holds; empty when it would trade."""
    if not trust.warm:
        return [f"warming up: {trust.bars} bars"]
    if opinion.side is None:
        return [f"evidence does not agree: confidence {opinion.confidence} is below {config.entry_confidence}"]
    if proposal is None:
        return ["the market does not move: no barrier can be set"]
    found = []
    if trust.degraded_bars:
        found.append(f"trades are missing {trust.degraded_bars} bars ago")
    if late_ms >= lane.length_ms:
        found.append(f"the bar closed {late_ms} ms before the trade that shows it")
    if trust.spread_bps is not None and trust.spread_bps > config.max_spread_bps:
        found.append(f"spread {trust.spread_bps} bps is above {config.max_spread_bps}")
    if proposal.chance is None:
        found.append(f"not calibrated: {proposal.samples} outcomes of {config.min_samples}")
    elif proposal.kelly <= 0 and proposal.expected is not None:
        found.append(f"no edge after costs: expected {ratio(proposal.expected)} of notional")
    return found
