"""The settings of the simulated exchange."""

from decimal import Decimal
from pathlib import Path

from phoenix95.common.errors import ConfigError
from phoenix95.common.settings import Port, Secret, Settings
from phoenix95.paper.core.faultplan import KINDS
from phoenix95.paper.core.source import MarketSource
from phoenix95.paper.core.specs import DEFAULT_SYMBOLS
from phoenix95.paper.sources.recorded import RecordedSource
from phoenix95.paper.sources.synthetic import SEED_DEFAULT, SyntheticSource

SPEED_MAX = 1000.0


class PaperSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`source` is `synthetic[:seed]` or `recorded:FILE[,FILE...]`; `speed` exchange seconds pass in one of ours.

    `symbols` empty means the sketch's five (synthetic) or all that are recorded. `state` is a file; empty keeps
    everything in memory. `balance` is what a fresh account begins with, in USDT. `limit_...` are what may be asked
    a minute and ordered in ten seconds and a minute. With a `fault_rate` above 0 requests and events meet faults
    by the schedule of `fault_seed`; `fault_kinds` empty means all kinds.
    """

    source: str = "synthetic"
    speed: float = 1.0
    symbols: tuple[str, ...] = ()
    state: str = ""
    balance: Decimal = Decimal(10_000)
    api_key: Secret = Secret("paper-key")
    api_secret: Secret = Secret("paper-secret")
    port: Port = 9500
    ws_port: Port = 9501
    limit_weight: int = 2400
    limit_orders_10s: int = 300
    limit_orders_1m: int = 1200
    fault_seed: int = 95
    fault_rate: float = 0.0
    fault_kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.speed <= SPEED_MAX:
            raise ValueError(f"P95_PAPER_SPEED: {self.speed} is not in (0, {SPEED_MAX:g}]")
        if not self.balance.is_finite() or self.balance < 0:
            raise ValueError(f"P95_PAPER_BALANCE: {self.balance} is not an amount")
        if not 0 <= self.fault_rate <= 1:
            raise ValueError(f"P95_PAPER_FAULT_RATE: {self.fault_rate} is not in [0, 1]")
        for kind in self.fault_kinds:
            if kind not in KINDS:
                raise ValueError(f"P95_PAPER_FAULT_KINDS: {kind!r} is none of {', '.join(KINDS)}")
        for name in ("limit_weight", "limit_orders_10s", "limit_orders_1m"):
            if getattr(self, name) < 1:
                raise ValueError(f"P95_PAPER_{name.upper()}: {getattr(self, name)} is not positive")


def market_source(settings: PaperSettings) -> MarketSource:
    """The configured market. Raises ConfigError that names the setting or the file."""
    kind, _, rest = settings.source.partition(":")
    if kind == "synthetic":
        try:
            return SyntheticSource(int(rest or SEED_DEFAULT), settings.symbols or DEFAULT_SYMBOLS)
        except ValueError as error:
            what = "P95_PAPER_SYMBOLS" if "symbol" in str(error) else f"P95_PAPER_SOURCE={settings.source}"
            raise ConfigError(f"{what}: {error}") from error
    if kind == "recorded":
        paths = [Path(part.strip()).expanduser() for part in rest.split(",") if part.strip()]
        if not paths:
            raise ConfigError("P95_PAPER_SOURCE: recorded: needs at least one file")
        return RecordedSource(paths, settings.symbols)
    raise ConfigError(f"P95_PAPER_SOURCE: {settings.source!r} is not synthetic[:seed] or recorded:FILE[,FILE...]")
