"""The monitor's settings."""

from typing import Annotated

import msgspec

from phoenix95.common.settings import Settings


class MonitorSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`sample_ms` is the time between two looks at the host; `disk_path` lies on the file system to watch."""

    sample_ms: Annotated[int, msgspec.Meta(ge=100, le=60_000)] = 3_000
    disk_path: str = "."
