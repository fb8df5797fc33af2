"""The machine and what people should know: host samples, alerts; and the API keys."""

import time
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency

from phoenix95.common.events import HostSample, MonitorStatus
from phoenix95.gateway.api.body import read_query
from phoenix95.gateway.api.books import HOST_HOURS_MAX, HostPoint, host_point
from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.reads.keys import KeyRow
from phoenix95.gateway.streams.history import ALERTS_MAX, SAMPLES_MAX, RaisedAlert


class AlertsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far to look back in wall-clock hours, and how many at most."""

    hours: Annotated[float, msgspec.Meta(gt=0, le=720)] = 24.0
    limit: Annotated[int, msgspec.Meta(ge=1, le=ALERTS_MAX)] = 100


class HostQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the history goes back in wall-clock hours, and how many points it has at most."""

    hours: Annotated[float, msgspec.Meta(gt=0, le=HOST_HOURS_MAX)] = 1.0
    points: Annotated[int, msgspec.Meta(ge=1, le=SAMPLES_MAX)] = 60


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `ts_wall_ms` in each is wall-clock time."""

    alerts: tuple[RaisedAlert, ...]
    count: int


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """`now` and `status` (the monitor's own, with averages) are None when the monitor has not written for two
    intervals; `history` is oldest first."""

    now: HostSample | None
    status: MonitorStatus | None
    history: tuple[HostPoint, ...]


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of the table, without their secrets; the one of the settings is not among them."""

    keys: tuple[KeyRow, ...]
    count: int


@get("/api/alerts", opt={"query": AlertsQuery, "answers": {200: Alerts}})
async def alerts(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Alerts:
    """What a person should know, from every service."""
    asked = read_query(request, AlertsQuery)
    since_ms = time.time_ns() // 1_000_000 - int(asked.hours * 3_600_000)
    found = await parts.history.alerts(since_ms, asked.limit)
    return Alerts(alerts=tuple(found), count=len(found))


@get("/api/host", opt={"query": HostQuery, "answers": {200: Host}})
async def host(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Host:
    """The machine and our processes, now and lately."""
    asked = read_query(request, HostQuery)
    now_ms = time.time_ns() // 1_000_000
    samples = await parts.history.host(now_ms - int(asked.hours * 3_600_000), now_ms, asked.points)
    return Host(
        now=await parts.bus.host(),
        status=await parts.history.status(),
        history=tuple(host_point(sample) for sample in samples),
    )


@get("/api/keys", opt={"scope": "admin", "free": False, "answers": {200: Keys}})
async def keys(parts: NamedDependency[Parts]) -> Keys:
    """Who has a key, and what it allows. Keys are made and revoked by `python -m phoenix95.gateway key`."""
    rows = await parts.ledger.key_rows()
    return Keys(keys=rows, count=len(rows))
