"""How the audit looks: a table that fits 100 columns, a bar while it works."""

import sys
import textwrap
from typing import Final

from phoenix95.executor.audit.run import Line, Report
from phoenix95.executor.offline.table import shown, table

WIDTH: Final = 98
MARKS: Final = {"ok": "✓ ok", "violation": "✗ VIOLATION", "not checked": "? not checked", "skipped": "– skipped"}
BAR: Final = 24
TITLE: Final = 44
SHOWN: Final = 10


def as_text(report: Report) -> str:
    """The table, then the differences (the first of each check), then the anchors."""
    many = len(report.anchors) > 1
    columns = (*(("account",) if many else ()), "check", "counted", "verdict")
    rows = [
        (*((line.account,) if many else ()), line.title, line.checked if line.verdict in ("ok", "violation") else "-",
         MARKS[line.verdict])
        for line in report.lines
    ]  # fmt: skip
    parts = ["\n" + table(columns, rows, numbers=("counted",))]
    notes = [_wrapped(f"{line.title}: {shown(line.note)}") for line in report.lines if line.note and not _anchor(line)]
    if notes:
        parts.append("\n" + "\n".join(notes) + "\n")
    for line in report.lines:
        if line.differences:
            left = len(line.differences) - SHOWN
            more = [f"   … and {left} more (--json tells all)"] if left > 0 else []
            words = [_wrapped(shown(one), "   ") for one in line.differences[:SHOWN]]
            parts.append("\n".join(("", f" VIOLATION: {line.title} does not hold", *words, *more, "")))
    parts.append("\n" + "".join(f" anchor of account {name}: {head}\n" for name, head in report.anchors.items()))
    return "".join(parts)


def progress(title: str, done: int, of: int) -> None:
    """One line on a terminal's stderr, written over itself; nothing elsewhere."""
    if not sys.stderr.isatty():
        return
    filled = BAR * done // max(1, of)
    sys.stderr.write(f"\r {title[:TITLE]:<{TITLE}} [{'█' * filled}{'·' * (BAR - filled)}] {done}/{of}\x1b[K")
    sys.stderr.flush()


def clear() -> None:
    """Take the bar away."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def _anchor(line: Line) -> bool:
    return line.note.startswith("anchor ")


def _wrapped(text: str, indent: str = " ") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")
