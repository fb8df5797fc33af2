"""Orders, positions and money, on an exchange in memory."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.position import Position, filled

D = Decimal


def code_of(call: Callable[[], Any]) -> int:
    with pytest.raises(RefusedError) as refused:
        call()
    return refused.value.code


def test_buyers_pay_the_ask_sellers_get_the_bid_and_both_the_fee(floor: Any) -> None:
    bought = floor.order("BUY", "2")
    assert (bought.status, bought.avg_price, bought.executed_qty) == ("FILLED", "100.10000", "2.000")
    floor.quote("110.00", "110.10")
    sold = floor.order("SELL", "2")
    assert sold.avg_price == "110.00000"
    fees = D("0.0005") * (D("200.20") + D("220.00"))
    assert floor.exchange.account.wallet == D(10000) + D("19.80") - fees
    assert list(floor.exchange.account.held()) == []


def test_every_fill_is_told_and_remembered(floor: Any) -> None:
    order = floor.order("BUY", "2", newClientOrderId="mine-1")
    new, trade = floor.told("ORDER_TRADE_UPDATE")
    assert (new["o"]["x"], trade["o"]["x"], trade["o"]["X"]) == ("NEW", "TRADE", "FILLED")
    assert (trade["o"]["c"], trade["o"]["L"], trade["o"]["n"]) == ("mine-1", "100.10", "0.10010000")
    (update,) = floor.told("ACCOUNT_UPDATE")
    assert (update["a"]["m"], update["a"]["P"][0]["pa"], update["a"]["P"][0]["ep"]) == ("ORDER", "2", "100.10000000")
    assert floor.store.order("BTCUSDT", None, "mine-1") == order
    (fill,) = floor.store.fills("BTCUSDT", order_id=order.order_id, first_id=None, start_ms=0, end_ms=1 << 60, limit=9)
    assert (fill.commission, fill.commission_asset, fill.buyer) == ("0.10010000", "USDT", True)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"symbol": "NOPEUSDT"}, -1121),
        ({"symbol": ""}, -1102),
        ({"side": "HOLD"}, -1117),
        ({"type": "LIMITED"}, -1116),
        ({"type": "STOP_MARKET"}, -4120),
        ({"quantity": ""}, -1102),
        ({"quantity": "two"}, -1102),
        ({"quantity": "NaN"}, -1102),
        ({"quantity": "0"}, -4003),
        ({"quantity": "-1"}, -4003),
        ({"quantity": "1.0005"}, -1111),
        ({"quantity": "1000"}, -4005),
        ({"quantity": "0.999"}, -4164),  # 99.9999 of quote currency; 100 is the least
        ({"quantity": "99"}, None),
        ({"price": "100"}, -1106),
        ({"positionSide": "LONG"}, -4061),
        ({"positionSide": "UP"}, -1130),
        ({"reduceOnly": "true"}, -2022),
        ({"reduceOnly": "perhaps"}, -1130),
        ({"newClientOrderId": "bad id!"}, -4015),
        ({"newClientOrderId": "x" * 37}, -4015),
    ],
)
def test_what_an_order_may_say(floor: Any, params: dict[str, str], code: int | None) -> None:
    def order() -> Any:
        return floor.order(**{"side": "BUY", "quantity": "2", **params})

    if code is None:
        assert order().status == "FILLED"
    else:
        assert code_of(order) == code
        assert not list(floor.exchange.account.held())


def test_an_order_without_enough_margin_is_refused_and_one_just_within_is_not(floor: Any) -> None:
    floor.exchange.set_leverage("ETHUSDT", 1)
    floor.quote("99.99", "100.00", "ETHUSDT")
    assert code_of(lambda: floor.order("BUY", "99.951", symbol="ETHUSDT")) == -2019  # with the fee 10000.1
    assert floor.order("BUY", "99.950", symbol="ETHUSDT").status == "FILLED"


def test_leverage_caps_the_notional_of_a_position(floor: Any) -> None:
    floor.exchange.set_leverage("BTCUSDT", 125)  # up to 50,000
    for _ in range(5):
        floor.order("BUY", "99")
    assert code_of(lambda: floor.order("BUY", "5")) == -2027
    assert floor.order("BUY", "4").status == "FILLED"


def test_leverage_is_checked_and_divides_the_margin(floor: Any) -> None:
    assert code_of(lambda: floor.exchange.set_leverage("BTCUSDT", 126)) == -4028
    assert code_of(lambda: floor.exchange.set_leverage("BTCUSDT", 0)) == -4028
    floor.exchange.set_leverage("BTCUSDT", 10)
    floor.order("BUY", "50")
    assert floor.exchange.account.figures(floor.exchange.mark_of).initial == D("50") * D("100.05") / 10


def test_without_a_quote_nothing_can_be_filled(floor: Any) -> None:
    assert code_of(lambda: floor.order("BUY", "1", symbol="ETHUSDT")) == -4131


def test_reduce_only_takes_what_is_held_at_most(floor: Any) -> None:
    floor.order("BUY", "2")
    assert floor.order("SELL", "5", reduceOnly="true").executed_qty == "2.000"
    assert code_of(lambda: floor.order("SELL", "1", reduceOnly="true")) == -2022


def test_one_way_an_order_beyond_the_position_turns_it(floor: Any) -> None:
    floor.order("BUY", "2")
    floor.order("SELL", "5")
    (position,) = floor.exchange.account.held()
    assert (position.amount, position.entry) == (D(-3), D("100.00"))


def test_in_hedge_mode_both_sides_are_held_and_none_can_be_oversold(floor: Any) -> None:
    floor.exchange.set_hedge(True)
    assert code_of(lambda: floor.order("BUY", "2")) == -4061
    floor.order("BUY", "2", positionSide="LONG")
    floor.order("SELL", "3", positionSide="SHORT")
    assert {position.side: position.amount for position in floor.exchange.account.held()} == {"LONG": 2, "SHORT": -3}
    assert code_of(lambda: floor.order("SELL", "2.5", positionSide="LONG")) == -2022
    assert code_of(lambda: floor.order("SELL", "1", positionSide="LONG", reduceOnly="true")) == -1106
    assert floor.order("SELL", "2", positionSide="LONG").status == "FILLED"
    assert code_of(lambda: floor.exchange.set_hedge(False)) == -4068


def test_settings_refuse_what_is_set_already_or_in_use(floor: Any) -> None:
    assert code_of(lambda: floor.exchange.set_hedge(False)) == -4059
    assert code_of(lambda: floor.exchange.set_isolated("BTCUSDT", False)) == -4046
    floor.exchange.set_isolated("BTCUSDT", True)
    floor.order("BUY", "2")
    assert code_of(lambda: floor.exchange.set_isolated("BTCUSDT", False)) == -4048


def test_isolated_margin_is_set_aside_and_comes_back_in_proportion(floor: Any) -> None:
    floor.exchange.set_isolated("BTCUSDT", True)
    floor.exchange.set_leverage("BTCUSDT", 10)
    floor.order("BUY", "4")
    (position,) = floor.exchange.account.held()
    assert position.isolated == D("40.04")
    floor.order("SELL", "1")
    (position,) = floor.exchange.account.held()
    assert position.isolated == D("30.03")
    figures = floor.exchange.account.figures(floor.exchange.mark_of)
    assert figures.cross_wallet == figures.wallet - D("30.03")


@pytest.mark.parametrize(("side", "doom"), [("BUY", "90.20"), ("SELL", "109.90")])
def test_an_isolated_position_is_liquidated_beyond_its_price_and_not_before(floor: Any, side: str, doom: str) -> None:
    floor.exchange.set_isolated("BTCUSDT", True)
    floor.exchange.set_leverage("BTCUSDT", 10)
    floor.order(side, "4")
    (position,) = floor.exchange.account.held()
    limit = floor.exchange.account.liquidation(position, floor.exchange.mark_of)
    assert abs(limit - D(doom)) < D("0.6")
    away = D("0.1") if side == "BUY" else D("-0.1")
    safe, beyond = str((limit + away).quantize(D("0.01"))), str((limit - away).quantize(D("0.01")))
    floor.quote(safe, safe)
    floor.exchange.mark(floor.ms)
    assert list(floor.exchange.account.held())
    floor.quote(beyond, beyond)
    floor.exchange.mark(floor.ms)
    assert not list(floor.exchange.account.held())
    assert floor.told("ORDER_TRADE_UPDATE")[-1]["o"]["c"].startswith("autoclose-")


def test_crossed_positions_are_liquidated_when_the_whole_account_is_used_up(floor: Any) -> None:
    floor.exchange.set_leverage("BTCUSDT", 75)
    for _ in range(70):
        floor.order("BUY", "90")
    floor.quote("99.10", "99.10")
    floor.exchange.mark(floor.ms)
    assert list(floor.exchange.account.held())
    floor.quote("99.00", "99.00")
    floor.exchange.mark(floor.ms)
    assert not list(floor.exchange.account.held())


FILLS = st.lists(
    st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(1, 50), st.integers(90, 110)), min_size=1, max_size=30
)


@given(FILLS)
def test_any_row_of_fills_keeps_the_books(fills: list[tuple[Any, int, int]]) -> None:
    position, cash, realized, reserved = Position(symbol="X", side="BOTH"), D(0), D(0), D(0)
    for side, quantity, price in fills:
        done = filled(position, side, D(quantity), D(price), leverage=10, isolated=True, ms=1)
        position = done.position
        realized += done.realized
        reserved -= done.released
        cash += D(quantity * price) * (-1 if side == "BUY" else 1)
    # what was paid and received is the result so far and what the position cost
    assert abs(cash - (realized - position.amount * position.entry)) < D("0.0001")
    assert abs(reserved - position.isolated) < D("0.0001")
    assert (position.amount == 0) == (position.entry == 0)
