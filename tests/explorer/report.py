"""What was explored, as a table."""

from collections.abc import Iterable
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
