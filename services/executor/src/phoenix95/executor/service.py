"""The executor: takes the account, recovers what is under way, then decides on what comes in."""

import asyncio
import time
from decimal import Decimal
from typing import Final

import msgspec
import structlog

from phoenix95.common import keys
from phoenix95.common.bus import Connection, connect_reader
from phoenix95.common.bus import connect as connect_redis
from phoenix95.common.bus.beat import write_heartbeat
from phoenix95.common.bus.client import ping
from phoenix95.common.bus.meta import agree_on_mode, agree_on_partitions
from phoenix95.common.bus.prices import read_price
from phoenix95.common.bus.reader import LogReader
from phoenix95.common.errors import ConfigError, Fenced, OutcomeUnknown, TransientError, VenueRejected
from phoenix95.common.events import Heartbeat
from phoenix95.common.retry import backoff, forever, pause
from phoenix95.common.serve import Context
from phoenix95.common.timekeeper import ExchangeClock, exchange_clock
from phoenix95.executor.audit.anchoring import keep_anchoring
from phoenix95.executor.config import ExecutorSettings
from phoenix95.executor.control import follow_control, watch_clock
from phoenix95.executor.core.reconcile import AccountMode
from phoenix95.executor.desk import Desk
from phoenix95.executor.ledger.connect import connect as connect_postgres
from phoenix95.executor.ledger.evidence import Evidence
from phoenix95.executor.ledger.outbox import Outbox
from phoenix95.executor.ledger.ownership import Ownership, take
from phoenix95.executor.ledger.store import PostgresLedger
from phoenix95.executor.ledger.writing import Writer
from phoenix95.executor.ports import Ports
from phoenix95.executor.protocol.intake import Standing
from phoenix95.executor.protocol.remembering import Remembering
from phoenix95.executor.publishing import publish
from phoenix95.executor.reading import AccountView, Analyses, Commands, Following
from phoenix95.executor.reconcile import Means, Reconciler
from phoenix95.executor.venue import budget
from phoenix95.executor.venue.binance import Binance
from phoenix95.executor.venue.codes import CREDENTIALS, WRONG_TIME
from phoenix95.executor.venue.exchange import Requests
from phoenix95.executor.venue.permissions import account_url, key_faults
from phoenix95.executor.venue.truth import Truths
from phoenix95.executor.venue.user_stream import follow
from phoenix95.executor.vigil import KeyCheck, keep_rules
from phoenix95.executor.watching import watch_prices

READ_BLOCK_MS: Final = 200  # so that a stop is noticed within 200 ms
RECOVERY_FIRST_S: Final = 2.0  # what comes in waits this long for the recovery; later it is refused by the gate
FIRST_LOOK_AGAIN_S: Final = 1.0
HEARTBEAT_S: Final = 2.0
VERSION: Final = "0.1.0"

Ctx = Context[ExecutorSettings]


async def run(context: Ctx) -> None:
    """Work until `context.stop`. Raises ConfigError for what the operator must mend; Fenced ends the process."""
    settings = context.settings
    settings.check()
    engine = connect_postgres(settings.postgres_url.reveal(), prove=False)
    clock = exchange_clock(settings)
    requests = Requests(
        settings.exchange_rest_url,
        settings.api_key.reveal(),
        settings.api_secret.reveal(),
        account_url=account_url(settings.mode, settings.exchange_rest_url),
        now_ms=clock.now_ms,
    )
    requests.refused.append(lambda code: clock.doubt() if code in WRONG_TIME else None)
    budget.watch(requests.budget, context.metrics)
    venue = Binance(
        requests, clock.now_ms, settings.recv_window_ms, hedge=settings.hedge_mode, margin=settings.margin_type
    )
    try:
        ownership = await take(engine, settings.account, stop=context.stop, mode=settings.mode, health=context.health)
        emitted = asyncio.Event()
        writer = Writer(engine, settings.account, ownership.token, emitted.set)
        try:
            await _Executor(
                context,
                clock,
                venue,
                ownership,
                writer,
                emitted,
                Truths(requests, venue.stamp, venue.settings_seen),
                _key_check(settings, requests, venue),
            ).run()
        finally:
            await ownership.release()
    finally:
        await venue.close()
        await engine.dispose()


def _key_check(settings: ExecutorSettings, requests: Requests, venue: Binance) -> KeyCheck | None:
    """None where the exchange does not tell what a key may do."""
    if account_url(settings.mode, settings.exchange_rest_url) is not None:
        return KeyCheck(lambda: key_faults(requests, venue.stamp()))
    reason = f"{settings.mode} trading has no endpoint for it"
    structlog.get_logger().info("key_permissions_not_checked", mode=settings.mode, reason=reason)
    return None


async def greet(account: AccountView, venue: Binance) -> None:
    """The first signed requests: they tell wrong keys, and put the account into the position mode that is set.

    Raises ConfigError for what asking again does not mend, TransientError for every other refusal.
    """
    try:
        await account.ask()
        await venue.use_position_mode()
    except VenueRejected as refusal:
        if refusal.code in CREDENTIALS:
            raise ConfigError(f"P95_EXECUTOR_API_KEY, P95_EXECUTOR_API_SECRET: refused: {refusal}") from refusal
        raise TransientError(f"the position mode is refused: {refusal}") from refusal


class _Executor:
    """The parts of one executor that holds its account."""

    def __init__(
        self, context: Ctx, clock: ExchangeClock, venue: Binance, ownership: Ownership, writer: Writer,
        emitted: asyncio.Event, truths: Truths, key_check: KeyCheck | None,
    ) -> None:  # fmt: skip
        settings = context.settings
        self._context, self._settings, self._stop = context, settings, context.stop
        self._clock, self._venue, self._ownership = clock, venue, ownership
        self._writer, self._emitted, self._key_check = writer, emitted, key_check
        self._truths = truths
        self._ledger = PostgresLedger(writer)
        self._account = AccountView(venue, clock)
        self._recovered = asyncio.Event()
        self._reconciled = asyncio.Event()
        self._limits = settings.limits()
        self._compared_after: int | None = None  # how often the lock had been lost before the last comparison began
        self._ports = Ports(
            ledger=Remembering(self._ledger, self._barred),
            venue=venue,
            clock=clock,
            bounds=settings.bounds(),
            account=settings.account,
            recv_window_ms=settings.recv_window_ms,
            uncertainty_max_ms=self._limits.uncertainty_max_ms,
            unknowns_max=settings.unknowns_max,
            observe=lambda hop, ms: context.metrics.hop_histogram(hop).observe(ms),
        )

    async def run(self) -> None:
        health = self._context.health
        health.check("exchange time", self._clock.reason)
        health.set("recovery", "recovering")
        async with asyncio.TaskGroup() as tasks:
            ticking = asyncio.Event()  # the clock outlives the stop: trades are still being protected
            keeping = tasks.create_task(self._clock.keep(ticking), name="clock")
            tasks.create_task(self._ownership.watch(self._stop), name="ownership")
            anchoring = keep_anchoring(Evidence(self._writer.engine, self._settings.account), self._stop)
            tasks.create_task(anchoring, name="anchor")
            try:
                await self._work(tasks)
            finally:
                ticking.set()
                await asyncio.wait({keeping})

    async def _work(self, outer: asyncio.TaskGroup) -> None:
        if not await self._clock.measured(self._stop):
            return
        if self._key_check is not None:
            # beside the recovery, which must not wait for it
            outer.create_task(self._keep_key(self._key_check), name="key permissions")
        await forever(
            lambda: greet(self._account, self._venue), name="exchange", stop=self._stop, health=self._context.health
        )
        async with asyncio.TaskGroup() as trades:
            desk = Desk(self._ports, trades, self._stop)
            # Redis may be away: what is under way is protected all the same
            outer.create_task(self._with_redis(desk), name="redis")
            outer.create_task(
                follow(self._settings.exchange_ws_url, self._venue.listen_key, desk.hint, desk.hint_all, self._stop),
                name="hints",
            )
            outer.create_task(follow_control(self._ledger, desk, self._stop), name="control")
            clock_watch = watch_clock(
                self._clock, self._ledger, uncertainty_max_ms=self._limits.uncertainty_max_ms,
                lost_ms=self._settings.clock_lost_ms, stop=self._stop,
            )  # fmt: skip
            outer.create_task(clock_watch, name="clock watch")
            outer.create_task(self._account.keep(self._stop), name="account")
            rules = keep_rules(self._venue.reference, self._ledger, self._clock, self._stop)
            outer.create_task(rules, name="rules")
            await self._recover(desk, outer)
            await self._stop.wait()

    async def _recover(self, desk: Desk, outer: asyncio.TaskGroup) -> None:
        """Resume every trade under way. Entries wait for that, and for the first reconciliation."""

        async def load() -> list[asyncio.Event]:
            await self._ledger.restamp_naked(self._clock.now_ms())
            return [desk.start(one.trade.analysis_id, one.trade.symbol) for one in await self._ledger.active_groups()]

        settled = await forever(load, name="ledger", stop=self._stop, health=self._context.health)
        outer.create_task(self._reconciling(desk), name="reconciliation")
        for event in settled:
            await event.wait()
        await self._reconciled.wait()
        if settled:
            structlog.get_logger().info("recovered", trades=len(settled))
        self._recovered.set()
        self._context.health.set("recovery", None)

    async def _with_redis(self, desk: Desk) -> None:
        settings = self._settings
        login = {"username": settings.redis_username, "password": settings.redis_password.reveal() or None}
        redis = connect_redis(settings.redis_url, name="executor", **login)
        reading = connect_reader(settings.redis_url, name="executor-reader", block_ms=READ_BLOCK_MS, **login)

        async def greet() -> None:
            await ping(redis)
            await agree_on_partitions(redis, settings.partitions)
            await agree_on_mode(redis, settings.mode)

        try:
            await forever(greet, name="redis", stop=self._stop, health=self._context.health)
            outbox = Outbox(self._writer.engine, settings.account)
            offsets = await forever(self._ledger.offsets, name="ledger", stop=self._stop, health=self._context.health)
            following = Following(redis, settings.partitions, offsets)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(publish(outbox, redis, self._emitted, self._stop), name="outbox")
                tasks.create_task(self._beating(redis), name="heartbeat")
                prices = watch_prices(
                    self._ledger, lambda symbol: read_price(redis, symbol, settings.partitions), desk.hint, self._stop
                )
                tasks.create_task(prices, name="prices")
                tasks.create_task(self._reading(desk, following, LogReader(reading, READ_BLOCK_MS)), name="reading")
        finally:
            await redis.aclose()
            await reading.aclose()

    async def _reading(self, desk: Desk, following: Following, reader: LogReader) -> None:
        log, waits = structlog.get_logger(), None
        stop_share = Decimal(str(self._settings.manual_stop_percent))
        ports = msgspec.structs.replace(self._ports, market=following.market)
        commands = Commands(ports, self._ledger, desk, self._limits, stop_share)
        analyses = Analyses(ports, desk, self._limits)
        with_recovery = asyncio.create_task(self._recovered.wait())
        await asyncio.wait({with_recovery}, timeout=RECOVERY_FIRST_S)
        with_recovery.cancel()
        await forever(lambda: following.recheck(reader), name="redis", stop=self._stop, health=self._context.health)
        while not self._stop.is_set():
            try:
                await following.refresh(reader)
                batches = await reader.read(following.offsets)
                unforeseen: Exception | None = None
                # commands first: a person who wants out does not wait for the analyses
                for stream, entries in sorted(batches, key=lambda batch: batch[0] != keys.COMMAND):
                    standing = self._standing()
                    if stream == keys.COMMAND:
                        for entry_id, fields in entries:
                            await commands.obey(entry_id, fields, standing)
                            following.offsets[stream] = entry_id
                    else:
                        try:
                            await analyses.follow(stream, entries, standing, following.offsets)
                        except (Fenced, TransientError, VenueRejected, OutcomeUnknown):
                            raise
                        except Exception as error:  # the other streams do not wait for it
                            unforeseen = unforeseen or error
                if unforeseen is not None:
                    raise unforeseen
                self._context.health.progress("reading")
            except Fenced:
                raise
            except Exception as error:  # nothing is entered any more, and what is held goes on being protected
                if waits is None:
                    foreseen = isinstance(error, TransientError | VenueRejected)
                    log.warning("reading_waits", reason=str(error), exc_info=not foreseen)
                    waits = backoff(cap_s=2.0)
                self._context.health.set("reading", str(error))
                await pause(self._stop, next(waits))
                continue
            if waits is not None:
                log.info("reading_again")
                self._context.health.set("reading", None)
                waits = None

    async def _keep_key(self, check: KeyCheck) -> None:
        async def halt(cause: str, reason: str) -> None:
            await self._ledger.tighten("HALT", cause, reason, None)

        self._context.health.check("key permissions", check.reason)
        await check.first()
        await check.keep(halt, self._stop)

    def _standing(self) -> Standing:
        not_ready = self._barred()
        if self._key_check is not None and not_ready is None:
            not_ready = self._key_check.reason()
        if not self._recovered.is_set():
            not_ready = "the recovery has not finished"
        return Standing(self._account.told, not_ready)

    def _barred(self) -> str | None:
        """Why nothing may be entered, whatever the ledger says: before the first look at the exchange, and while the
        account's lock is lost or was lost since the last one."""
        if self._ownership.lost is not None:
            return f"the account's lock is lost: {self._ownership.lost}"
        if self._compared_after != self._ownership.losses:
            return "exchange and ledger have not been compared yet"
        return None

    async def _reconciling(self, desk: Desk) -> None:
        log, settings = structlog.get_logger(), self._settings
        means = Means(
            policy=settings.policy(),
            wanted=AccountMode(hedged=settings.hedge_mode, isolated=settings.margin_type == "isolated"),
            stop_share=Decimal(str(settings.manual_stop_percent)),
            limits=self._limits,
        )
        reconciler = Reconciler(self._ports, self._ledger, self._writer, desk, self._truths, means)
        full_at_s = 0.0
        while not self._stop.is_set():
            losses = self._ownership.losses
            fully = time.monotonic() >= full_at_s
            try:
                at_ms = self._clock.now_ms()
                self._account.put(await reconciler.look(fully=fully), at_ms)
                if fully:
                    full_at_s = time.monotonic() + settings.reconcile_fully_ms / 1000
                self._reconciled.set()
                self._compared_after = losses
                self._context.health.progress("reconciliation")
                self._context.health.set("reconciliation", None)
            except Fenced:
                raise
            except (TransientError, VenueRejected, OutcomeUnknown) as error:
                log.warning("reconciliation_failed", reason=str(error))
            except Exception as error:  # the trades under way do not end with it
                log.exception("reconciliation_failed")
                self._context.health.set("reconciliation", f"{type(error).__name__}: {error}")
            every_s = settings.reconcile_ms / 1000
            await pause(self._stop, every_s if self._barred() is None else min(every_s, FIRST_LOOK_AGAIN_S))
        self._reconciled.set()  # nobody waits for it any more

    async def _beating(self, redis: Connection) -> None:
        context = self._context
        while not self._stop.is_set():
            beat = Heartbeat(
                service="executor",
                instance=context.instance,
                version=VERSION,
                started_wall_ms=context.started_wall_ms,
                progress_wall_ms=context.health.progress_wall_ms(),
            )
            try:
                await write_heartbeat(redis, beat)
            except TransientError as error:
                structlog.get_logger().debug("heartbeat_failed", reason=str(error))
            await pause(self._stop, HEARTBEAT_S)
