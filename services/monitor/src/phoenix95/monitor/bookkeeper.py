"""Ask every service for its figures, write them down, tell who is away: each minute, until the stop."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable
from typing import Final

from phoenix95.common.errors import BadMessage, TransientError
from phoenix95.common.retry import pause
from phoenix95.common.serve import Context
from phoenix95.monitor.config import MonitorSettings
from phoenix95.monitor.core.rows import PerformanceMetric, SystemEvent, change_of, rows_of
from phoenix95.monitor.core.targets import OURSELVES, Target, targets_of
from phoenix95.monitor.ledger.postgres import Postgres
from phoenix95.monitor.ledger.tables import PerformanceMetrics, SystemEvents
from phoenix95.monitor.probes.figures import FigureProbe

FIRST_S: Final = 10.0  # everybody had time to start, and a run of a minute leaves rows
EVENTS_MAX: Final = 1_000  # that wait while Postgres is away; then the oldest are dropped


class Bookkeeper:
    """Rows of `performance_metrics` and `system_events`.

    Figures that cannot be written are dropped, because the next ones count from the same start; events wait
    and are written at least once.
    """

    def __init__(self, context: Context[MonitorSettings], postgres: Postgres) -> None:
        self._context = context
        self._targets = targets_of(context.settings.targets)
        self._metrics = PerformanceMetrics(postgres)
        self._events = SystemEvents(postgres)
        self._waiting: deque[SystemEvent] = deque(maxlen=EVENTS_MAX)
        self._away: dict[str, str | None] = {target.name: None for target in self._targets}
        self._reason: str | None = None
        self._written = context.metrics.counter("p95_monitor_rows", "Rows written to Postgres", ["table"])

    async def run(self) -> None:
        """Keep the books until the stop."""
        stop, every_s = self._context.stop, self._context.settings.figures_ms / 1000
        async with FigureProbe() as probe:
            await pause(stop, min(FIRST_S, every_s))
            while not stop.is_set():
                started_s = time.monotonic()
                await self._round(probe)
                await pause(stop, every_s - (time.monotonic() - started_s))

    async def _round(self, probe: FigureProbe) -> None:
        wall_ms = time.time_ns() // 1_000_000
        ours = rows_of(OURSELVES, self._context.metrics.read_out(), wall_ms=wall_ms)
        theirs = await asyncio.gather(*(self._of(target, probe, wall_ms) for target in self._targets))
        await self._write([*ours, *(row for rows in theirs for row in rows)])

    async def _of(self, target: Target, probe: FigureProbe, wall_ms: int) -> list[PerformanceMetric]:
        away: str | None = None
        rows: list[PerformanceMetric] = []
        try:
            rows = rows_of(target.name, await probe.readings(target.url), wall_ms=wall_ms)
        except TransientError as error:
            away = str(error)
        changed = change_of(target.name, away, self._away[target.name], wall_ms=wall_ms)
        self._away[target.name] = away
        if changed is not None:
            tell = self._context.log.info if away is None else self._context.log.warning
            tell(changed.event_type, component=target.name, reason=away)
            self._waiting.append(changed)
        return rows

    async def _write(self, rows: list[PerformanceMetric]) -> None:
        reason = await self._stored("performance_metrics", self._metrics.write(rows), len(rows))
        if reason is None and not self._context.stop.is_set():
            events = tuple(self._waiting)
            reason = await self._stored("system_events", self._events.write(events), len(events))
            for _ in events if reason is None else ():
                self._waiting.popleft()
        self._say(reason)

    async def _stored(self, table: str, writing: Awaitable[None], count: int) -> str | None:
        """Whether there is nothing left to do about these rows: None, or why they may be tried again."""
        try:
            await writing
        except TransientError as error:
            return str(error)
        except BadMessage as error:
            # Nobody could ever write them: they must not keep what comes later from being written.
            self._context.log.error("rows_refused", table=table, rows=count, error=str(error))
            return None
        self._written.labels(table).inc(count)
        return None

    def _say(self, reason: str | None) -> None:
        """Tell /readyz, and the log at each change."""
        self._context.health.set("postgres", reason)
        if reason is None:
            self._context.health.progress("figures")
        if reason is not None and reason != self._reason:
            self._context.log.warning("postgres_away", reason=reason)
        if reason is None and self._reason is not None:
            self._context.log.info("postgres_back")
        self._reason = reason
