"""One lane of a kill run: executors are killed with SIGKILL at random moments while signals and faults come in."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NamedTuple

import httpx
import msgspec

from phoenix95.common.errors import TransientError
from phoenix95.executor.ledger.control import set_by_person
from tests.kill.ground import ACTIVE, BALANCE, ENDED, SYMBOLS, Ground, until
from tests.kill.oracle import (
    Naked,
    entry_violations,
    executed_of,
    ledger_violations,
    naked_stretches,
    resting_of,
)  # fmt: skip

MOMENTS: Final = ("start", "random", "request", "commit")
MOMENT_MAX_S: Final = 10.0  # what a moment is waited for that does not come
SAY_PAUSE_S: Final = (0.02, 0.4)
HOLD_MS: Final = (300, 1_000, 2_500, 6_000)
SETTLE_S: Final = 180.0
ORDER_CALLS: Final = (b"POST /fapi/v1/order", b"POST /fapi/v1/algoOrder", b"DELETE /fapi/v1/algoOrder")
# all that a request or an event can meet; a skewed clock only keeps entries out, so it has tests of its own
FAULTS: Final = (
    "drop_before", "timeout_before", "html", "unknown_before", "refuse", "reject", "overload", "drop_after",
    "timeout_after", "html_after", "unknown", "empty", "late", "late_unknown", "delay", "vanish",
    "duplicate", "reorder", "lose", "silence", "cut_user", "expire_key",
)  # fmt: skip
COMMIT: Final = b"COMMIT\0"


class Outcome(msgspec.Struct, kw_only=True):
    """What a lane found. Times are exchange ms; `died` counts executors that ended before they were killed."""

    kills: Counter[str] = msgspec.field(default_factory=Counter)
    died: list[int] = msgspec.field(default_factory=list)
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    resumed: int = 0
    analyses: int = 0
    trades: Counter[str] = msgspec.field(default_factory=Counter)
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    orders: int = 0
    fills: int = 0
    naked_operation: list[Naked] = msgspec.field(default_factory=list)
    naked_crash: list[Naked] = msgspec.field(default_factory=list)
    violations: list[str] = msgspec.field(default_factory=list)


class Campaign:
    """`run` kills `kills` executors on a ground, lets a last one bring everything to its end, and judges."""

    def __init__(
        self, ground: Ground, *, seed: int, kills: int, fault_rate: float, killed: Callable[[], None] = lambda: None
    ) -> None:
        self._ground, self._kills, self._fault_rate = ground, kills, fault_rate
        self._seed, self._killed = seed, killed
        self._chance = random.Random(seed)
        self._awaited: tuple[bytes, ...] = ()
        self._left = 0
        self._came = asyncio.Event()
        self._downs: list[tuple[int, int]] = []
        self.outcome = Outcome()
        ground.to_exchange.on_sent = self._listen
        ground.to_postgres.on_sent = self._listen

    async def run(self) -> Outcome:
        ground = self._ground
        saying = asyncio.create_task(self._say())
        try:
            chaos = {"seed": str(self._seed), "rate": str(self._fault_rate), "kinds": ",".join(FAULTS)}
            (await ground.http.post("/paper/v1/chaos", params=chaos)).raise_for_status()
            for _ in range(self._kills):
                await self._one_life()
                self._killed()
                await self._resume()
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)
        (await ground.http.delete("/paper/v1/chaos")).raise_for_status()
        pid = await ground.start()
        try:
            await until(ground.all_over, SETTLE_S, "all trades to be over", ground.unfinished)
        except TimeoutError as error:
            self.outcome.violations.append(str(error))
        await self._judge()
        await ground.nursery.kill(pid)
        return self.outcome

    async def _one_life(self) -> None:
        ground, chance = self._ground, self._chance
        pid = await ground.start()
        moment = chance.choice(MOMENTS)
        if moment == "start":
            await asyncio.sleep(chance.uniform(0.0, 0.6))
        elif moment == "random":
            await ground.until_ready()
            await asyncio.sleep(chance.uniform(0.0, 1.5))
        else:
            self._awaited = ORDER_CALLS if moment == "request" else (COMMIT,)
            self._left = chance.randint(1, 12)
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), MOMENT_MAX_S)
            except TimeoutError:
                moment = "idle"
            if chance.random() < 0.5:
                await asyncio.sleep(chance.uniform(0.0, 0.05))
        status = await ground.nursery.kill(pid)
        down_ms = ground.now_ms()
        self.outcome.kills[moment] += 1
        if status != -9:
            self.outcome.died.append(status)
        if chance.random() < 0.1:
            await asyncio.sleep(chance.uniform(0.0, 1.0))  # a supervisor that takes its time
        self._downs.append((down_ms, ground.now_ms()))

    def _listen(self, chunk: bytes) -> None:
        if self._left and any(one in chunk for one in self._awaited):
            self._left -= 1
            if self._left == 0:
                self._came.set()

    async def _say(self) -> None:
        """Signals without end, in any symbol, whether somebody listens or not."""
        ground, chance = self._ground, self._chance
        prices: dict[str, float] = {}
        priced_s = 0.0
        while True:
            await asyncio.sleep(chance.uniform(*SAY_PAUSE_S))
            try:
                if time.monotonic() - priced_s > 1:
                    prices = await ground.market()
                    priced_s = time.monotonic()
                symbol = chance.choice(SYMBOLS)
                await ground.say(
                    symbol, prices[symbol], side=chance.choice(("BUY", "SELL")), hold_ms=chance.choice(HOLD_MS),
                    stop=chance.choice((0.001, 0.004)), target=0.004, live_ms=8_000,
                )  # fmt: skip
            except (httpx.HTTPError, TransientError):
                continue

    async def _resume(self) -> None:
        """A person who looks at what was halted, and lets it go on; the exchange forgets how much was asked."""
        await self._ground.http.post("/paper/v1/limits")
        engine = self._ground.engine
        for row in await self._ground.rows("select scope from ledger.control where mode <> 'RUN'"):
            await set_by_person(engine, row["scope"], "RUN", "looked at, all is well", "test")
            self.outcome.resumed += 1

    async def _judge(self) -> None:
        ground, outcome = self._ground, self.outcome
        history = await told(ground)
        outcome.faults = Counter(one["kind"] for one in history.faults)
        outcome.violations += await judged(ground, history)
        stretches = naked_stretches(executed_of(history.trades), resting_of(history.algos), ground.now_ms())
        outcome.naked_crash = [one for one in stretches if one.meets(self._downs)]
        outcome.naked_operation = [one for one in stretches if not one.meets(self._downs)]
        outcome.analyses, outcome.orders, outcome.fills = len(ground.said), len(history.ours), len(history.trades)
        for row in await ground.rows("select status, count(*) as n from ledger.trades group by 1"):
            outcome.trades[row["status"]] = row["n"]
        refusals = (
            "select split_part(reason, ':', 1) as gate, count(*) as n from ledger.signals where not accepted group by 1"
        )
        for row in await ground.rows(refusals):
            outcome.refused[row["gate"]] = row["n"]


class History(NamedTuple):
    """Everything that the exchange has on the account, and the faults that it made."""

    orders: list[dict[str, Any]]
    algos: list[dict[str, Any]]
    trades: list[dict[str, Any]]
    faults: list[dict[str, Any]]
    positions: list[dict[str, Any]]
    open: list[int]
    wallet: Decimal

    @property
    def ours(self) -> set[str]:
        """The client ids that the executor gave."""
        known = {one["clientOrderId"] for one in self.orders} | {one["clientAlgoId"] for one in self.algos}
        return {one for one in known if one.startswith("p95")}


async def told(ground: Ground) -> History:
    answer = await ground.http.get("/paper/v1/book-keeping")
    answer.raise_for_status()
    books = answer.json()
    return History(
        books["orders"], books["algos"], books["fills"], books["faults"], books["positions"],
        books["openOrders"] + books["openAlgos"], Decimal(books["wallet"]),
    )  # fmt: skip


async def judged(ground: Ground, history: History | None = None) -> list[str]:
    """Every promise that does not hold once all is over; empty is what one hopes for."""
    there = history if history is not None else await told(ground)
    intents = await ground.rows("select client_id, state from ledger.intents where state <> 'PLANNED'")
    fills = await ground.rows("select * from ledger.fills")
    found = entry_violations(there.orders, ground.said, "main")
    found += ledger_violations(there.trades, fills, intents, there.ours)
    unresolved = f"select client_id, state from ledger.intents where state not in {ENDED}"  # noqa: S608
    found += [f"unresolved intent {row}" for row in await ground.rows(unresolved)]
    found += [f"held at the end: {one}" for one in there.positions]
    found += [f"orphan at the end: {one}" for one in there.open]
    found += [f"still under way: {row}" for row in await ground.rows(ACTIVE)]
    result = (await ground.rows("select coalesce(sum(realized_pnl), 0) as result from ledger.positions"))[0]["result"]
    if there.wallet != Decimal(BALANCE) + result:
        found.append(f"wallet {there.wallet}, but the ledger's result is {result}")
    return found
