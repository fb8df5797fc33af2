from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoenix95.executor.core.sizing import Rules, size

D = Decimal
BTC = Rules(
    symbol="BTCUSDT",
    trading=True,
    price_tick=D("0.1"),
    quantity_step=D("0.001"),
    quantity_min=D("0.001"),
    quantity_max=D(120),
    notional_min=D(100),
)


def test_rounds_down_to_the_step() -> None:
    sized = size(fraction=D("0.02"), equity=D(10_000), price=D(60_001), rules=BTC, fraction_max=D("0.02"))
    assert (sized.quantity, sized.raised, sized.problem) == (D("0.003"), False, None)


@pytest.mark.parametrize(
    ("equity", "quantity"),
    [
        (D(10_000), D("0.002")),  # 120 of notional is within 200
        (D(6_000), D("0.002")),  # exactly on the limit
        (D("5999.99"), D(0)),  # one step past it
    ],
)
def test_is_raised_to_the_minimum_only_within_the_limit(equity: Decimal, quantity: Decimal) -> None:
    sized = size(fraction=D("0.005"), equity=equity, price=D(60_000), rules=BTC, fraction_max=D("0.02"))
    assert sized.quantity == quantity
    assert (sized.problem is None) == (quantity > 0)
    assert sized.raised == (quantity > 0)


@pytest.mark.parametrize(("fraction", "equity", "price"), [("0", "1", "1"), ("1", "0", "1"), ("1", "1", "0")])
def test_nothing_fits_without_fraction_equity_or_price(fraction: str, equity: str, price: str) -> None:
    sized = size(fraction=D(fraction), equity=D(equity), price=D(price), rules=BTC, fraction_max=D(1))
    assert sized.quantity == 0
    assert sized.problem is not None


def test_never_exceeds_the_largest_order() -> None:
    sized = size(fraction=D(1), equity=D(10**9), price=D(100), rules=BTC, fraction_max=D(1))
    assert sized.quantity == BTC.quantity_max


@given(
    fraction=st.decimals("0.0001", "0.02", places=4),
    equity=st.decimals("1", "1000000", places=2),
    price=st.decimals("0.01", "200000", places=2),
)
def test_what_is_sized_is_allowed_by_exchange_and_limit(fraction: Decimal, equity: Decimal, price: Decimal) -> None:
    sized = size(fraction=fraction, equity=equity, price=price, rules=BTC, fraction_max=D("0.02"))
    if sized.problem is not None:
        return
    assert sized.quantity % BTC.quantity_step == 0
    assert BTC.quantity_min <= sized.quantity <= BTC.quantity_max
    assert sized.quantity * price >= BTC.notional_min
    assert sized.quantity * price <= D("0.02") * equity
