"""What `up` says of a service that ended: the reason, not the last line."""

from pathlib import Path

import pytest

from phoenix95.stack.last_words import complaint, last_lines

STARTED = '{"event": "started", "level": "info"}'
WRONG = '{"error": "recording x: no market frames in it", "event": "misconfigured", "level": "error"}'
STOPPED = '{"exit_code": 2, "event": "stopped", "level": "info"}'


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([STARTED, WRONG, STOPPED], "recording x: no market frames in it"),
        (["phoenix95 engine: P95_ENGINE_BAR_MS: expected int"], "phoenix95 engine: P95_ENGINE_BAR_MS: expected int"),
        ([STARTED, "Killed", STOPPED], "Killed"),
        ([STARTED, STOPPED], STOPPED),
        ([], "it left no log"),
    ],
)
def test_the_reason_is_found_behind_later_lines(tmp_path: Path, lines: list[str], said: str) -> None:
    log = tmp_path / "x.log"
    log.write_text("\n".join(lines))
    assert complaint(log) == said


def test_no_log_is_said_too(tmp_path: Path) -> None:
    assert complaint(tmp_path / "none") == last_lines(tmp_path / "none") == "it left no log"
