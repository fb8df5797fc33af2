"""Look at the host, write it down, raise what a person should know, say how things are: until the stop."""

import asyncio
import time
from collections import deque
from importlib.metadata import version
from typing import Final

import msgspec

from phoenix95.common import keys
from phoenix95.common.bus import Connection
from phoenix95.common.bus.append import append
from phoenix95.common.bus.beat import HEARTBEAT_TTL_MS, write_expiring, write_heartbeat
from phoenix95.common.errors import TransientError
from phoenix95.common.events import Alert, Heartbeat, HostSample, Load, MonitorStatus
from phoenix95.common.retry import pause
from phoenix95.common.serve import Context
from phoenix95.common.streams import TABLE
from phoenix95.common.wire import host_decoder
from phoenix95.monitor.config import MonitorSettings
from phoenix95.monitor.core.alerting import Told, look_at, raised
from phoenix95.monitor.core.expiry import expiry_ms
from phoenix95.monitor.core.load import AVERAGED_MAX, average, load_of, unhealthy
from phoenix95.monitor.gauges import Gauges
from phoenix95.monitor.past import Past
from phoenix95.monitor.post import Post
from phoenix95.monitor.probes.host import HostProbe

HOST_MAX: Final = next(key.keep_max for key in TABLE if key.name == keys.HOST)
ALERT_MAX: Final = next(key.keep_max for key in TABLE if key.name == keys.ALERT)
UNWRITTEN_MAX: Final = 100  # alerts that wait while Redis is away; then the oldest are dropped
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


class Watch:
    """Takes the samples. While Redis is away they are lost, an old host state is no news; alerts wait."""

    def __init__(self, context: Context[MonitorSettings], redis: Connection, probe: HostProbe, post: Post) -> None:
        self._context = context
        self._redis = redis
        self._probe = probe
        self._post = post
        self._limits = context.settings.limits()
        self._gauges = Gauges(context.metrics)
        self._raised = context.metrics.counter("p95_monitor_alerts", "Alerts that the monitor raised", ["kind"])
        self._running = version("phoenix95-monitor")
        self._began_s = time.monotonic()
        self._told: dict[str, Told] = {}
        self._unwritten: deque[Alert] = deque(maxlen=UNWRITTEN_MAX)
        self._samples = Past(keys.HOST, HOUR_MS, at_most=HOUR_MS // 100)
        self._alerts = Past(keys.ALERT, DAY_MS, at_most=ALERT_MAX or 0)
        self._loads: deque[Load] = deque(maxlen=AVERAGED_MAX)
        self._away = False

    async def run(self) -> None:
        """Until the stop."""
        context = self._context
        context.health.set("sample", "no sample yet")
        while not context.stop.is_set():
            started_s = time.monotonic()
            # In a thread: reading /proc takes milliseconds that the loop should not stand still for.
            sample = await asyncio.to_thread(self._probe.sample, time.time_ns() // 1_000_000)
            self._gauges.show(sample)
            self._judge(sample)
            try:
                await self._write(sample)
            except TransientError as error:
                self._say(str(error))
            else:
                self._say(None)
                context.health.progress("sample")
            await pause(context.stop, context.settings.sample_ms / 1000 - (time.monotonic() - started_s))

    def _judge(self, sample: HostSample) -> None:
        now_s = time.monotonic()
        look = look_at(sample, self._limits, int((now_s - self._began_s) * 1000))
        alerts, self._told = raised(look, self._told, int(now_s * 1000))
        for alert in alerts:
            self._context.log.info("alert", kind=alert.kind, severity=alert.severity, message=alert.message)
            self._raised.labels(alert.kind).inc()
            self._unwritten.append(alert)

    async def _write(self, sample: HostSample) -> None:
        while self._unwritten:
            await append(self._redis, keys.ALERT, self._unwritten[0], maxlen=ALERT_MAX)
            self._unwritten.popleft()
        ttl_ms = expiry_ms(self._context.settings.sample_ms)
        await write_expiring(self._redis, keys.HOST_NOW, sample, ttl_ms)
        # The others are for the moment: a day of them would take more of Redis than all else in the stream.
        await append(self._redis, keys.HOST, msgspec.structs.replace(sample, other_python=()), maxlen=HOST_MAX)
        await write_expiring(self._redis, keys.MONITOR_STATUS, await self._status(sample), ttl_ms)
        beat = Heartbeat(
            service=self._context.service,
            instance=self._context.instance,
            version=self._running,
            started_wall_ms=self._context.started_wall_ms,
            progress_wall_ms=sample.ts_wall_ms,
        )
        await write_heartbeat(self._redis, beat, ttl_ms=max(HEARTBEAT_TTL_MS, ttl_ms))

    async def _status(self, sample: HostSample) -> MonitorStatus:
        """What the streams hold by now, our own last sample among it: so a restart forgets nothing."""
        for d in await self._samples.read_on(self._redis, sample.ts_wall_ms, newest=AVERAGED_MAX):
            try:
                self._loads.append(load_of(host_decoder.decode(d)))
            except msgspec.MsgspecError:
                continue  # of another version; it does not count
        await self._alerts.read_on(self._redis, sample.ts_wall_ms)
        latest = load_of(sample)
        reasons = unhealthy(latest, self._limits)
        return MonitorStatus(
            ts_wall_ms=sample.ts_wall_ms,
            started_wall_ms=self._context.started_wall_ms,
            uptime_ms=int((time.monotonic() - self._began_s) * 1000),
            latest=latest,
            average=average(list(self._loads) or [latest]),
            averaged=len(self._loads) or 1,
            samples_1h=self._samples.count,
            alerts_24h=self._alerts.count,
            memory_limit=self._limits.process_memory,
            running=True,
            healthy=not reasons,
            unhealthy=reasons,
            notifications=self._post.status(),
        )

    def _say(self, reason: str | None) -> None:
        """Tell /readyz, and the log at each change."""
        if reason is None:
            if self._away:
                self._context.log.info("redis_back")
            self._context.health.set("redis", None)
            self._context.health.set("sample", None)
        else:
            if not self._away:
                self._context.log.warning("redis_away", reason=reason)
            self._context.health.set("redis", "Redis does not answer")
        self._away = reason is not None
