from collections.abc import Mapping
from decimal import Decimal

import pytest

from phoenix95.executor.watching import last_trade


def test_price_and_time_of_the_last_trade() -> None:
    assert last_trade({"price": "100.5", "trade_time": "7", "mark": "1"}) == (Decimal("100.5"), 7)


@pytest.mark.parametrize(
    "fields",
    [
        None,
        {},
        {"price": "100.5"},
        {"trade_time": "7"},
        {"price": "much", "trade_time": "7"},
        {"price": "nan", "trade_time": "7"},
        {"price": "0", "trade_time": "7"},
        {"price": "1", "trade_time": "soon"},
    ],
)
def test_what_tells_no_price(fields: Mapping[str, str] | None) -> None:
    assert last_trade(fields) is None
