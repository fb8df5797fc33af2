"""Our processes keep the promise of what they take."""

from phoenix95.monitor.core.alerting import Look, rule
from phoenix95.monitor.core.load import MEGABYTE


@rule("critical")
def process_memory(look: Look) -> str | None:
    """All our processes together take more than they may."""
    taken, limit = look.load.process_memory, look.limits.process_memory
    if taken <= limit:
        return None
    return f"our processes take {taken / MEGABYTE:.0f} MB of {limit / MEGABYTE:.0f}"
