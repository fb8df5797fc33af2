"""How long the current host state may be believed."""

from typing import Final

INTERVALS: Final = 2  # one missed sample is forgiven; after two the state is unknown, not old


def expiry_ms(interval_ms: int) -> int:
    """Time to live of the current host state, in wall-clock ms."""
    return INTERVALS * interval_ms
