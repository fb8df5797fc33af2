"""The exchange as a process: markets unfold with exchange time, orders are answered, everything is remembered."""

import asyncio
from decimal import Decimal
from typing import Any, Final

import msgspec

from phoenix95.common.serve import Context, bind
from phoenix95.paper.config import PaperSettings, market_source
from phoenix95.paper.core.account import Account
from phoenix95.paper.core.emission import Emission
from phoenix95.paper.core.faultplan import AT_ONCE, KINDS, Chaos
from phoenix95.paper.core.frames import AggTrade
from phoenix95.paper.core.limits import Limits
from phoenix95.paper.core.routes import PRIVATE, stream_of
from phoenix95.paper.core.source import MarketSource
from phoenix95.paper.exchange import Exchange
from phoenix95.paper.exchange_time import ExchangeTime
from phoenix95.paper.listen_keys import ListenKeys
from phoenix95.paper.memory import Memory
from phoenix95.paper.rest.app import App, RestServer
from phoenix95.paper.rest.desk import Desk
from phoenix95.paper.rest.faults import Faults
from phoenix95.paper.store import Store
from phoenix95.paper.ws.hub import Hub
from phoenix95.paper.ws.server import WsServer

BATCH: Final = 500  # events between two looks at anything else
SAVE_S: Final = 0.5
TURN_S: Final = 0.002  # frames within this time share a write
IDLE_S: Final = 0.25
SECOND_MS: Final = 1000
TICKER_MS: Final = 2000
HOLE_MS: Final = 300_000  # a recording that is silent for longer is skipped: files of different days follow at once
BEFORE_MS: Final = 1000


class Paper:
    """The market's pump: what is due becomes public, derived streams follow, time is saved."""

    def __init__(self, context: Context[PaperSettings], source: MarketSource, store: Store) -> None:
        settings = context.settings
        self.context = context
        self.source = source
        self.store = store
        self.memory = Memory(store, source, settings.speed)
        self.time = ExchangeTime(source.origin_ms, settings.speed)
        fresh = Account(settings.balance, updated_ms=source.origin_ms)
        self.exchange = Exchange(source.specs, store, fresh, self.time.now_ms)
        self.hub = Hub()
        self.listen_keys = ListenKeys(store)
        self.faults = Faults(store, self.exchange.records)
        self._schedule(settings)
        self.ws = WsServer(self.hub, self.listen_keys, self.wake)
        self.exchange.tell_to(self._tell)
        self.started = False
        self.done = False
        self._wake = asyncio.Event()
        self._second = 0
        self._settled_ms = 0
        self._crash: Exception | None = None
        self._lag = context.metrics.gauge("p95_paper_lag_ms", "Our ms between an event's time and its sending")
        self._frames = context.metrics.counter("p95_paper_frames_total", "Websocket frames sent")

    def wake(self) -> None:
        """Look again at who is subscribed."""
        self._wake.set()

    def crash(self, error: Exception) -> None:
        """A request broke the exchange: end with its error, rather than go on with what may be half done."""
        self._crash = error

    def force(self, symbol: str, price: Decimal, start_ms: int, until_ms: int) -> None:
        """Move a market, also again after a restart. Raises ValueError for one that cannot be moved."""
        start_ms = self.source.force(symbol, price, start_ms, until_ms)
        self.exchange.records.forced(symbol, start_ms, max(start_ms, until_ms), format(price, "f"))
        self.store.commit()
        self.wake()

    def user_fault(self, kind: str) -> None:
        """What is done to the user stream at once."""
        if kind == "cut_user":
            self.ws.cut(PRIVATE)
        else:
            self.listen_keys.run_out()
            self._expire_key(self.time.now_ms())

    def resume(self) -> None:
        """Bring the market to where it was; what happened while nobody could watch is settled in silence."""
        for symbol, start_ms, until_ms, price in self.exchange.records.all_forced():
            if symbol in self.exchange.markets:
                self.source.force(symbol, Decimal(price), start_ms, until_ms, again=True)
        quiet_ms, now_ms = self.memory.resume(self.exchange.markets)
        while events := self.source.due(now_ms, BATCH):
            for event in events:
                self.exchange.apply(event, matching=event.ms > quiet_ms)
        self.time.jump(now_ms)
        self._second = now_ms // SECOND_MS
        self._settled_ms = now_ms
        self._save()

    async def run(self) -> None:
        """Pump until the service is to stop."""
        stopping = asyncio.ensure_future(self.context.stop.wait())
        saved = 0.0
        loop = asyncio.get_running_loop()
        try:
            while not stopping.done():
                if self._crash is not None:
                    raise self._crash
                if not self.started and self._may_start():
                    self.started = True
                    self.time.start()
                    self.context.log.info("market_started", at_ms=self.time.now_ms(), speed=self.time.speed)
                busy = self.started and self._turn()
                if loop.time() - saved >= SAVE_S:
                    saved = loop.time()
                    self._save()
                await self._pause(stopping, busy)
        finally:
            stopping.cancel()
            self.time.stop()
            if self._crash is None:
                self._save()

    def status(self) -> dict[str, Any]:
        """`GET /paper/v1/status`."""
        return {
            "source": self.source.name,
            "started": self.started,
            "done": self.done,
            "now": self.time.now_ms(),
            "rate": self.time.rate,
            "originMs": self.source.origin_ms,
            "symbols": {
                symbol: {"lastAggId": market.tape.last_id or 0, "trades": market.tape.count}
                for symbol, market in self.exchange.markets.items()
            },
        }

    def _may_start(self) -> bool:
        return not self.source.waits or self.hub.wants_all(stream_of(name, "aggTrade") for name in self.source.specs)

    def _turn(self) -> bool:
        """Publish a batch of what is due; whether more waits."""
        now_ms = self.time.now_ms()
        events = self.source.due(now_ms, BATCH)
        for event in events:
            self._derive(event.ms)
            self._publish(event)
        full = len(events) == BATCH
        if not full:
            self._derive(now_ms)
        self._settled_ms = events[-1].ms - 1 if full else now_ms
        if events:
            self._lag.set((now_ms - events[-1].ms) / self.time.speed)
        self.ws.flush()
        self._frames.inc(self.hub.sent)
        self.hub.sent = 0
        self.context.health.progress("market")
        if not events and not full:
            self._skip_hole(now_ms)
        return full

    def _publish(self, event: Emission) -> None:
        self.exchange.apply(event)
        kind = "aggTrade" if isinstance(event.body, AggTrade) else "bookTicker"
        self.hub.publish(stream_of(event.symbol, kind), event.payload)

    def _derive(self, until_ms: int) -> None:
        """The streams that are made each second of exchange time: mark prices, and every other second tickers."""
        second = until_ms // SECOND_MS
        if second <= self._second:
            return
        # after a silence the latest second is enough: marks and tickers tell the state, not what happened
        self._second = second
        ms = second * SECOND_MS
        self.exchange.mark(ms)
        for symbol, market in self.exchange.markets.items():
            for kind in ("markPrice@1s", "markPrice"):
                if self.hub.wants(stream := stream_of(symbol, kind)):
                    self.hub.publish(stream, market.mark_payload(ms))
            if ms % TICKER_MS == 0 and self.hub.wants(stream := stream_of(symbol, "ticker")):
                self.hub.publish(stream, market.ticker_payload(ms))
        self._expire_key(ms)

    def _expire_key(self, ms: int) -> None:
        key = self.listen_keys.current
        if self.listen_keys.is_over():
            told = {"e": "listenKeyExpired", "E": ms, "listenKey": key}
            self.hub.publish_private(key, "listenKeyExpired", msgspec.json.encode(told))
            self.ws.flush()
            self.listen_keys.expired()

    def _skip_hole(self, now_ms: int) -> None:
        following = self.source.next_ms()
        if following is None and not self.done:
            self.done = True
            self.context.log.info("recording_ended", at_ms=now_ms)
        elif following is not None and following - now_ms > HOLE_MS:
            self.context.log.info("hole_skipped", from_ms=now_ms, to_ms=following)
            self.time.jump(following - BEFORE_MS)

    def _save(self) -> None:
        self.store.save_snapshots(self.source.snapshots())
        self.memory.save(self._settled_ms, self.time.now_ms(), running=self.time.rate > 0)

    def _tell(self, event: dict[str, Any]) -> None:
        now_ms = self.time.now_ms()
        self.memory.reach(now_ms)
        if not self.hub.links or not self.listen_keys.active(self.listen_keys.current):
            return
        fault = None
        if event["e"] != "TRADE_LITE":
            fault = self.faults.take_event(now_ms)
        if fault is not None:
            self.faults.happened(now_ms, "", event["e"], fault)
        for told in self.faults.user.pass_on(event, fault, now_ms):
            self.hub.publish_private(self.listen_keys.current, told["e"], msgspec.json.encode(told))
        self.ws.flush()
        if fault is not None and fault.kind in AT_ONCE:
            self.user_fault(fault.kind)

    def _schedule(self, settings: PaperSettings) -> None:
        """Follow the settings' schedule of faults; one that was begun goes on where it was."""
        if not settings.fault_rate:
            return
        kinds = settings.fault_kinds or KINDS
        begun = self.faults.chaos
        if begun is None or (begun.seed, begun.rate, begun.kinds) != (settings.fault_seed, settings.fault_rate, kinds):
            self.faults.let_loose(Chaos(seed=settings.fault_seed, rate=settings.fault_rate, kinds=kinds))

    async def _pause(self, stopping: "asyncio.Future[Any]", busy: bool) -> None:
        """Sleep until the next event is due, or something wakes us."""
        if busy:
            await asyncio.sleep(0)
            return
        wait_s = IDLE_S
        if self.started and (following := self.source.next_ms()) is not None:
            wait_s = min(IDLE_S, max(TURN_S, self.time.wall_s_until(following)))
        if not self.started:
            waking = asyncio.ensure_future(self._wake.wait())
            await asyncio.wait({waking, stopping}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
        else:
            await asyncio.wait({stopping}, timeout=wait_s)
        self._wake.clear()


async def main(context: Context[PaperSettings]) -> None:
    """Bind both ports, bring the market to where it was, serve until the stop."""
    settings = context.settings
    rest_socket = bind(settings.http_host, settings.port, "P95_PAPER_PORT")
    ws_socket = bind(settings.http_host, settings.ws_port, "P95_PAPER_WS_PORT")
    source = market_source(settings)
    store = Store(settings.state)
    try:
        paper = Paper(context, source, store)
        paper.resume()
        for note in source.notes():
            tell = context.log.warning if "junk" in note or "damage" in note else context.log.info
            tell("recording_read", **note)
        limits = Limits(settings.limit_weight, settings.limit_orders_10s, settings.limit_orders_1m, settings.speed)
        desk = Desk(
            paper.exchange,
            paper.time,
            paper.listen_keys,
            paper.faults,
            limits,
            paper.status,
            paper.force,
            paper.user_fault,
        )
        app = App(
            desk,
            key=settings.api_key.reveal(),
            secret=settings.api_secret.reveal(),
            metrics=context.metrics,
            crashed=paper.crash,
        )
        rest = RestServer(app, rest_socket)
        await paper.ws.start(ws_socket)
        serving = asyncio.create_task(rest.serve())
        context.health.check("serving", lambda: "the REST server ended" if serving.done() else None)
        context.log.info(
            "exchange_open",
            source=source.name,
            symbols=",".join(source.specs),
            rest=rest_socket.getsockname()[1],
            ws=ws_socket.getsockname()[1],
        )
        try:
            await paper.run()
        finally:
            rest.stop()
            await paper.ws.stop()
            await serving
    finally:
        source.close()
        store.close()
