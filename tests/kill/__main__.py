"""`make kill`: kill the executor with SIGKILL a thousand times and count what went wrong.

Each lane has its own Redis, Postgres and paper exchange, and its own seed (the first is --seed, and so on).
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table

from tests.kill.campaign import Campaign, Outcome
from tests.kill.ground import ground
from tests.kill.oracle import Naked

KEPT: Final = 20  # violations that are printed
NAKED_CRASH_MAX_MS: Final = 20_000
NAKED_OPERATION_MAX_MS: Final = 5_000


async def lane(
    seed: int, kills: int, fault_rate: float, logs: Path | None, killed: Callable[[], None] = lambda: None
) -> Outcome:
    """Run one lane; its logs are kept in `logs` when something was wrong."""
    with tempfile.TemporaryDirectory(prefix="p95-") as name:
        folder = Path(name)
        async with ground(folder, seed=seed) as place:
            outcome = await Campaign(place, seed=seed, kills=kills, fault_rate=fault_rate, killed=killed).run()
        if outcome.violations and logs is not None:
            _keep(folder, logs, seed)
        return outcome


def _keep(folder: Path, logs: Path, seed: int) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        (logs / f"{seed}-{log.name}").write_bytes(log.read_bytes())


def table(outcomes: Sequence[Outcome], seeds: Sequence[int], seconds: float) -> Table:
    """The run in figures, as docs/reliability.md shows it."""
    kills: Counter[str] = sum((one.kills for one in outcomes), Counter())
    trades: Counter[str] = sum((one.trades for one in outcomes), Counter())
    refused: Counter[str] = sum((one.refused for one in outcomes), Counter())
    drawn = Table(title="kill -9 of the executor", show_header=False)
    drawn.add_row("seeds", ", ".join(str(seed) for seed in seeds))
    drawn.add_row("kills", f"{kills.total()}: " + ", ".join(f"{kind} {n}" for kind, n in sorted(kills.items())))
    drawn.add_row("executors that ended by themselves", str(sum(len(one.died) for one in outcomes)))
    drawn.add_row("analyses", str(sum(one.analyses for one in outcomes)))
    drawn.add_row("trades", ", ".join(f"{kind} {n}" for kind, n in sorted(trades.items())))
    drawn.add_row("refused by", ", ".join(f"{gate} {n}" for gate, n in refused.most_common()))
    drawn.add_row("orders, fills", f"{sum(one.orders for one in outcomes)}, {sum(one.fills for one in outcomes)}")
    faults: Counter[str] = sum((one.faults for one in outcomes), Counter())
    told = ", ".join(f"{kind} {n}" for kind, n in sorted(faults.items()))
    drawn.add_row("faults of the exchange", f"{faults.total()}: {told}")
    drawn.add_row("resumed by a person", str(sum(one.resumed for one in outcomes)))
    for label, stretches in (
        ("in operation", [naked for one in outcomes for naked in one.naked_operation]),
        ("across a kill", [naked for one in outcomes for naked in one.naked_crash]),
    ):
        drawn.add_row(f"without a stop, {label}", _naked(stretches))
    drawn.add_row("violations", str(sum(len(one.violations) for one in outcomes)))
    drawn.add_row("took", f"{seconds:.0f} s")
    return drawn


def failures(outcome: Outcome) -> list[str]:
    """Everything that breaks a promise."""
    broken = [f"an executor ended by itself with {status}" for status in outcome.died] + outcome.violations
    for stretches, most in (
        (outcome.naked_operation, NAKED_OPERATION_MAX_MS),
        (outcome.naked_crash, NAKED_CRASH_MAX_MS),
    ):
        broken += [f"no stop for {one.ms} ms: {one}" for one in stretches if one.ms > most]
    return broken


def _naked(stretches: Sequence[Naked]) -> str:
    if not stretches:
        return "never"
    times = sorted(one.ms for one in stretches)
    return f"{len(times)} stretches, median {times[len(times) // 2]} ms, longest {times[-1]} ms"


async def _run(arguments: argparse.Namespace) -> int:
    console, started = Console(), time.monotonic()
    seeds = [arguments.seed + number for number in range(arguments.lanes)]
    share = -(-arguments.kills // arguments.lanes)
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console, transient=True) as progress:
        bar = progress.add_task("killing", total=share * len(seeds))
        lanes = (lane(seed, share, arguments.faults, arguments.logs, lambda: progress.advance(bar)) for seed in seeds)
        outcomes = await asyncio.gather(*lanes)
    console.print(table(outcomes, seeds, time.monotonic() - started))
    broken = [line for one in outcomes for line in failures(one)]
    for line in broken[:KEPT]:
        console.print(f"[red]{line}", highlight=False, soft_wrap=True)
    return 1 if broken else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how many executors to kill in all (default: 1000)")
    parser.add_argument("--lanes", type=int, default=2, help="how many to run side by side (default: 2)")
    parser.add_argument("--seed", type=int, default=95, help="of the first lane (default: 95)")
    parser.add_argument("--faults", type=float, default=0.03, help="share of requests that fail (default: 0.03)")
    parser.add_argument("--logs", type=Path, help="keep the logs of lanes with violations in this folder")
    return asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
