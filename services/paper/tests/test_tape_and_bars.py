"""Public history: aggregate trades by id and time, bars from trades."""

import json

import pytest

from phoenix95.paper.core.bars import BarFold, joined, kline, written
from phoenix95.paper.core.frames import AggTrade
from phoenix95.paper.core.source import ClosedBar
from phoenix95.paper.core.tape import BLOCK, Tape


def trade(a: int, ms: int | None = None, price: str = "10.50", q: str = "0.100", *, m: bool = False) -> AggTrade:
    ms = a * 10 if ms is None else ms
    return AggTrade(E=ms, a=a, s="X", p=price, q=q, f=a * 2, l=a * 2 + 1, T=ms, m=m)


def ids(rows: list[bytes]) -> list[int]:
    return [json.loads(row)["a"] for row in rows]


@pytest.fixture
def tape() -> Tape:
    """Ids 1 to 1200 at 10, 20, ... ms: two packed blocks and an open one, without 600 to 609."""
    tape = Tape()
    for a in range(1, 1211):
        if not 600 <= a < 610:
            tape.add(trade(a))
    return tape


def test_rows_are_what_the_exchange_answers(tape: Tape) -> None:
    assert json.loads(tape.from_id(3, 1)[0]) == {
        "a": 3, "p": "10.50", "q": "0.100", "f": 6, "l": 7, "T": 30, "m": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("first", "limit", "expected"),
    [
        (1, 3, [1, 2, 3]),
        (0, 2, [1, 2]),
        (499, 3, [499, 500, 501]),
        (598, 4, [598, 599, 610, 611]),  # a gap of ids is answered from its other side
        (605, 1, [610]),
        (1209, 10, [1209, 1210]),
        (1211, 10, []),
    ],
)
def test_by_id_across_blocks_and_gaps(tape: Tape, first: int, limit: int, expected: list[int]) -> None:
    assert ids(tape.from_id(first, limit)) == expected


def test_by_time_and_the_newest(tape: Tape) -> None:
    assert ids(tape.between(4990, 5020, 1000)) == [499, 500, 501, 502]
    assert ids(tape.between(0, 1 << 60, 2)) == [1, 2]
    assert ids(tape.latest(2)) == [1209, 1210]
    assert ids(tape.latest(2, end_ms=5015)) == [500, 501]
    assert len(tape.latest(1000)) == 1000


def test_it_forgets_the_oldest_beyond_its_bound() -> None:
    tape = Tape(keep=BLOCK * 2)
    for a in range(1, BLOCK * 5 + 1):
        tape.add(trade(a))
    assert ids(tape.from_id(1, 1)) == [BLOCK * 3 + 1]
    assert (tape.count, tape.last_id) == (BLOCK * 5, BLOCK * 5)


def test_a_minute_closes_with_the_first_trade_of_a_later_one() -> None:
    fold = BarFold()
    for one in (trade(1, 60_000, "10", "2"), trade(2, 90_000, "12", "1", m=True), trade(3, 119_999, "11", "1")):
        assert fold.add(one) is None
    closed = fold.add(trade(4, 180_000, "9", "1"))
    assert closed is not None
    assert kline(closed, 60_000, 2, 1) == [
        60_000, "10.00", "12.00", "10.00", "11.00", "4.0", 119_999, "43.00000000", 6, "3.0", "31.00000000", "0",
    ]  # fmt: skip
    assert fold.open is not None
    assert fold.open.open_ms == 180_000


def test_longer_bars_are_made_of_minutes() -> None:
    minutes = [ClosedBar(n * 60_000, n, n + 5, n - 5, n + 1, 10, 100, 3, 4, 40) for n in range(3, 11)]
    five = joined(minutes, 300_000)
    assert [(bar.open_ms, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in five] == [
        (0, 3, 9, -2, 5, 20),
        (300_000, 5, 14, 0, 10, 50),
        (600_000, 10, 15, 5, 11, 10),
    ]


@pytest.mark.parametrize(
    ("units", "digits", "text"),
    [(1_050_000_000, 2, "10.50"), (1_050_000_000, 0, "10"), (5, 8, "0.00000005"), (123, 8, "0.00000123")],
)
def test_scaled_numbers_are_written_with_their_places(units: int, digits: int, text: str) -> None:
    assert written(units, digits) == text
