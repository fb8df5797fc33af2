"""Our processes' connections."""

from phoenix95.monitor.core.alerting import Look, rule


@rule("info")
def connections(look: Look) -> str | None:
    """Our processes hold many connections."""
    if look.load.connections <= look.limits.connections:
        return None
    return f"our processes hold {look.load.connections:.0f} connections, more than {look.limits.connections}"
