"""The machine's memory."""

from phoenix95.monitor.core.alerting import Look, rule


@rule("warning")
def system_memory(look: Look) -> str | None:
    """The machine has little memory left."""
    if look.load.memory_percent <= look.limits.memory_percent:
        return None
    return f"memory at {look.load.memory_percent:.1f} %, more than {look.limits.memory_percent:g}"
