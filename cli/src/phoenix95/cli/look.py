"""One look at everything that a running system tells, for `phoenix95 monitor`."""

import time
from typing import Any, Final

import msgspec

from phoenix95.cli.gateway import Gateway, Refused
from phoenix95.cli.market import Feed
from phoenix95.cli.metrics import Metrics
from phoenix95.cli.status import Health, Info, Portfolio
from phoenix95.common.errors import TransientError
from phoenix95.common.events import Alert

DECISIONS: Final = 40  # more than fit on any screen
ALERTS: Final = 10


class Decision(msgspec.Struct):
    """What the gates said of an analysis."""

    symbol: str
    action: str
    side: str | None
    accepted: bool
    reason: str
    decided_ms: int
    confidence: float | None = None


class RaisedAlert(msgspec.Struct):
    """An alert under its id."""

    id: str
    alert: Alert


class _Decisions(msgspec.Struct):
    decisions: tuple[Decision, ...]


class _Alerts(msgspec.Struct):
    alerts: tuple[RaisedAlert, ...]


class Seen(msgspec.Struct, kw_only=True):
    """One look at everything. What could not be had is None, and `missing` says why."""

    url: str
    wall_ms: int
    health: Health
    info: Info | None = None
    metrics: Metrics | None = None
    portfolio: Portfolio | None = None
    feed: Feed | None = None
    decisions: tuple[Decision, ...] = ()
    alerts: tuple[RaisedAlert, ...] = ()
    missing: str | None = None


def look(gateway: Gateway) -> Seen:
    """Ask for everything. Raises TransientError only when there is no gateway at all."""
    wall_ms = time.time_ns() // 1_000_000
    seen = Seen(url=gateway.url, wall_ms=wall_ms, health=gateway.get("/health", Health, also=(503,)))
    reasons: dict[str, None] = {}

    def had(path: str, kind: type[Any], **query: Any) -> Any:
        try:
            return gateway.get(path, kind, **query)
        except (Refused, TransientError) as error:
            reasons[str(error)] = None
            return None

    seen.info = had("/api/info", Info)
    seen.metrics = had("/api/metrics", Metrics)
    seen.portfolio = had("/api/portfolio", Portfolio)
    seen.feed = had("/api/feed", Feed)
    decided: _Decisions | None = had("/api/decisions", _Decisions, limit=DECISIONS)
    raised: _Alerts | None = had("/api/alerts", _Alerts, limit=ALERTS)
    seen.decisions = decided.decisions if decided else ()
    seen.alerts = raised.alerts if raised else ()
    seen.missing = "; ".join(reasons) or None
    return seen
