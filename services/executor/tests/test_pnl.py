from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoenix95.executor.core.group import Fill
from phoenix95.executor.core.pnl import percent_of, result, unrealized

D = Decimal


def fill(side: Any, quantity: str, price: str, *, fee: str = "0", asset: str = "USDT") -> Fill:
    return Fill(
        trade_id=1,
        order_id="1",
        symbol="BTCUSDT",
        side=side,
        position_side="LONG",
        price=D(price),
        quantity=D(quantity),
        fee=D(fee),
        fee_asset=asset,
        realized_pnl=D(0),
        time_ms=0,
    )


def test_a_long_earns_the_rise_less_both_fees() -> None:
    made = result([fill("BUY", "2", "100", fee="0.1"), fill("SELL", "2", "110", fee="0.11")], "LONG")
    assert (made.gross, made.fees, made.realized, made.size) == (D(20), D("0.21"), D("19.79"), D(0))


def test_a_short_earns_the_fall() -> None:
    made = result([fill("SELL", "1", "100"), fill("BUY", "1", "90")], "SHORT")
    assert (made.gross, made.entry_price, made.exit_price) == (D(10), D(100), D(90))


def test_a_partial_exit_earns_on_its_part_only() -> None:
    made = result([fill("BUY", "1", "100"), fill("BUY", "1", "120"), fill("SELL", "1", "115")], "LONG")
    assert (made.entry_price, made.gross, made.size) == (D(110), D(5), D(1))


def test_fees_in_another_asset_are_kept_apart() -> None:
    made = result([fill("BUY", "1", "100", fee="0.001", asset="BNB")], "LONG")
    assert (made.fees, made.fees_other, made.realized) == (D(0), {"BNB": D("0.001")}, D(0))


@pytest.mark.parametrize(("side", "expected"), [("LONG", D(-10)), ("SHORT", D(10))])
def test_unrealised_follows_the_side(side: Any, expected: Decimal) -> None:
    assert unrealized(D(2), D(100), D(95), side) == expected


def test_a_share_of_nothing_is_nothing() -> None:
    assert percent_of(D(5), D(0)) == 0


prices = st.integers(1, 10**6).map(lambda cents: D(cents) / 100)


@given(st.lists(st.tuples(prices, prices), min_size=1, max_size=20))
def test_long_and_short_of_the_same_trades_sum_to_zero(pairs: list[tuple[Decimal, Decimal]]) -> None:
    long = result([one for a, b in pairs for one in (fill("BUY", "1", str(a)), fill("SELL", "1", str(b)))], "LONG")
    short = result([one for a, b in pairs for one in (fill("SELL", "1", str(a)), fill("BUY", "1", str(b)))], "SHORT")
    assert abs(long.gross + short.gross) < D("1e-15")


def test_a_closed_trade_leaves_no_dust_of_a_division() -> None:
    made = result([fill("BUY", "0.1", "100.1"), fill("BUY", "0.2", "100.3"), fill("SELL", "0.3", "101")], "LONG")
    assert str(made.gross) == "0.23"
