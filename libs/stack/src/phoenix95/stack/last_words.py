"""What a process said before it ended, as one line for an error message."""

from pathlib import Path
from typing import Final

import msgspec

LINES: Final = 3
_COMPLAINTS: Final = frozenset({"error", "critical"})


class _Line(msgspec.Struct):
    """What matters of a service's log line."""

    event: str
    level: str = ""
    error: str | None = None


def last_lines(log: Path, count: int = LINES) -> str:
    """The end of a log."""
    return " | ".join(_lines(log)[-count:]) or "it left no log"


def complaint(log: Path) -> str:
    """Why a service ended: its last line of level error, or the last that is no log line, else just the last."""
    lines = _lines(log)
    for line in reversed(lines):
        try:
            said = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError:
            return line
        if said.level in _COMPLAINTS:
            return said.error or said.event
    return lines[-1] if lines else "it left no log"


def _lines(log: Path) -> list[str]:
    try:
        return [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return []
