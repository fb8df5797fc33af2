"""Everything that the engine's numbers depend on besides the tick log.

A symbol's state carries the config it was folded with, so that a restart with another one changes nothing
that is already published: the new one governs from the next trade on, and a marker says so.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from phoenix95.common.errors import ConfigError

MODEL: Final = 1  # version of the formulae and priors in this package; part of every config's name
BAR_MS_MIN: Final = 1_000
BAR_MS_MAX: Final = 86_400_000

_encoder: Final = msgspec.json.Encoder(order="deterministic")


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Fractions are of 1 (0.01 is one per cent) unless the name says bps; times are exchange time in ms.

    `stop_atr`, `target_atr` and `hold_bars` are the triple barrier: what a virtual trade is judged by, what the
    win probability was learned on, and what an analysis proposes. Changing one asks for new history.
    """

    strategy: str = "momentum"
    bar_ms: tuple[int, ...] = (60_000,)
    signal_ttl_ms: int = 1_500
    # when the engine speaks up by itself
    entry_confidence: float = 0.75
    min_samples: int = 30
    prior_strength: float = 10.0
    # the triple barrier
    stop_atr: float = 2.0
    target_atr: float = 2.5
    hold_bars: int = 30
    # what a trade costs
    taker_fee: float = 0.0005
    spread_assumed_bps: float = 2.0
    # size and leverage
    kelly_fraction: float = 0.25
    max_position_fraction: float = 0.02
    outside_fraction: float = 0.01
    max_leverage: int = 20
    maintenance_rate: float = 0.01
    liquidation_margin: float = 2.0
    # requests from outside
    cold_stop: float = 0.01
    cold_target: float = 0.02
    stale_ms: int = 60_000
    max_deviation: float = 0.05
    # trust in the data
    max_spread_bps: float = 50.0
    quote_ttl_ms: int = 15_000
    gap_bars: int = 14
    max_empty_bars: int = 240
    model: int = MODEL

    @property
    def name(self) -> str:
        """Names these numbers: the strategy and a digest, the same on every machine."""
        return f"{self.strategy}@{blake2b(_encoder.encode(self), digest_size=6).hexdigest()}"


def checked(config: Config) -> Config:
    """Return `config` with its bar lengths sorted. Raises ConfigError that names what is out of range."""
    if not config.bar_ms:
        raise ConfigError("P95_ENGINE_BAR_MS: at least one bar length is needed")
    for length in config.bar_ms:
        if not BAR_MS_MIN <= length <= BAR_MS_MAX:
            raise ConfigError(f"P95_ENGINE_BAR_MS: {length} is not in [{BAR_MS_MIN}, {BAR_MS_MAX}] ms")
    if len(set(config.bar_ms)) != len(config.bar_ms):
        raise ConfigError("P95_ENGINE_BAR_MS: a bar length is given twice")
    return msgspec.structs.replace(config, bar_ms=tuple(sorted(config.bar_ms)))
