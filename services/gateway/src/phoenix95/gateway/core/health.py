"""Who is well: heartbeats and our own checks become one verdict."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from phoenix95.common.events import Heartbeat

SERVICES: Final = ("feed", "engine", "executor", "monitor")
"""The services whose heartbeat is expected; the gateway itself is the one that answers."""


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the system. `reason` is None while it is healthy.

    `instances` counts the live copies of a service (0 for Redis, Postgres and the like), `progress_age_ms` is
    how long ago the most recent of them last got something done, in wall-clock ms.
    """

    healthy: bool
    reason: str | None = None
    instances: int = 0
    version: str | None = None
    progress_age_ms: int | None = None


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/health`: `unhealthy` names the components that are not well, in the order of `components`."""

    status: Literal["healthy", "unhealthy"]
    version: str
    components: dict[str, Component]
    unhealthy: tuple[str, ...]


def components_of(beats: Sequence[Heartbeat], now_wall_ms: int) -> dict[str, Component]:
    """Each expected service by its heartbeats. A heartbeat expires with its key, so one that is there is alive."""
    found: dict[str, Component] = {}
    for service in SERVICES:
        live = [beat for beat in beats if beat.service == service]
        if not live:
            found[service] = Component(healthy=False, reason="no heartbeat")
            continue
        latest = max(live, key=lambda beat: beat.progress_wall_ms)
        found[service] = Component(
            healthy=True,
            instances=len(live),
            version=latest.version,
            progress_age_ms=max(0, now_wall_ms - latest.progress_wall_ms),
        )
    return found


def unknown_services(reason: str) -> dict[str, Component]:
    """The expected services when their heartbeats cannot be read: unknown is not healthy."""
    return {service: Component(healthy=False, reason=reason) for service in SERVICES}


def own_check(reason: str | None) -> Component:
    """A component that the gateway looks at itself; None means that it answered."""
    return Component(healthy=reason is None, reason=reason)


def report(version: str, components: Mapping[str, Component]) -> HealthReport:
    """One verdict: healthy only when every component is."""
    unhealthy = tuple(name for name, component in components.items() if not component.healthy)
    return HealthReport(
        status="unhealthy" if unhealthy else "healthy",
        version=version,
        components=dict(components),
        unhealthy=unhealthy,
    )
