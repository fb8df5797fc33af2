"""Confidence and score: how strongly the evidence agrees, and how good the whole set-up is."""

from typing import Final, NamedTuple

from phoenix95.common.events import Factor, Quality, Side
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.factors.base import net
from phoenix95.engine.core.numbers import clamp, ratio

AGREEMENT_WEIGHT: Final = 0.40
TREND_WEIGHT: Final = 0.20
VOLATILITY_WEIGHT: Final = 0.15
LIQUIDITY_WEIGHT: Final = 0.15
QUALITY_WEIGHT: Final = 0.10

TIGHT_SPREAD_BPS: Final = 5.0  # up to here liquidity is full
AMPLE_COST_COVER: Final = 5.0  # a target of so many round-trip costs makes the volatility full
COLD_QUALITY: Final = 0.5  # what quality is worth while the indicators are not warm


class Component(NamedTuple):
    """A part of the score in [0, 1]; `value` None is not known and takes no part."""

    name: str
    weight: float
    value: float | None


def sign(side: Side) -> int:
    """+1 for a buy, -1 for a sell."""
    return 1 if side == "BUY" else -1


def confidence_for(side: Side, factors: tuple[Factor, ...]) -> float:
    """The weighted share of the evidence that speaks for `side`: (1 + mean of sign x value) / 2; 0.5 without any."""
    lean = net(factors)
    return 0.5 if lean is None else ratio(clamp(0.5 + 0.5 * sign(side) * lean, 0.0, 1.0))


def score_components(
    side: Side | None,
    confidence: float,
    factors: tuple[Factor, ...],
    *,
    cost_cover: float | None,
    quality: Quality,
    config: Config,
) -> tuple[Component, ...]:
    """The parts of the score. `cost_cover` is the target's distance over the round trip's cost."""
    trend = next((factor.value for factor in factors if factor.name == "trend"), None)
    along = None if trend is None or side is None else 0.5 + 0.5 * sign(side) * trend
    room = None if cost_cover is None else clamp((cost_cover - 1) / (AMPLE_COST_COVER - 1), 0.0, 1.0)
    return (
        Component("agreement", AGREEMENT_WEIGHT, confidence),
        Component("trend", TREND_WEIGHT, along),
        Component("volatility", VOLATILITY_WEIGHT, room),
        Component("liquidity", LIQUIDITY_WEIGHT, _liquidity(quality.spread_bps, config)),
        Component("quality", QUALITY_WEIGHT, _trust(quality, config)),
    )


def score_of(components: tuple[Component, ...]) -> float:
    """The weighted mean of the parts that are known, in [0, 1]."""
    known = [(part.weight, part.value) for part in components if part.value is not None]
    return ratio(sum(weight * value for weight, value in known) / sum(weight for weight, _ in known))


def _liquidity(spread_bps: float | None, config: Config) -> float | None:
    if spread_bps is None:
        return None
    return clamp((config.max_spread_bps - spread_bps) / (config.max_spread_bps - TIGHT_SPREAD_BPS), 0.0, 1.0)


def _trust(quality: Quality, config: Config) -> float:
    """Half for warm indicators, half for how long ago the last gap was."""
    warmth = 1.0 if quality.warm else COLD_QUALITY
    healed = min(1.0, quality.degraded_bars / config.gap_bars) if quality.degraded_bars else 1.0
    return warmth * healed
