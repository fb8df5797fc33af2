"""The two tables that the monitor writes. The executor's migrations own them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from phoenix95.monitor.core.rows import PerformanceMetric, SystemEvent
from phoenix95.monitor.ledger.postgres import Postgres, Row

_METRIC: Final = """
    INSERT INTO ledger.performance_metrics
        (name, type, tags, "timestamp", value, count, min, max, avg, p50, p95, p99)
    VALUES (%s, %s, %s::jsonb, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_EVENT: Final = """
    INSERT INTO ledger.system_events
        (event_type, severity, message, created, component, symbol, "user", metadata)
    VALUES (%s, %s, %s, coalesce(%s, now()), %s, %s, %s, %s::jsonb)
"""


class PerformanceMetrics:
    """ledger.performance_metrics."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def write(self, rows: Iterable[PerformanceMetric]) -> None:
        """Append all rows or none. Raises TransientError and BadMessage, as `Postgres.insert` does."""
        await self._postgres.insert(_METRIC, [_metric(row) for row in rows])


class SystemEvents:
    """ledger.system_events."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def write(self, rows: Iterable[SystemEvent]) -> None:
        """Append all rows or none. Raises TransientError and BadMessage, as `Postgres.insert` does."""
        await self._postgres.insert(_EVENT, [_event(row) for row in rows])


def _metric(row: PerformanceMetric) -> Row:
    figures = (row.value, row.count, row.min, row.max, row.avg, row.p50, row.p95, row.p99)
    return (_text(row.name), row.type, _json(row.tags), _time(row.wall_ms), *figures)


def _event(row: SystemEvent) -> Row:
    created = None if row.wall_ms is None else _time(row.wall_ms)
    about = (_text_or_none(row.component), _text_or_none(row.symbol), _text_or_none(row.user))
    return (_text(row.event_type), row.severity, _text(row.message), created, *about, _json(row.details))


def _time(wall_ms: int) -> datetime:
    return datetime.fromtimestamp(wall_ms / 1000, UTC)


def _json(values: Mapping[str, object]) -> str:
    clean = {_text(name): _text(value) if isinstance(value, str) else value for name, value in values.items()}
    return msgspec.json.encode(clean).decode()


def _text_or_none(text: str | None) -> str | None:
    return None if text is None else _text(text)


def _text(text: str) -> str:
    """Text as Postgres takes it: no NUL, no half characters, which strange names and error messages may have."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
