"""The disk where the data lies."""

from phoenix95.monitor.core.alerting import Look, rule


@rule("warning")
def disk(look: Look) -> str | None:
    """The disk fills up."""
    if look.load.disk_percent <= look.limits.disk_percent:
        return None
    return f"disk at {look.load.disk_percent:.1f} %, more than {look.limits.disk_percent:g}"
