"""The monitor's settings."""

from typing import Annotated

import msgspec

from phoenix95.common.settings import Settings
from phoenix95.monitor.core.targets import targets_of


class MonitorSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`sample_ms` is the time between two looks at the host; `disk_path` lies on the file system to watch.

    `targets` are the services whose figures are kept, as name=address of their operations port; `figures_ms` is
    the time between two rows of a figure. Without `postgres_url` none are kept.
    """

    sample_ms: Annotated[int, msgspec.Meta(ge=100, le=60_000)] = 3_000
    disk_path: str = "."
    targets: tuple[str, ...] = ()
    figures_ms: Annotated[int, msgspec.Meta(ge=1_000, le=3_600_000)] = 60_000

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            targets_of(self.targets)
        except ValueError as error:
            raise ValueError(f"P95_MONITOR_TARGETS: {error}") from error
