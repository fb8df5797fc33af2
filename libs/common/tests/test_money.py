"""Exact numbers: rounding never gives more than was asked for, and text survives."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoenix95.common.money import SCALE, exact, floor_to, plain, round_to, scaled

amounts = st.decimals(min_value=0, max_value=10**9, places=8)
steps = st.sampled_from([Decimal(text) for text in ("0.00000001", "0.001", "0.01", "0.10", "1", "5", "0.25")])


@pytest.mark.parametrize(("text", "number"), [("1.50", "1.50"), (" 2 ", "2"), (3, "3"), ("-1e3", "-1000")])
def test_a_number_is_read_exactly(text: str | int, number: str) -> None:
    assert exact(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "x", "NaN", "sNaN", "Infinity", "-inf", "1,5", "0x10"])
def test_what_is_no_finite_number_is_a_value_error_that_shows_it(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        exact(text)


@pytest.mark.parametrize("value", [None, 1.5j])
def test_what_is_no_text_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        exact(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "step", "floored", "rounded"),
    [
        ("1.2349", "0.001", "1.234", "1.235"),
        ("1.234", "0.001", "1.234", "1.234"),
        ("1.2345", "0.001", "1.234", "1.235"),  # a half goes up
        ("0.0009", "0.001", "0", "0.001"),
        ("7", "5", "5", "5"),
        ("-1.2349", "0.001", "-1.234", "-1.235"),  # towards zero; a price never is negative
    ],
)
def test_quantities_are_cut_and_prices_rounded(value: str, step: str, floored: str, rounded: str) -> None:
    assert floor_to(Decimal(value), Decimal(step)) == Decimal(floored)
    assert round_to(Decimal(value), Decimal(step)) == Decimal(rounded)


@given(amounts, steps)
def test_a_cut_quantity_is_the_largest_multiple_that_is_not_more(value: Decimal, step: Decimal) -> None:
    floored = floor_to(value, step)
    assert floored % step == 0
    assert floored <= value < floored + step


@given(amounts, steps)
def test_a_rounded_price_is_at_most_half_a_step_away(value: Decimal, step: Decimal) -> None:
    rounded = round_to(value, step)
    assert rounded % step == 0
    assert abs(rounded - value) <= step / 2


@pytest.mark.parametrize(
    ("value", "text"),
    [("1.500", "1.5"), ("100", "100"), ("1E+3", "1000"), ("0E-8", "0"), ("1e-8", "0.00000001"), ("-0.10", "-0.1")],
)
def test_a_number_is_written_plainly(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_a_plain_number_reads_back(value: Decimal) -> None:
    text = plain(value)
    assert "E" not in text
    assert Decimal(text) == value


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("1", SCALE),
        ("0.00000001", 1),
        ("64123.40", 6_412_340_000_000),
        ("0.123456789", 12_345_678),
        ("0", 0),
        ("5.", 5 * SCALE),
    ],
)
def test_a_price_is_an_integer_of_1e_8_units(text: str, units: int) -> None:
    assert scaled(text) == units


@given(amounts)
def test_scaled_units_are_exact(value: Decimal) -> None:
    assert Decimal(scaled(plain(value))) / SCALE == value


@pytest.mark.parametrize("text", ["", "x", "1e3", "NaN", "1.2.3", "--1", "-1", "+1", "1_0", " 1", "1.-5", "-0.5", "٣"])
def test_what_is_no_plain_decimal_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="no plain decimal"):
        scaled(text)
