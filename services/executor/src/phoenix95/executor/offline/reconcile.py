"""`phoenix95 reconcile`: exchange truth against the ledger, shown; and, where no executor runs, put right."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Final

import msgspec

from phoenix95.common.errors import ConfigError, TransientError, VenueRejected
from phoenix95.common.retry import StopRequested
from phoenix95.common.settings import require
from phoenix95.common.timekeeper import ExchangeClock, exchange_clock
from phoenix95.executor.config import ExecutorSettings
from phoenix95.executor.core.reconcile import AccountMode, Finding, Truth, compare, compare_income
from phoenix95.executor.desk import Desk
from phoenix95.executor.ledger.connect import connect
from phoenix95.executor.ledger.income import booked
from phoenix95.executor.ledger.ownership import Ownership, take
from phoenix95.executor.ledger.store import PostgresLedger
from phoenix95.executor.ledger.writing import Writer
from phoenix95.executor.offline.where import need_keys
from phoenix95.executor.ports import Ports
from phoenix95.executor.reconcile import CERTAIN_LOOKS, Means, Reconciler, as_held
from phoenix95.executor.venue.binance import Binance
from phoenix95.executor.venue.codes import CREDENTIALS
from phoenix95.executor.venue.exchange import Requests
from phoenix95.executor.venue.truth import Truths

BETWEEN_LOOKS_S: Final = 1.0
OWNER_WAIT_S: Final = 1.0
SETTLE_S: Final = 20.0
NOBODY: Final = ""  # the token of one who only reads: every write is refused


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What two looks in a row found. `trades` is how many are active in the ledger, `positions` at the exchange."""

    account: str
    exchange: str
    findings: tuple[Finding, ...]
    trades: int
    positions: int
    orders: int


class _Parts(msgspec.Struct):
    settings: ExecutorSettings
    clock: ExchangeClock
    venue: Binance
    truths: Truths
    reading: Writer

    @property
    def wanted(self) -> AccountMode:
        return AccountMode(hedged=self.settings.hedge_mode, isolated=self.settings.margin_type == "isolated")


async def reconcile(settings: ExecutorSettings, *, apply: bool) -> Seen:
    """Look, and with `apply` do first what the executor would do. Raises ConfigError when one runs and does it itself,
    or when keys or the ledger's address are missing; TransientError when somebody does not answer."""
    need_keys(settings)
    require(settings, "postgres_url")
    async with _opened(settings) as parts:
        if apply:
            await _put_right(parts)
        return await _seen(parts)


async def _seen(parts: _Parts) -> Seen:
    first = await _look(parts)
    if not first.findings:
        return first
    await asyncio.sleep(BETWEEN_LOOKS_S)
    second = await _look(parts)
    sure = set(first.findings)
    return msgspec.structs.replace(second, findings=tuple(one for one in second.findings if one in sure))


async def _look(parts: _Parts) -> Seen:
    settings = parts.settings
    ledger = PostgresLedger(parts.reading)
    try:
        before = await ledger.active_groups()
        positions, orders = await parts.venue.positions(), await parts.truths.orders()
        configs, hedged = await parts.truths.configs(), await parts.truths.hedged()
    except VenueRejected as refusal:
        if refusal.code in CREDENTIALS:
            raise ConfigError(f"the exchange refuses P95_EXECUTOR_API_KEY: {refusal}") from refusal
        raise TransientError(str(refusal)) from refusal
    groups = await ledger.active_groups()
    truth = Truth(positions=tuple(as_held(one) for one in positions), orders=orders, configs=configs, hedged=hedged)
    findings = compare(truth, groups, settings.policy(), parts.wanted, also=before)
    async with parts.reading.read("income") as session:
        findings += compare_income(*await booked(session, settings.account, parts.clock.now_ms()))
    return Seen(
        account=settings.account,
        exchange=f"{settings.mode} at {settings.exchange_rest_url}",
        findings=findings,
        trades=len(groups),
        positions=len(positions),
        orders=len(orders),
    )


async def _put_right(parts: _Parts) -> None:
    """Be the executor for a moment: what is found is adopted, protected and cancelled; nothing is entered."""
    settings = parts.settings
    ownership = await _own(parts)
    stop = asyncio.Event()
    try:
        writer = Writer(parts.reading.engine, settings.account, ownership.token, lambda: None)
        ledger = PostgresLedger(writer)
        ports = Ports(
            ledger=ledger, venue=parts.venue, clock=parts.clock, bounds=settings.bounds(), account=settings.account,
            recv_window_ms=settings.recv_window_ms,
        )  # fmt: skip
        means = Means(
            policy=settings.policy(),
            wanted=parts.wanted,
            stop_share=Decimal(str(settings.manual_stop_percent)),
            limits=settings.limits(),
        )
        async with asyncio.TaskGroup() as trades:
            desk = Desk(ports, trades, stop)
            try:
                await ledger.restamp_naked(parts.clock.now_ms())
                reconciler = Reconciler(ports, ledger, writer, desk, parts.truths, means)
                await _looks(reconciler)
                await _settled(desk, ledger)
                await _looks(reconciler)  # an old stop goes only when the new one was seen
            finally:
                stop.set()
    finally:
        await ownership.release()


async def _looks(reconciler: Reconciler) -> None:
    for _ in range(CERTAIN_LOOKS):
        await reconciler.look(fully=True)
        await asyncio.sleep(BETWEEN_LOOKS_S)


async def _own(parts: _Parts) -> Ownership:
    given_up = asyncio.Event()
    asyncio.get_running_loop().call_later(OWNER_WAIT_S, given_up.set)
    try:
        return await take(parts.reading.engine, parts.settings.account, stop=given_up, mode=parts.settings.mode)
    except StopRequested as waiting:
        every_s = parts.settings.reconcile_ms / 1000
        raise ConfigError(
            f"an executor is active for account {parts.settings.account}: it does this itself every {every_s:g} s"
        ) from waiting


async def _settled(desk: Desk, ledger: PostgresLedger) -> None:
    """Until everything that is held is protected or over, or it has had its time."""
    events = [desk.start(one.trade.analysis_id, one.trade.symbol) for one in await ledger.active_groups()]
    if events:
        await asyncio.wait([asyncio.ensure_future(event.wait()) for event in events], timeout=SETTLE_S)


@asynccontextmanager
async def _opened(settings: ExecutorSettings) -> AsyncIterator[_Parts]:
    clock = exchange_clock(settings)
    requests = Requests(
        settings.exchange_rest_url, settings.api_key.reveal(), settings.api_secret.reveal(), now_ms=clock.now_ms
    )
    venue = Binance(
        requests, clock.now_ms, settings.recv_window_ms, hedge=settings.hedge_mode, margin=settings.margin_type
    )
    engine = connect(settings.postgres_url.reveal())
    try:
        await clock.measure()
        reading = Writer(engine, settings.account, NOBODY, lambda: None)
        yield _Parts(settings, clock, venue, Truths(requests, venue.stamp), reading)
    finally:
        await venue.close()
        await clock.aclose()
        await engine.dispose()
