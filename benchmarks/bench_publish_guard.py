"""Claim: the publish guard appends ticks at a quarter or more of what Redis takes without any guard.

The limit is `redis-benchmark`, which is written in C and sends raw XADD: one connection, pipelines of 128. The
guard gets batches of 128 trades of one symbol. Rounds alternate on one server, so that the machine's other
load meets both; the figure is the median of the rounds' ratios.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from phoenix95.common import wire
from phoenix95.common.bus import connect
from phoenix95.common.bus.publish import PublishGuard, TickEntry
from phoenix95.common.events import Trade
from phoenix95.stack.redis_server import RedisServer

ROUNDS = 5
BATCH = 128
ENTRIES = BATCH * 800
AT_LEAST = 0.25
TRADE = wire.encode(Trade(price="64012.30", quantity="0.125", buyer_is_maker=True, received_ms=1_721_347_200_123))


def raw_a_second(server: RedisServer) -> float:
    """Entries a second of raw XADD, as redis-benchmark counts them."""
    command = ["redis-benchmark", "-s", str(server.address.path), "-c", "1", "-P", str(BATCH), "-n", str(ENTRIES)]
    out = subprocess.run(
        [*command, "--csv", "XADD", "raw", "*", "d", TRADE.decode()], capture_output=True, text=True, check=True
    )
    # The first column is the command itself, quotes and all; the rate is the first of the seven behind it.
    return float(out.stdout.splitlines()[-1].split('","')[-7])


async def guarded_a_second(server: RedisServer, first: int) -> float:
    """Entries a second through the guard, built and published as the feed does."""
    redis = connect(server.url, name="bench")
    guard = PublishGuard(redis, 16)
    started = time.perf_counter()
    for batch in range(first, first + ENTRIES, BATCH):
        await guard.publish([TickEntry("BTCUSDT", "trade", a, a, TRADE) for a in range(batch, batch + BATCH)])
    seconds = time.perf_counter() - started
    await redis.aclose()
    return ENTRIES / seconds


def main() -> int:
    """Print a row a round and the median ratio; 1 when it is below the claim."""
    ratios = []
    with tempfile.TemporaryDirectory(prefix="p95-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            for number in range(ROUNDS):
                raw = raw_a_second(server)
                guarded = asyncio.run(guarded_a_second(server, 1 + number * ENTRIES))
                ratios.append(guarded / raw)
                sys.stdout.write(
                    f"round {number + 1}: raw {raw:9.0f}/s  guard {guarded:9.0f}/s  ratio {ratios[-1]:.2f}\n"
                )
        finally:
            server.stop()
    ratio = statistics.median(ratios)
    sys.stdout.write(f"publish guard / raw XADD, median of {ROUNDS}: {ratio:.2f} (claimed: at least {AT_LEAST})\n")
    return 0 if ratio >= AT_LEAST else 1


if __name__ == "__main__":
    raise SystemExit(main())
