"""The synthetic market: how a price moves.

The edge, documented: a market is in one of three regimes, up, down or sideways, each lasting MINUTES_MIN and
more (exponential, about MINUTES_MEAN altogether). In a trend the price drifts by EDGE standard deviations a
minute, so that what has risen over the last ten minutes tends to go on rising: a rule that follows a trend
early and protects itself wins more than it loses, before and after fees. Regimes also differ in volatility,
and now and then the price jumps, either way. Over days a soft pull leads back towards the first price.
"""

import math
from typing import Final

import msgspec

from phoenix95.paper.core.noise import normal, uniform

SIGMA_MINUTE: Final = 0.0025  # standard deviation of a minute's log return when volatility is normal
EDGE: Final = 0.35  # drift of a trend, in standard deviations a minute
MINUTES_MIN: Final = 12.0
MINUTES_MEAN: Final = 36.0
TREND_SHARE: Final = 0.72  # of regimes that are trends
VOLATILITIES: Final = ((0.30, 0.75), (0.85, 1.0), (1.0, 1.45))  # (cumulated share, factor)
JUMPS_A_MINUTE: Final = 1 / 120
JUMP_SIGMAS: Final = 3.5
PULL_WIDTH: Final = 0.35  # log distance from the first price at which one direction is twice as likely
DRAWS: Final = 8  # of the stream that one step may use


class Walk(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The state of one price: its logarithm, the regime, and minutes until the next one."""

    log_price: float
    log_anchor: float
    direction: int = 0
    volatility: float = 1.0
    minutes_left: float = 0.0


def step(walk: Walk, minutes: float, key: int, n: int) -> Walk:
    """Move on by `minutes`; `n` is the step's number in the stream of draws `key`."""
    draw = n * DRAWS
    if walk.minutes_left <= 0.0:
        walk = _next_regime(walk, key, draw)
    sigma = SIGMA_MINUTE * walk.volatility
    move = walk.direction * EDGE * sigma * minutes + sigma * math.sqrt(minutes) * normal(key, draw)
    if uniform(key, draw + 2) < JUMPS_A_MINUTE * minutes:
        move += JUMP_SIGMAS * sigma * normal(key, draw + 3)
    return Walk(
        log_price=walk.log_price + move,
        log_anchor=walk.log_anchor,
        direction=walk.direction,
        volatility=walk.volatility,
        minutes_left=walk.minutes_left - minutes,
    )


def _next_regime(walk: Walk, key: int, draw: int) -> Walk:
    kind, shape, length = uniform(key, draw + 5), uniform(key, draw + 6), uniform(key, draw + 7)
    pull = max(-0.5, min(0.5, (walk.log_price - walk.log_anchor) / PULL_WIDTH * 0.17))
    direction = 0
    if kind < TREND_SHARE:
        direction = 1 if kind < TREND_SHARE * (0.5 - pull) else -1
    return msgspec.structs.replace(
        walk,
        direction=direction,
        volatility=next(factor for share, factor in VOLATILITIES if shape <= share),
        minutes_left=MINUTES_MIN - (MINUTES_MEAN - MINUTES_MIN) * math.log(length),
    )
