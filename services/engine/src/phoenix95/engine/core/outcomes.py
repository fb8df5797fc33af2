"""What became of the engine's own signals: a triple barrier over bars, and the chance that is learned from it.

At most one virtual trade is open for each side, so that the samples do not overlap. The bar that reaches both
barriers counts as a loss, because the path inside a bar is not known.
"""

from typing import Final, Literal

import msgspec

from phoenix95.common.events import Bar, Side
from phoenix95.engine.core.config import Config
from phoenix95.engine.core.evidence import sign

Ending = Literal["win", "loss", "timeout"]
TIMEOUT_SHRINK: Final = 10.0  # so many timeouts at break-even are assumed before any was seen


class Virtual(msgspec.Struct):
    """A trade that is only watched. `probability` is what the win chance was said to be at entry."""

    entry: float
    stop: float
    target: float
    deadline_ms: int
    probability: float


class Tally(msgspec.Struct):
    """Resolved outcomes of one side. `timeout_stops` sums the results at the time barrier, in stop distances."""

    wins: int = 0
    losses: int = 0
    timeouts: int = 0
    timeout_stops: float = 0.0
    squared_error: float = 0.0
    open: Virtual | None = None

    @property
    def samples(self) -> int:
        return self.wins + self.losses + self.timeouts


class Chance(msgspec.Struct, frozen=True):
    """Chances of the three endings, which sum to 1, and the mean result of a timeout in stop distances."""

    win: float
    loss: float
    timeout: float
    timeout_stops: float


def chance(tally: Tally, *, stop: float, target: float, config: Config) -> Chance:
    """Posterior means under a Dirichlet prior of `prior_strength` outcomes of a fair game without drift.

    In a fair game the target is reached first with the chance stop / (stop + target).
    """
    total = tally.samples + config.prior_strength
    fair = stop / (stop + target)
    return Chance(
        win=(tally.wins + config.prior_strength * fair) / total,
        loss=(tally.losses + config.prior_strength * (1 - fair)) / total,
        timeout=tally.timeouts / total,
        timeout_stops=tally.timeout_stops / (tally.timeouts + TIMEOUT_SHRINK),
    )


def brier(tally: Tally) -> float | None:
    """Mean squared error of the chances that were said, against wins; None before the first outcome."""
    return tally.squared_error / tally.samples if tally.samples else None


def enter(tally: Tally, side: Side, entry: float, at_ms: int, bar_ms: int, atr: float, config: Config) -> None:
    """Open the virtual trade of a signal, unless one of this side is still open."""
    stop, target = config.stop_atr * atr, config.target_atr * atr
    if tally.open is not None or not 0 < stop < entry or not 0 < target < entry:
        return
    tally.open = Virtual(
        entry=entry,
        stop=entry - sign(side) * stop,
        target=entry + sign(side) * target,
        deadline_ms=at_ms + config.hold_bars * bar_ms,
        probability=chance(tally, stop=stop, target=target, config=config).win,
    )


def resolve(tally: Tally, side: Side, bar: Bar) -> None:
    """Judge the open trade by a bar that came after its entry."""
    trade = tally.open
    if trade is None:
        return
    adverse, favourable = (bar.low, bar.high) if side == "BUY" else (bar.high, bar.low)
    direction = sign(side)
    if direction * (adverse - trade.stop) <= 0:
        tally.losses += 1
        won = 0.0
    elif direction * (favourable - trade.target) >= 0:
        tally.wins += 1
        won = 1.0
    elif bar.open_time + bar.length_ms >= trade.deadline_ms:
        tally.timeouts += 1
        tally.timeout_stops += (bar.close - trade.entry) / (trade.entry - trade.stop)
        won = 0.0
    else:
        return
    tally.squared_error += (trade.probability - won) ** 2
    tally.open = None
