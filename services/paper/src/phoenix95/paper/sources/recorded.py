"""Recordings as a market: files are read as far ahead as the order of frames needs, and no further."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from phoenix95.paper.core.emission import Emission
from phoenix95.paper.core.frames import JunkError, read_line
from phoenix95.paper.core.replay import REORDER_MS, Replay
from phoenix95.paper.core.source import ClosedBar
from phoenix95.paper.core.specs import Spec
from phoenix95.paper.sources.lines import Lines
from phoenix95.paper.sources.survey import Survey, survey

AHEAD_MS: Final = REORDER_MS + 2000  # beyond the reordering, what closes an aggregate trade
STEP_MS: Final = 250  # how much is read at once


class RecordedSource:
    """Plays files of recorded frames. Their event times are the market's time; nothing is stamped anew."""

    def __init__(self, paths: Sequence[Path], symbols: Sequence[str] = ()) -> None:
        """Read the files once for what they hold. Raises ConfigError that names a file or symbol."""
        self._paths = tuple(paths)
        self.survey: Survey = survey(self._paths, symbols)
        self._replay = Replay(frozenset(self.survey.specs), self.survey.native)
        self._files = [_File(path) for path in self._paths]
        self._read_ms = 0
        self._ended = False

    @property
    def name(self) -> str:
        return "recorded:" + ",".join(sorted(path.name for path in self._paths))

    @property
    def specs(self) -> Mapping[str, Spec]:
        return self.survey.specs

    @property
    def origin_ms(self) -> int:
        return self.survey.first_ms - 1  # before the first event, which somebody is to see

    @property
    def waits(self) -> bool:
        return True

    def due(self, until_ms: int, at_most: int) -> list[Emission]:
        found: list[Emission] = []
        while len(found) < at_most:
            emission = self._replay.pop(min(until_ms, self._safe_ms()))
            if emission is not None:
                found.append(emission)
            elif self._ended or self._safe_ms() >= until_ms:
                break
            else:
                self._read_on()
        return found

    def next_ms(self) -> int | None:
        while not self._ended and (self._replay.next_ms() or self._safe_ms() + 1) > self._safe_ms():
            self._read_on()
        return self._replay.next_ms()

    def history(self, symbol: str) -> Sequence[ClosedBar]:
        return ()

    def snapshots(self) -> Sequence[tuple[str, int, bytes]]:
        return ()

    def resume(self, states: Mapping[str, tuple[int, bytes]]) -> None:
        if states:
            raise ValueError("a recording is read again from its beginning")

    def force(self, symbol: str, price: Decimal, start_ms: int, until_ms: int, *, again: bool = False) -> int:
        raise ValueError("what was recorded cannot be moved")

    def notes(self) -> Sequence[Mapping[str, int | str]]:
        return [{"file": name, **counts} for name, counts in self.survey.files.items()]

    def close(self) -> None:
        for file in self._files:
            file.close()

    def _safe_ms(self) -> int:
        """Up to here the order is final."""
        return 1 << 62 if self._ended else self._read_ms - AHEAD_MS

    def _read_on(self) -> None:
        """Read every file that is behind the furthest wanted moment a little further."""
        target = max(self._read_ms, self.survey.first_ms) + STEP_MS
        for file in self._files:
            file.read_to(target, self._replay)
        self._files = [file for file in self._files if not file.ended]
        if self._files:
            self._read_ms = max(target, min(file.frontier_ms for file in self._files))
            self._replay.settle(self._read_ms)
        else:
            self._ended = True
            self._replay.settle(None)


class _File:
    """One file: how far it was read, and each stream's time in it."""

    def __init__(self, path: Path) -> None:
        self._open = Lines(path)
        self._lines = iter(self._open)
        self._stream_ms: dict[tuple[str, str], int] = {}
        self.frontier_ms = 0
        self.ended = False

    def read_to(self, target_ms: int, replay: Replay) -> None:
        """Hand over frames until one is at or beyond `target_ms`, or the file ends."""
        while not self.ended and self.frontier_ms < target_ms:
            line = next(self._lines, None)
            if line is None:
                self.ended = True
                self._open.close()
                return
            try:
                frame = read_line(line)
            except JunkError:  # counted and reported by the survey
                continue
            if frame is None:
                continue
            stream = (frame.kind, frame.body.s)
            stream_ms = self._stream_ms[stream] = max(frame.body.E, self._stream_ms.get(stream, 0))
            self.frontier_ms = max(self.frontier_ms, stream_ms)
            replay.add(frame, stream_ms)

    def close(self) -> None:
        self._open.close()
