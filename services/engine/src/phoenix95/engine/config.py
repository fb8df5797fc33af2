"""The engine's settings, `P95_ENGINE_*`."""

from typing import Annotated

import msgspec

from phoenix95.common.settings import Settings
from phoenix95.engine.core.config import Config, checked
from phoenix95.engine.core.strategies.base import strategy_named


class EngineSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`bar_ms` and `signal_ttl_ms` are exchange time; `lease_ms` is how long a dead worker's partitions wait."""

    strategy: str = "momentum"
    bar_ms: tuple[int, ...] = (60_000,)
    signal_ttl_ms: Annotated[int, msgspec.Meta(ge=1)] = 1_500
    lease_ms: Annotated[int, msgspec.Meta(ge=1_000, le=60_000)] = 5_000

    def __post_init__(self) -> None:
        super().__post_init__()
        core_config(self)  # so that what is wrong is said before anything starts


def core_config(settings: EngineSettings) -> Config:
    """What the core is to compute with. Raises ConfigError for an unknown strategy or a bar length out of range."""
    strategy = strategy_named(settings.strategy)
    return checked(Config(strategy=strategy.name, bar_ms=settings.bar_ms, signal_ttl_ms=settings.signal_ttl_ms))
