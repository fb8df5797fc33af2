"""Rates and lags from two looks at the streams."""

from collections.abc import Mapping, Sequence

import msgspec

from phoenix95.common.ids import StreamId


class SymbolLook(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a symbol's streams. Counts are of entries ever added; ids are None while a stream is empty.

    `engine_offset` is the last tick whose outputs the engine has committed.
    """

    ticks: int
    analyses: int
    replies: int
    tick_top: StreamId | None
    engine_offset: StreamId | None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look at all symbols, `at_s` seconds of the monotonic clock."""

    at_s: float
    symbols: Mapping[str, SymbolLook]


class SymbolFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol in `/api/metrics`. Lag is how far the engine is behind the tick stream, in ticks and exchange ms.

    None means that it cannot be said: nothing was traded yet, or the engine has not committed yet.
    """

    ticks: int
    ticks_per_s: float
    analyses: int
    replies: int
    last_tick: str | None
    lag_ticks: int | None
    lag_ms: int | None


class PipelineFigures(msgspec.Struct, frozen=True, kw_only=True):
    """All symbols together. `lag_ms` is the worst of them."""

    ticks: int
    ticks_per_s: float
    analyses: int
    analyses_per_min: float
    replies: int
    lag_ms: int | None


def figures(looks: Sequence[Look]) -> tuple[PipelineFigures, dict[str, SymbolFigures]]:
    """What the last look says, with rates over the whole span of `looks` (oldest first, at least one)."""
    first, last = looks[0], looks[-1]
    span_s = last.at_s - first.at_s
    symbols = {name: _symbol_figures(first.symbols.get(name), look, span_s) for name, look in last.symbols.items()}
    lags_ms = [figure.lag_ms for figure in symbols.values() if figure.lag_ms is not None]
    both = [(first.symbols[name], look) for name, look in last.symbols.items() if name in first.symbols]
    new_analyses = sum(max(0, look.analyses - before.analyses) for before, look in both)
    total = PipelineFigures(
        ticks=sum(figure.ticks for figure in symbols.values()),
        ticks_per_s=round(sum(figure.ticks_per_s for figure in symbols.values()), 1),
        analyses=sum(figure.analyses for figure in symbols.values()),
        analyses_per_min=round(60 * _per_second(new_analyses, span_s), 1),
        replies=sum(figure.replies for figure in symbols.values()),
        lag_ms=max(lags_ms, default=None),
    )
    return total, symbols


def _symbol_figures(before: SymbolLook | None, look: SymbolLook, span_s: float) -> SymbolFigures:
    # A stream that was deleted and begun anew counts from 0 again: no negative rates.
    new_ticks = max(0, look.ticks - before.ticks) if before is not None else 0
    lag_ticks, lag_ms = _lag(look.tick_top, look.engine_offset)
    return SymbolFigures(
        ticks=look.ticks,
        ticks_per_s=round(_per_second(new_ticks, span_s), 1),
        analyses=look.analyses,
        replies=look.replies,
        last_tick=None if look.tick_top is None else str(look.tick_top),
        lag_ticks=lag_ticks,
        lag_ms=lag_ms,
    )


def _lag(top: StreamId | None, offset: StreamId | None) -> tuple[int | None, int | None]:
    if top is None or offset is None:
        return None, None
    lag_ms = max(0, top.ms - offset.ms)
    # Ids of seeds and resumes end in 0 and count nothing; between two trades the ids are contiguous.
    if lag_ms and (top.seq == 0 or offset.seq == 0):
        return None, lag_ms
    return max(0, top.seq - offset.seq), lag_ms


def _per_second(count: int, span_s: float) -> float:
    return count / span_s if span_s > 0 else 0.0
