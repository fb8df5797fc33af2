"""What the gates read beside the analysis: the price hash, and where liquidation lies."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoenix95.executor.core.intents import PositionSide
from phoenix95.executor.core.liquidation import bracket_at, liquidation_price
from phoenix95.executor.core.market import Market, market_of
from phoenix95.executor.core.sizing import Bracket

D = Decimal
# BTCUSDT's first tiers; `cum` makes the maintenance margin continuous
TIERS = (
    Bracket(leverage=125, floor=D(0), cap=D(300_000), rate=D("0.004"), cum=D(0)),
    Bracket(leverage=75, floor=D(300_000), cap=D(3_000_000), rate=D("0.005"), cum=D(300)),
    Bracket(leverage=20, floor=D(3_000_000), cap=D(30_000_000), rate=D("0.025"), cum=D(60_300)),
)


def test_the_hash_as_the_feed_writes_it() -> None:
    fields = {
        "symbol": "BTCUSDT", "price": "1000.5", "trade_time": "7", "bid": "1000", "ask": "1001", "book_time": "8",
        "mark": "1000.2", "mark_time": "9", "timestamp": "9",
    }  # fmt: skip
    found = market_of(fields)
    assert found == Market(
        last=D("1000.5"), last_ms=7, bid=D(1000), ask=D(1001), book_ms=8, mark=D("1000.2"), mark_ms=9
    )
    assert found.lowest == D(1000)


@pytest.mark.parametrize("fields", [{}, {"price": "NaN"}, {"price": "-1"}, {"price": "0", "trade_time": "-7"}])
def test_what_is_no_price_is_not_known(fields: dict[str, str]) -> None:
    assert market_of(fields) == Market()
    assert market_of(fields).lowest is None


@given(
    side=st.sampled_from(["LONG", "SHORT"]),
    quantity=st.decimals("0.001", "90", places=3),
    leverage=st.integers(2, 125),
    entry=st.decimals("1000", "120000", places=1),
)
def test_at_liquidation_the_margin_is_exactly_the_maintenance_margin(
    side: PositionSide, quantity: Decimal, leverage: int, entry: Decimal
) -> None:
    cover = quantity * entry / leverage
    price = liquidation_price(side, quantity, entry, cover, TIERS)
    assert price is not None
    tier = bracket_at(TIERS, quantity * price)
    assert tier is not None
    result = quantity * (price - entry if side == "LONG" else entry - price)
    assert abs(cover + result - (quantity * price * tier.rate - tier.cum)) < D("1e-12")


def test_what_is_fully_covered_is_never_liquidated_and_what_no_tier_holds_cannot_be_told() -> None:
    assert liquidation_price("LONG", D(1), D(1_000), D(1_000), TIERS) == 0
    assert liquidation_price("SHORT", D(1), D(40_000_000), D(100), TIERS) is None
    assert liquidation_price("LONG", D(1), D(1_000), D(100), ()) is None
    assert bracket_at(TIERS, D(300_000)) == TIERS[1]
    assert bracket_at(TIERS, D(30_000_000)) is None
