"""Holes, gaps and seeds as plain functions."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoenix95.common.events import Gap, Seed
from phoenix95.common.ids import StreamId
from phoenix95.common.wire import tick_decoder
from phoenix95.feed.core.frames import AggTrade
from phoenix95.feed.core.history import Candle, Hole, gap_entry, hole_of, mended, seeds
from phoenix95.feed.core.note import Note, read_note, resumes, write_note

NOW = 1_721_347_200_000


def a_trade(number: int) -> AggTrade:
    at = NOW + number
    return AggTrade(event_ms=at, symbol="X", id=number, price="1", quantity="1", time_ms=at, buyer_is_maker=True)


@pytest.mark.parametrize(
    ("top_a", "goal", "hole"),
    [
        (10, 11, None),  # the next one waits
        (10, 10, None),
        (10, 0, None),  # nothing is known to be missing
        (10, 12, Hole(11, 12)),
        (10, 111, Hole(11, 111)),  # exactly as many as may be fetched
        (10, 112, Hole(12, 112)),  # one more: the oldest is given up
    ],
)
def test_a_hole_lies_between_the_top_and_the_goal_and_is_bounded(top_a: int, goal: int, hole: Hole | None) -> None:
    assert hole_of(top_a, goal, 100) == hole


@given(st.integers(0, 30), st.sets(st.integers(1, 60)))
def test_what_follows_the_top_is_contiguous_or_says_so(top_a: int, numbers: set[int]) -> None:
    last = top_a
    for entry in mended(top_a, [a_trade(number) for number in sorted(numbers, reverse=True)], 1):
        if entry.kind == "gap":
            gap = tick_decoder.decode(entry.d)
            assert isinstance(gap, Gap)
            assert (gap.first, gap.last) == (last + 1, entry.a)
            assert not numbers & set(range(gap.first, gap.last + 1))
        else:
            assert entry.a == last + 1 or last == 0
        last = entry.a
    assert last == max({top_a} | {number for number in numbers if number > top_a})


def test_a_gap_has_the_time_of_the_trade_behind_it() -> None:
    gap, trade = mended(5, [a_trade(9)], 1)
    assert (gap.kind, gap.a, gap.ms) == ("gap", 8, NOW + 9)
    assert (trade.kind, trade.a) == ("trade", 9)
    assert gap_entry(6, 8, NOW + 9) == gap


def test_seeds_are_the_last_closed_bars_in_order() -> None:
    candles = [Candle(at, at + 59_999, "1", "3", "0.5", "2", "10") for at in (0, 60_000, 120_000, 180_000)]
    rows = seeds([*reversed(candles), candles[0]], until_ms=240_000 - 1, count=2)
    assert [ms for ms, _ in rows] == [119_999, 179_999]
    seed = tick_decoder.decode(rows[0][1])
    assert isinstance(seed, Seed)
    assert (seed.open_time, seed.length_ms, seed.high) == (60_000, 60_000, "3")
    assert seeds(candles, 0, 9) == []


def test_a_note_survives_the_hash_and_a_foreign_text_is_none() -> None:
    note = Note(since=NOW, after="5-6")
    assert read_note(write_note(note)) == note
    assert read_note(b"{}") is None
    assert read_note(b"yes") is None
    assert read_note(msgspec.json.encode({"since": NOW, "later": 1})) == Note(since=NOW)


def test_a_stretch_is_resumed_only_where_the_stream_still_ends() -> None:
    note = Note(since=NOW, after="5-6")
    assert resumes(note, StreamId(5, 6))
    assert not resumes(note, StreamId(5, 7))
    assert not resumes(note, None)
    assert not resumes(Note(since=NOW), StreamId(0, 0))
