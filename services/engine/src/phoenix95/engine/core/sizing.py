"""Barriers, costs, size and leverage. Distances are fractions of the entry price."""

import math
from typing import NamedTuple

from phoenix95.common.events import RiskLevel, Side
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.evidence import sign
from phoenix95.engine.core.numbers import clamp
from phoenix95.engine.core.outcomes import Chance

FUNDING_PERIOD_MS = 28_800_000  # the rate is paid every eight hours


class Edge(NamedTuple):
    """`expected` is the mean result of a trade after costs and `square` its mean square, as fractions of notional."""

    expected: float
    square: float


def round_trip_cost(
    side: Side, *, spread_bps: float | None, funding: float | None, hold_ms: int, config: Config
) -> float:
    """Two taker fees, the spread, and the funding that is due on average while holding (never a gain)."""
    spread = config.spread_assumed_bps if spread_bps is None else spread_bps
    due = max(0.0, sign(side) * (funding or 0.0)) * hold_ms / FUNDING_PERIOD_MS
    return 2 * config.taker_fee + spread / 10_000 + due


def edge(chance: Chance, *, stop: float, target: float, cost: float) -> Edge:
    """What the three endings are worth: target, stop, or the mean result at the time barrier, each less the cost."""
    results = (
        (chance.win, target - cost),
        (chance.loss, -stop - cost),
        (chance.timeout, chance.timeout_stops * stop - cost),
    )
    return Edge(
        expected=math.fsum(probability * result for probability, result in results),
        square=math.fsum(probability * result * result for probability, result in results),
    )


def kelly_fraction(found: Edge, config: Config) -> float:
    """Notional over equity: a share of Kelly's expected / square, at most the cap; 0 without an edge."""
    if found.expected <= 0 or found.square <= 0:
        return 0.0
    return clamp(config.kelly_fraction * found.expected / found.square, 0.0, config.max_position_fraction)


def safe_leverage(stop: float, config: Config) -> int:
    """The highest whole leverage whose liquidation lies at least `liquidation_margin` stop distances away."""
    return int(clamp(1 / (config.liquidation_margin * stop + config.maintenance_rate), 1, config.max_leverage))


def liquidation_distance(leverage: int, config: Config) -> float:
    """How far the price may run against an isolated position before it is liquidated (static maintenance rate)."""
    return 1 / leverage - config.maintenance_rate


def risk_level(
    *, volatility: float | None, spread_bps: float | None, leverage: int, stop: float, config: Config
) -> RiskLevel:
    """The worst of: average range over price, spread, leverage, and liquidation over stop distance."""
    cover = liquidation_distance(leverage, config) / stop
    marks = (
        _grade(volatility, (0.01, 0.03, 0.08)),
        _grade(spread_bps, (10.0, config.max_spread_bps, 2 * config.max_spread_bps)),
        _grade(float(leverage), (10.0, 20.0, 50.0)),
        _grade(1 / cover if cover > 0 else math.inf, (0.67, 0.8, 1.0)),
    )
    return ("low", "medium", "high", "critical")[max(marks)]


def _grade(value: float | None, steps: tuple[float, float, float]) -> int:
    """How many of the steps are passed; an unknown value counts as the lowest grade."""
    return 0 if value is None else sum(value > step for step in steps)
