"""`make explore`: every placement of up to three faults, with a table of what was explored, and of the mutants."""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.explorer.explore import Found
from tests.explorer.mutants import MUTANTS
from tests.explorer.parts import explore_part, try_mutant
from tests.explorer.report import Row, added, mutant_table, table
from tests.explorer.scenarios import SCENARIOS


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 when an invariant was broken or a mutant was not found."""
    parser = argparse.ArgumentParser(prog="make explore ARGS=...", description=__doc__)
    parser.add_argument("--faults", type=int, default=3, help="so many at most (3)")
    parser.add_argument("--scenario", default="", help="only those with this in their name")
    parser.add_argument("--shards", type=int, default=16, help="parts of a scenario; more parts need less memory (16)")
    parser.add_argument("--only-shards", type=int, default=None, help="so many of them, for a look (all)")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    given = parser.parse_args(arguments)
    names = [name for name in SCENARIOS if given.scenario in name]
    shards = range(given.shards if given.only_shards is None else min(given.only_shards, given.shards))
    began, rows = time.monotonic(), []
    with ProcessPoolExecutor(given.workers, max_tasks_per_child=1) as pool:
        for name in names:
            jobs = [pool.submit(explore_part, name, given.faults, (shard, given.shards)) for shard in shards]
            found: list[tuple[Found, int, str]] = []
            for job in as_completed(jobs):
                found.append(job.result())
                runs = sum(sum(one.runs) for one, _, _ in found)
                took_s = time.monotonic() - began
                _say(f"{took_s:7.0f} s  {name}: {len(found)} of {len(jobs)} parts, {runs:,} placements")
            rows.append(Row(name, added([one for one, _, _ in found]), sum(states for _, states, _ in found)))
            _say(*(problem for _, _, problem in found if problem))
    _say("", table(rows), "", f"{sum(sum(row.found.runs) for row in rows):,} placements", "")
    caught = [try_mutant(number) for number in range(len(MUTANTS))]
    _say(mutant_table(caught))
    return int(any(any(row.found.broken) for row in rows) or any(one[1] is None for one in caught))


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
