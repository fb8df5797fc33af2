"""What the monitor writes into the ledger, and how figures become rows."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from phoenix95.common.readings import CounterReading, HistogramReading, Reading

PREFIXES: Final = ("p95_", "process_")  # ours; what a client library says of itself is not kept
SERVICE_TAG: Final = "service"

EventSeverity = Literal["info", "warning", "error", "critical"]
Detail = str | int | float | bool | None


class PerformanceMetric(msgspec.Struct, frozen=True, kw_only=True):
    """A figure at one moment of wall-clock time; `tags` say whose, among others.

    A counter or gauge has a `value`; a histogram has the others. All count since the service began, so a value
    below the one before means that it began anew.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    tags: dict[str, str]
    wall_ms: int
    value: float | None = None
    count: int | None = None
    min: float | None = None
    max: float | None = None
    avg: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class SystemEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to the system. `wall_ms` None: the moment of writing, by the database's clock.

    `event_type` is a word in snake_case, `component` a service, `user` who caused it.
    """

    event_type: str
    severity: EventSeverity
    message: str
    wall_ms: int | None = None
    component: str | None = None
    symbol: str | None = None
    user: str | None = None
    details: Mapping[str, Detail] = {}


def rows_of(service: str, readings: Iterable[Reading], *, wall_ms: int) -> list[PerformanceMetric]:
    """The rows of one service's readings. A histogram that observed nothing has none."""
    rows = []
    for one in readings:
        if not one.name.startswith(PREFIXES):
            continue
        tags = {**one.tags, SERVICE_TAG: service}
        if not isinstance(one, HistogramReading):
            kind: Literal["counter", "gauge"] = "counter" if isinstance(one, CounterReading) else "gauge"
            rows.append(PerformanceMetric(name=one.name, type=kind, tags=tags, wall_ms=wall_ms, value=one.value))
        elif one.count:
            figures = {name: getattr(one, name) for name in ("count", "min", "max", "avg", "p50", "p95", "p99")}
            rows.append(PerformanceMetric(name=one.name, type="histogram", tags=tags, wall_ms=wall_ms, **figures))
    return rows


def change_of(name: str, away: str | None, was_away: str | None, *, wall_ms: int) -> SystemEvent | None:
    """What to tell when a service stops or begins again to answer; `away` says why it does not, None that it does."""
    if away is not None and was_away is None:
        return SystemEvent(
            event_type="service_away", severity="warning", message=f"{name}: {away}", wall_ms=wall_ms, component=name
        )
    if away is None and was_away is not None:
        return SystemEvent(
            event_type="service_back", severity="info", message=f"{name} answers again", wall_ms=wall_ms, component=name
        )
    return None
