"""The price hash: the exchange's `p` is the change and `P` the percent, and old news does not replace new."""

from phoenix95.feed.core.frames import AggTrade, BookTicker, MarkPrice, Ticker
from phoenix95.feed.core.prices import PriceBoard

NOW = 1_721_347_200_000


def test_fields_name_what_is_known_and_nothing_else() -> None:
    board = PriceBoard("BTCUSDT")
    assert board.fields() == {"symbol": "BTCUSDT", "timestamp": "0"}
    board.show(
        Ticker(
            event_ms=NOW,
            symbol="BTCUSDT",
            change="-3.5",
            change_percent="-0.5",
            last="700",
            high="710",
            low="690",
            volume="9",
        )
    )
    assert board.fields() == {
        "symbol": "BTCUSDT",
        "price": "700",
        "change": "-3.5",
        "change_percent": "-0.5",
        "volume": "9",
        "high": "710",
        "low": "690",
        "timestamp": str(NOW),
    }


def test_a_trade_sets_the_price_and_the_newest_part_the_time() -> None:
    board = PriceBoard("BTCUSDT")
    for number, price in ((8, "701"), (7, "699")):  # the older one comes late
        board.show(
            AggTrade(
                event_ms=NOW, symbol="BTCUSDT", id=number, price=price, quantity="1", time_ms=NOW, buyer_is_maker=False
            )
        )
    board.show(MarkPrice(event_ms=NOW + 5, symbol="BTCUSDT", mark="700.5", funding="0.0001", next_funding_ms=NOW + 9))
    fields = board.fields()
    assert (fields["price"], fields["mark"], fields["funding"]) == ("701", "700.5", "0.0001")
    assert (fields["timestamp"], fields["next_funding_time"]) == (str(NOW + 5), str(NOW + 9))
    assert (fields["trade_time"], fields["mark_time"]) == (str(NOW), str(NOW + 5))


def test_an_older_quote_does_not_replace_a_newer_one() -> None:
    board = PriceBoard("BTCUSDT")
    for event_ms, bid in ((NOW, "10"), (NOW - 1, "9")):
        board.show(
            BookTicker(event_ms=event_ms, symbol="BTCUSDT", bid=bid, bid_quantity="1", ask="11", ask_quantity="1")
        )
    assert (board.fields()["bid"], board.fields()["book_time"]) == ("10", str(NOW))
