"""What waits between the socket and the stream: order, bounds, and nothing forgotten before it is stored."""

from hypothesis import given
from hypothesis import strategies as st

from phoenix95.common.events import Trade
from phoenix95.common.ids import StreamId
from phoenix95.common.wire import tick_decoder
from phoenix95.feed.core.frames import AggTrade, BookTicker, MarkPrice
from phoenix95.feed.core.line import Line
from phoenix95.feed.core.prices import BOOK_AGE_MAX_MS, PriceBoard

NOW = 1_721_347_200_000


def a_trade(number: int, time_ms: int | None = None) -> AggTrade:
    at = NOW + 10 * number if time_ms is None else time_ms
    return AggTrade(
        event_ms=at, symbol="BTCUSDT", id=number, price="1.5", quantity="2", time_ms=at, buyer_is_maker=False
    )


def a_line(limit: int = 100) -> tuple[Line, PriceBoard]:
    return Line("BTCUSDT", limit), PriceBoard("BTCUSDT")


def offered(line: Line, board: PriceBoard, *numbers: int) -> list[bool]:
    return [line.offer(a_trade(number), board, 1) for number in numbers]


def test_a_batch_stays_until_the_stream_says_that_it_is_stored() -> None:
    line, board = a_line()
    offered(line, board, 5, 6, 7)
    assert [entry.a for entry in line.batch(2)] == [5, 6]
    assert [entry.a for entry in line.batch(2)] == [5, 6]
    line.stored(StreamId(NOW, 6))
    assert [entry.a for entry in line.batch(2)] == [7]
    assert line.top_a == 6


def test_what_the_stream_has_is_not_taken_again() -> None:
    line, board = a_line()
    line.stored(StreamId(NOW + 1000, 6))
    assert offered(line, board, 5, 6, 7) == [False, False, True]
    assert line.foreign_id is None


def test_a_younger_trade_with_a_passed_id_is_another_market() -> None:
    line, board = a_line()
    line.stored(StreamId(NOW, 500))
    assert not line.offer(a_trade(499, NOW), board, 1)
    assert line.foreign_id is None
    assert not line.offer(a_trade(3, NOW + 1), board, 1)
    assert line.foreign_id == 3


def test_a_full_line_refuses_the_newest_and_counts_them() -> None:
    line, board = a_line(limit=2)
    assert offered(line, board, 1, 2, 3, 4) == [True, True, False, False]
    assert (len(line), line.refused) == (2, 2)
    assert [entry.a for entry in line.batch(9)] == [1, 2]


@given(st.permutations(list(range(1, 12))), st.lists(st.integers(1, 11)))
def test_any_order_and_any_repeats_come_out_once_and_in_order(order: list[int], repeats: list[int]) -> None:
    line, board = a_line()
    offered(line, board, *order, *repeats)
    assert [entry.a for entry in line.batch(99)] == list(range(1, 12))


def test_only_the_first_trade_of_a_second_carries_the_market() -> None:
    line, board = a_line()
    board.show(BookTicker(event_ms=NOW, symbol="BTCUSDT", bid="1", bid_quantity="1", ask="2", ask_quantity="1"))
    board.show(MarkPrice(event_ms=NOW, symbol="BTCUSDT", mark="1.5", funding="-0.0001", next_funding_ms=NOW))
    for number, time_ms in enumerate((NOW + 1, NOW + 999, NOW + 1000, NOW + 900, NOW + 1999), start=1):
        line.offer(a_trade(number, time_ms), board, 1)
    ticks = [tick_decoder.decode(entry.d) for entry in line.batch(9)]
    assert [(tick.bid, tick.ask, tick.mark, tick.funding) for tick in ticks if isinstance(tick, Trade)] == [
        ("1", "2", "1.5", "-0.0001"),
        (None, None, None, None),
        ("1", "2", "1.5", "-0.0001"),
        (None, None, None, None),
        (None, None, None, None),
    ]


def test_an_old_quote_is_not_carried() -> None:
    line, board = a_line()
    board.show(BookTicker(event_ms=NOW, symbol="BTCUSDT", bid="1", bid_quantity="1", ask="2", ask_quantity="1"))
    line.offer(a_trade(1, NOW + BOOK_AGE_MAX_MS), board, 1)
    line.offer(a_trade(2, NOW + BOOK_AGE_MAX_MS + 1000), board, 1)
    bids = [tick.bid for entry in line.batch(9) if isinstance(tick := tick_decoder.decode(entry.d), Trade)]
    assert bids == ["1", None]
