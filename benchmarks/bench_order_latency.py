"""Claim: from an analysis in its stream to the order at the exchange, the executor takes at most 8 times as long as
a bare commit and a bare signed request together (medians), and at most 30 times at the 99th percentile.

In between lie: reading the stream, every gate, one transaction with the verdicts and all four intents, margin and
leverage, a second transaction with the signature's time, and the request. Postgres is real and syncs its log; the
exchange is the paper exchange as a process. The three are measured in turn, sample by sample, so that the machine's
other load meets all of them: the bare commit inserts one row, the bare request is a signed market order. Ours ends
when the request passes a cable before the exchange.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from phoenix95.executor.ledger.connect import connect
from tests.kill.ground import Ground, ground, until

ROUNDS = 5
SAMPLES = 60
WARM_UP = 10
P50_AT_MOST, P99_AT_MOST = 8.0, 30.0
SYMBOL = "ETHUSDT"
ORDER = b"POST /fapi/v1/order"


class Bench:
    """Takes samples in ms on a running ground."""

    def __init__(self, place: Ground) -> None:
        self._ground = place
        self._engine = connect(place.postgres_server.url("p95"))
        self._sent = asyncio.get_running_loop().create_future()
        place.to_exchange.on_sent = self._passes

    def _passes(self, chunk: bytes) -> None:
        if chunk.startswith(ORDER) and not self._sent.done():
            self._sent.set_result(time.perf_counter())

    async def commit(self) -> float:
        started = time.perf_counter()
        async with self._engine.begin() as connection:
            await connection.execute(text("insert into bench values (1)"))
        return (time.perf_counter() - started) * 1000

    async def request(self) -> float:
        """A market order by hand, on a side and symbol that the executor does not use."""
        params = {"symbol": "XRPUSDT", "side": "BUY", "positionSide": "LONG", "type": "MARKET", "quantity": "10"}
        started = time.perf_counter()
        answer = await self._ground.signed("POST", "/fapi/v1/order", params)
        taken = (time.perf_counter() - started) * 1000
        answer.raise_for_status()
        await self._ground.signed("POST", "/fapi/v1/order", {**params, "side": "SELL"})
        return taken

    async def executor(self) -> float:
        self._sent = asyncio.get_running_loop().create_future()
        price = (await self._ground.market())[SYMBOL]
        started = time.perf_counter()
        await self._ground.say(SYMBOL, price, hold_ms=50, stop=0.01, target=0.02)
        sent: float = await asyncio.wait_for(self._sent, 10)
        await until(self._ground.all_over, 20, "the trade to be over", self._ground.unfinished)
        return (sent - started) * 1000

    async def prepare(self) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(text("create table bench (n integer)"))

    async def close(self) -> None:
        await self._engine.dispose()


async def measured() -> list[tuple[float, float]]:
    """A pair of ratios (median, 99th percentile) for each round."""
    ratios = []
    with tempfile.TemporaryDirectory(prefix="p95-") as folder:
        async with ground(Path(folder), durable=True) as place:
            await place.start(P95_EXECUTOR_POLL_MS="1000", P95_EXECUTOR_RECONCILE_MS="10000")
            await place.until_ready()
            bench = Bench(place)
            await bench.prepare()
            for _ in range(WARM_UP):
                await bench.executor()
            for number in range(1, ROUNDS + 1):
                bare, ours = [], []
                for _ in range(SAMPLES):
                    bare.append(await bench.commit() + await bench.request())
                    ours.append(await bench.executor())
                told = []
                for percent in (50, 99):
                    low, high = percentile(bare, percent), percentile(ours, percent)
                    told.append(high / low)
                    sys.stdout.write(
                        f"round {number} p{percent}: bare {low:7.2f} ms  executor {high:7.2f} ms  {high / low:5.1f}\n"
                    )
                ratios.append((told[0], told[1]))
            await bench.close()
    return ratios


def percentile(samples: list[float], percent: int) -> float:
    return statistics.quantiles(samples, n=100, method="inclusive")[percent - 1]


def main() -> int:
    """Print each round and the medians; 1 when a claim does not hold."""
    ratios = asyncio.run(measured())
    p50, p99 = (statistics.median(one) for one in zip(*ratios, strict=True))
    sys.stdout.write(
        f"analysis to request / (bare commit + bare signed request), medians of {ROUNDS} rounds:"
        f" p50 {p50:.1f} (claimed: at most {P50_AT_MOST:g}), p99 {p99:.1f} (at most {P99_AT_MOST:g})\n"
    )
    return 0 if p50 <= P50_AT_MOST and p99 <= P99_AT_MOST else 1


if __name__ == "__main__":
    raise SystemExit(main())
