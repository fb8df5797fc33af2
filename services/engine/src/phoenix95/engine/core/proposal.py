"""A trade that could be made: barriers, costs, chance, size and leverage, before anyone says whether to make it."""

import msgspec

from phoenix95.common.events import Factor, Quality, RiskLevel, Side
from phoenix95.engine.core import sizing
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.evidence import score_components, score_of, sign
from phoenix95.engine.core.lane import Lane
from phoenix95.engine.core.outcomes import Chance, Tally, brier, chance

SMALLEST_DISTANCE = 1e-6  # barriers nearer than this are no barriers


class Barriers(msgspec.Struct, frozen=True):
    """Distances as fractions of the price. `origin` says where they come from."""

    stop: float
    target: float
    origin: str


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """`chance` is None while too few outcomes are known; `kelly` is 0 without an edge."""

    side: Side
    barriers: Barriers
    stop_loss: float
    take_profit: float
    cost: float
    samples: int
    brier: float | None
    chance: Chance | None
    expected: float | None
    kelly: float
    leverage: int
    risk_level: RiskLevel


def atr_barriers(atr: float, price: float, config: Config) -> Barriers | None:
    """Multiples of the average range; None when the market has not moved or moves by more than its price."""
    stop, target = config.stop_atr * atr / price, config.target_atr * atr / price
    if stop < SMALLEST_DISTANCE or max(stop, target) >= 1:
        return None
    return Barriers(stop, target, "average range")


def tally_of(lane: Lane, side: Side) -> Tally:
    """The outcomes of a side."""
    return lane.long if side == "BUY" else lane.short


def propose(
    side: Side,
    barriers: Barriers,
    tally: Tally,
    *,
    price: float,
    atr: float | None,
    spread_bps: float | None,
    funding: float | None,
    hold_ms: int,
    config: Config,
) -> Proposal:
    """Work out one side's trade at `price`."""
    cost = sizing.round_trip_cost(side, spread_bps=spread_bps, funding=funding, hold_ms=hold_ms, config=config)
    known = tally.samples >= config.min_samples
    chances = chance(tally, stop=barriers.stop, target=barriers.target, config=config) if known else None
    edge = None if chances is None else sizing.edge(chances, stop=barriers.stop, target=barriers.target, cost=cost)
    leverage = sizing.safe_leverage(barriers.stop, config)
    return Proposal(
        side=side,
        barriers=barriers,
        stop_loss=price * (1 - sign(side) * barriers.stop),
        take_profit=price * (1 + sign(side) * barriers.target),
        cost=cost,
        samples=tally.samples,
        brier=brier(tally),
        chance=chances,
        expected=None if edge is None else edge.expected,
        kelly=0.0 if edge is None else sizing.kelly_fraction(edge, config),
        leverage=leverage,
        risk_level=sizing.risk_level(
            volatility=None if atr is None else atr / price,
            spread_bps=spread_bps,
            leverage=leverage,
            stop=barriers.stop,
            config=config,
        ),
    )


def score(
    side: Side | None,
    confidence: float,
    factors: tuple[Factor, ...],
    *,
    proposal: Proposal | None,
    quality: Quality,
    config: Config,
) -> float:
    """The score of a set-up; the cost counts only where the barriers were measured."""
    measured = proposal is not None and proposal.barriers.origin == "average range"
    cover = proposal.barriers.target / proposal.cost if proposal is not None and measured else None
    return score_of(score_components(side, confidence, factors, cost_cover=cover, quality=quality, config=config))
