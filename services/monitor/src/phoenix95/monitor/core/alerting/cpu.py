"""The machine's CPUs."""

from phoenix95.monitor.core.alerting import Look, rule


@rule("warning")
def cpu(look: Look) -> str | None:
    """The machine is busy."""
    if look.load.cpu_percent <= look.limits.cpu_percent:
        return None
    return f"CPU at {look.load.cpu_percent:.1f} %, more than {look.limits.cpu_percent:g}"
