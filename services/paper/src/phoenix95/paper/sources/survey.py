"""One reading of the recordings before the market opens: which symbols, which rules, how much is junk."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from phoenix95.common.errors import ConfigError
from phoenix95.paper.core.frames import AggTrade, BookTicker, Frame, JunkError, TradeFrame, read_line
from phoenix95.paper.core.specs import Spec, recorded_spec
from phoenix95.paper.sources.lines import Lines


class Survey(NamedTuple):
    """`first_ms` and `last_ms` are event times; `native` symbols bring their own aggregate trades.

    `files` tells for each file what was found: frames by kind, `junk`, `other`, and `damage` when there is some.
    """

    specs: Mapping[str, Spec]
    native: frozenset[str]
    first_ms: int
    last_ms: int
    files: Mapping[str, Mapping[str, int | str]]


class _Seen:
    """What the numbers of one symbol look like. Of the many texts only the distinct fractions are kept."""

    def __init__(self, first: str) -> None:
        self.first = first
        self.price_fractions: set[str] = set()
        self.quantity_fractions: set[str] = set()
        self.traded = False
        self.native = False
        self.first_ms = 1 << 62
        self.last_ms = 0

    def note(self, frame: Frame) -> None:
        body = frame.body
        self.first_ms = min(self.first_ms, body.E)
        self.last_ms = max(self.last_ms, body.E)
        if isinstance(body, BookTicker):
            self.price_fractions.update((_fraction(body.b), _fraction(body.a)))
        else:
            self.traded = True
            self.native = self.native or isinstance(body, AggTrade)
            self.price_fractions.add(_fraction(body.p))
            self.quantity_fractions.add(_fraction(body.q))


def survey(paths: Sequence[Path], wanted: Sequence[str] = ()) -> Survey:
    """Read all files once. Raises ConfigError when one has no market frames or a wanted symbol is in none."""
    seen: dict[str, _Seen] = {}
    files: dict[str, Mapping[str, int | str]] = {}
    for path in paths:
        counts = _read(path, seen)
        if not any(counts.get(kind) for kind in ("trade", "aggTrade", "bookTicker")):
            raise ConfigError(f"recording {path}: no market frames in it ({_told(counts)})")
        files[path.name] = counts
    traded = {symbol: found for symbol, found in seen.items() if found.traded}
    if not traded:
        raise ConfigError(f"no trades in the recordings {', '.join(str(path) for path in paths)}")
    for symbol in wanted:
        if symbol not in traded:
            raise ConfigError(f"P95_PAPER_SYMBOLS: {symbol} is in no recording; there are {', '.join(sorted(traded))}")
    chosen = {symbol: found for symbol, found in sorted(traded.items()) if not wanted or symbol in wanted}
    specs = {
        symbol: recorded_spec(symbol, found.price_fractions, found.quantity_fractions, found.first)
        for symbol, found in chosen.items()
    }
    return Survey(
        specs=specs,
        native=frozenset(symbol for symbol, found in chosen.items() if found.native),
        first_ms=min(found.first_ms for found in chosen.values()),
        last_ms=max(found.last_ms for found in chosen.values()),
        files=files,
    )


def _read(path: Path, seen: dict[str, _Seen]) -> dict[str, int | str]:
    counts: Counter[str] = Counter()
    lines = Lines(path)
    for line in lines:
        try:
            frame = read_line(line)
        except JunkError:
            counts["junk"] += 1
            continue
        if frame is None:
            counts["other"] += 1
            continue
        counts[frame.kind] += 1
        body = frame.body
        if body.s not in seen:
            seen[body.s] = _Seen(body.p if isinstance(body, AggTrade | TradeFrame) else body.b)
        seen[body.s].note(frame)
    lines.close()
    return {**counts, **({"damage": lines.damage} if lines.damage else {})}


def _fraction(text: str) -> str:
    return text.partition(".")[1] + text.partition(".")[2]


def _told(counts: Mapping[str, int | str]) -> str:
    return ", ".join(f"{kind}: {count}" for kind, count in counts.items()) or "it is empty"
