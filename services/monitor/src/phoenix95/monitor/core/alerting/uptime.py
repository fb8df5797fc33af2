"""A milestone each day. The message carries the day, so it is said once, however often it is looked at."""

from typing import Final

from phoenix95.monitor.core.alerting import Look, rule

DAY_MS: Final = 86_400_000


@rule("success", once=True)
def uptime(look: Look) -> str | None:
    """Another day without an end."""
    days = look.uptime_ms // DAY_MS
    return None if days == 0 else f"up for {days * 24} hours"
