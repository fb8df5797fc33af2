"""What was explored, as a table."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.explorer.explore import Found


class Row(NamedTuple):
    """One scenario: what was found, and how many distinct states that took."""

    scenario: str
    found: Found
    states: int


def table(rows: Iterable[Row]) -> str:
    """A Markdown table, a line for each scenario and number of faults. Times are exchange ms."""
    lines = [
        "| scenario | faults | runs | distinct states | longest without a stop, ms | violations |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        last = len(row.found.runs) - 1
        for faults, runs in enumerate(row.found.runs):
            states = f"{row.states:,}" if faults == last else ""
            worst, broken = row.found.worst_ms[faults], row.found.broken[faults]
            lines.append(f"| {row.scenario} | {faults} | {runs:,} | {states} | {worst:,} | {broken:,} |")
    return "\n".join(lines)


def added(parts: Sequence[Found]) -> Found:
    """What the shards of one scenario found, together. The run without a fault is in each of them, and counts once."""
    numbers = range(len(parts[0].runs))
    return Found(
        tuple(1 if n == 0 else sum(one.runs[n] for one in parts) for n in numbers),
        tuple(max(one.worst_ms[n] for one in parts) for n in numbers),
        tuple(max(one.broken[n] for one in parts) if n == 0 else sum(one.broken[n] for one in parts) for n in numbers),
        {},
        next((one.first for one in parts if one.first is not None), None),
    )


def mutant_table(caught: Iterable[tuple[str, str | None, str]]) -> str:
    """A Markdown table of the mutants: what each broke first, and the placement that showed it."""
    lines = ["| mutant | first violation | under |", "|---|---|---|"]
    lines += [f"| {name} | {problem or 'NOT FOUND'} | {placed} |" for name, problem, placed in caught]
    return "\n".join(lines)
