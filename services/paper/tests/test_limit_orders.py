"""Limit orders: what they take, how they rest, what fills them, how they end; and large market orders."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.exchange import Exchange

D = Decimal


def code_of(call: Callable[[], Any]) -> int:
    with pytest.raises(RefusedError) as refused:
        call()
    return refused.value.code


def held(floor: Any) -> list[Decimal]:
    return [position.amount for position in floor.exchange.account.held()]


def now(floor: Any, order: Any) -> Any:
    return floor.store.order(order.symbol, order.order_id, None)


def states(floor: Any, order: Any) -> list[tuple[str, str]]:
    told = [event["o"] for event in floor.told("ORDER_TRADE_UPDATE")]
    return [(body["x"], body["X"]) for body in told if body["i"] == order.order_id]


def test_a_market_order_beyond_the_best_level_fills_level_by_level(floor: Any) -> None:
    floor.quote("100.00", "100.10", size="1.5")
    order = floor.order("BUY", "4")
    fills = floor.store.fills(
        "BTCUSDT", order_id=order.order_id, first_id=None, start_ms=None, end_ms=1 << 60, limit=99
    )
    assert [(fill.price, fill.qty) for fill in fills] == [
        ("100.10", "1.500"),
        ("100.20", "0.287"),  # 25,000 of quote currency at the symbol's first price, a tenth more each level
        ("100.30", "0.313"),
        ("100.40", "0.339"),
        ("100.50", "0.365"),
        ("100.60", "0.391"),
        ("100.70", "0.417"),
        ("100.80", "0.388"),
    ]
    assert sum(D(fill.qty) for fill in fills) == D(4)
    assert order.status == "FILLED"
    assert D(order.cum_quote) == sum(D(fill.price) * D(fill.qty) for fill in fills)
    assert abs(D(order.avg_price) - D(order.cum_quote) / 4) < D("0.00001")
    assert states(floor, order) == [("NEW", "NEW"), *[("TRADE", "PARTIALLY_FILLED")] * 7, ("TRADE", "FILLED")]


def test_what_the_book_cannot_fill_of_a_market_order_expires(floor: Any) -> None:
    floor.quote("1.00", "1.10", size="1")  # ten bids down to 0.10
    order = floor.order("SELL", "100")
    assert (order.status, order.executed_qty) == ("EXPIRED", "4.519")
    assert states(floor, order)[-1] == ("EXPIRED", "EXPIRED")
    assert (held(floor), floor.exchange.account.orders) == ([D("-4.519")], {})


def test_a_limit_order_takes_what_is_better_than_its_price_and_rests_with_the_remainder(floor: Any) -> None:
    floor.quote("100.00", "100.10", size="1.5")
    order = floor.limit("BUY", "4", "100.10")
    assert (order.status, order.executed_qty, order.price) == ("PARTIALLY_FILLED", "1.500", "100.10")
    assert floor.exchange.account.resting("BTCUSDT") == [order]
    figures = floor.exchange.account.figures(floor.exchange.mark_of)
    assert figures.ordered == D("2.5") * D("100.10") / 20
    assert floor.exchange.cancel(order).status == "CANCELED"
    assert code_of(lambda: floor.exchange.cancel(order)) == -2011
    assert (now(floor, order).executed_qty, held(floor)) == ("1.500", [D("1.5")])
    assert states(floor, order)[-1] == ("CANCELED", "CANCELED")
    assert floor.exchange.account.figures(floor.exchange.mark_of).ordered == 0


@pytest.mark.parametrize(
    ("side", "price", "trades", "filled"),
    [
        ("BUY", "99.00", [("99.10", True)], "0"),
        ("BUY", "99.00", [("99.00", False)], "0"),  # at the price, but somebody bought
        ("BUY", "99.00", [("99.00", True)], "0.500"),
        ("BUY", "99.00", [("98.90", False)], "0.500"),  # through the price, whoever it was
        ("BUY", "99.00", [("99.00", True), ("98.00", True)], "1.000"),
        ("SELL", "101.00", [("100.90", False)], "0"),
        ("SELL", "101.00", [("101.00", True)], "0"),
        ("SELL", "101.00", [("101.00", False)], "0.500"),
    ],
)
def test_trades_fill_what_rests_up_to_their_own_quantity(
    floor: Any, side: str, price: str, trades: list[tuple[str, bool]], filled: str
) -> None:
    order = floor.limit(side, "2", price)
    for at, maker in trades:
        floor.trade(at, quantity="0.500", maker=maker)
    after = now(floor, order)
    assert D(after.executed_qty) == D(filled)
    if D(filled):
        fill = floor.store.fills("BTCUSDT", order_id=None, first_id=None, start_ms=None, end_ms=1 << 60, limit=9)[-1]
        assert (fill.maker, fill.price) == (True, price)
        assert D(fill.commission) == D(fill.qty) * D(price) * D("0.0002")


def test_a_book_that_comes_to_an_order_fills_it_and_the_best_price_goes_first(floor: Any) -> None:
    low, high = floor.limit("BUY", "2", "98.00"), floor.limit("BUY", "2", "99.00")
    floor.trade("97.00", quantity="3", maker=True)
    assert (now(floor, high).status, now(floor, low).executed_qty) == ("FILLED", "1.000")
    floor.quote("97.80", "97.90", size="0.2")
    assert D(now(floor, low).executed_qty) == D("1.2") + D("0.287")  # the best ask and the one at 98.00
    floor.quote("97.00", "97.10", size="50")
    assert now(floor, low).status == "FILLED"


def test_the_same_stretch_of_the_market_does_not_fill_twice(floor: Any) -> None:
    order = floor.limit("BUY", "2", "99.00")
    floor.trade("99.00", quantity="0.5", maker=True)
    floor.ms -= 1  # seen again after a crash
    floor.trade("99.00", quantity="0.5", maker=True)
    assert now(floor, order).executed_qty == "0.500"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"price": ""}, -1102),
        ({"timeInForce": ""}, -1102),
        ({"timeInForce": "GTD"}, -1115),
        ({"price": "99.05"}, -4014),
        ({"price": "99.001"}, -1111),
        ({"price": "-1"}, -4001),
        ({"price": "105.10"}, -4016),  # 5 % above the mark is 105.05
        ({"price": "105.00"}, None),
        ({"side": "SELL", "price": "95.00"}, -4024),
        ({"side": "SELL", "price": "95.10"}, None),
        ({"quantity": "0.5"}, -4164),
        ({"stopPrice": "90"}, -1106),
        ({"timeInForce": "GTX", "price": "100.10"}, -5022),
        ({"timeInForce": "GTX", "price": "100.00"}, None),
        ({"timeInForce": "FOK", "price": "100.00"}, -5021),
        ({"timeInForce": "FOK", "price": "100.10"}, None),
        ({"quantity": "2000"}, -4005),
        ({"reduceOnly": "true"}, -2022),
    ],
)
def test_what_a_limit_order_may_say(floor: Any, params: dict[str, str], code: int | None) -> None:
    wanted = {"side": "BUY", "quantity": "2", "price": "99.00", **params}
    if code is None:
        assert floor.limit(**wanted).order_id
        return
    assert code_of(lambda: floor.limit(**wanted)) == code
    assert not floor.exchange.account.orders
    assert not held(floor)


def test_immediate_or_cancel_ends_with_what_it_got(floor: Any) -> None:
    floor.quote("100.00", "100.10", size="1.5")
    some = floor.limit("BUY", "4", "100.10", timeInForce="IOC")
    none = floor.limit("BUY", "4", "99.00", timeInForce="IOC")
    assert [(order.status, order.executed_qty) for order in (some, none)] == [("EXPIRED", "1.500"), ("EXPIRED", "0")]
    assert states(floor, none) == [("NEW", "NEW"), ("EXPIRED", "EXPIRED")]
    assert not floor.exchange.account.orders


def test_an_id_is_unique_among_open_orders_only(floor: Any) -> None:
    first = floor.limit("BUY", "2", "99.00", newClientOrderId="a")
    assert code_of(lambda: floor.limit("BUY", "2", "98.00", newClientOrderId="a")) == -4116
    assert code_of(lambda: floor.order("BUY", "2", newClientOrderId="a")) == -4116
    floor.exchange.cancel(first)
    assert floor.order("BUY", "2", newClientOrderId="a").status == "FILLED"
    assert floor.order("BUY", "2", newClientOrderId="a").status == "FILLED"  # a filled order has freed its id


def test_open_orders_bind_margin_until_they_end(floor: Any) -> None:
    floor.exchange.set_leverage("BTCUSDT", 1)
    order = floor.limit("BUY", "60", "99.00")
    assert code_of(lambda: floor.limit("BUY", "60", "99.00")) == -2019
    assert floor.limit("SELL", "60", "101.00").status == "NEW"  # the dearer side of the two binds
    floor.exchange.cancel(order)
    assert floor.limit("BUY", "60", "99.00").status == "NEW"


def test_orders_keep_the_mode_and_the_margin_type(floor: Any) -> None:
    floor.limit("BUY", "2", "99.00")
    assert code_of(lambda: floor.exchange.set_hedge(True)) == -4067
    assert code_of(lambda: floor.exchange.set_isolated("BTCUSDT", True)) == -4047


def test_no_more_than_two_hundred_rest(floor: Any) -> None:
    for _ in range(200):
        floor.limit("BUY", "1.1", "99.00")
    assert code_of(lambda: floor.limit("BUY", "1.1", "99.00")) == -2025
    assert floor.limit("BUY", "1.1", "100.10").status == "FILLED"


@pytest.mark.parametrize("hedge", [False, True])
def test_reducing_orders_end_with_the_position(floor: Any, hedge: bool) -> None:
    extra = {"positionSide": "LONG"} if hedge else {}
    reduce = extra or {"reduceOnly": "true"}
    if hedge:
        floor.exchange.set_hedge(True)
    floor.order("BUY", "2", **extra)
    target = floor.limit("SELL", "2", "101.00", **reduce)
    assert floor.exchange.account.figures(floor.exchange.mark_of).ordered == 0
    floor.order("SELL", "1", **reduce)
    assert now(floor, target).status == "NEW"
    floor.order("SELL", "1", **reduce)
    assert now(floor, target).status == "EXPIRED"
    assert not floor.exchange.account.orders


def test_a_reducing_order_fills_no_more_than_is_held(floor: Any) -> None:
    floor.order("BUY", "2")
    target = floor.limit("SELL", "2", "101.00", reduceOnly="true")
    floor.order("SELL", "1.5")
    floor.trade("101.00", quantity="5")
    assert (now(floor, target).status, now(floor, target).executed_qty) == ("EXPIRED", "0.500")
    assert held(floor) == []


def amend(floor: Any, order: Any, **params: str) -> Any:
    return floor.exchange.amend(order, {"symbol": "BTCUSDT", "side": order.side, **params})


def test_an_order_can_get_another_price_and_quantity(floor: Any) -> None:
    order = floor.limit("BUY", "2", "99.00")
    assert code_of(lambda: amend(floor, order, quantity="2", price="99.00")) == -5027
    assert code_of(lambda: amend(floor, order, quantity="2", price="99.05")) == -4014
    assert code_of(lambda: amend(floor, order, quantity="99", price="105.10")) == -4016
    assert code_of(lambda: amend(floor, order, quantity="2")) == -1102
    moved = amend(floor, order, quantity="3", price="98.00")
    assert (moved.order_id, moved.price, moved.orig_qty, moved.status) == (order.order_id, "98.00", "3.000", "NEW")
    assert states(floor, order) == [("NEW", "NEW"), ("AMENDMENT", "NEW")]
    floor.trade("98.00", quantity="1", maker=True)
    assert amend(floor, order, quantity="1", price="98.00").status == "CANCELED"  # it had that much already
    assert code_of(lambda: amend(floor, order, quantity="2", price="98.00")) == -2013
    other = floor.limit("BUY", "2", "99.00")
    assert amend(floor, other, quantity="2", price="100.10").status == "FILLED"


def test_open_orders_and_partial_fills_survive_a_restart(floor: Any) -> None:
    order = floor.limit("BUY", "2", "99.00")
    gone = floor.limit("BUY", "2", "98.50")
    floor.exchange.cancel(gone)
    floor.trade("99.00", quantity="0.5", maker=True)
    again = Exchange({"BTCUSDT": floor.exchange.markets["BTCUSDT"].spec}, floor.store, None, lambda: floor.ms)
    assert again.account.resting() == [now(floor, order)]
    assert again.account.resting()[0].executed_qty == "0.500"
    assert next(again.account.held()).amount == D("0.5")
    floor.exchange = again
    floor.trade("98.00", quantity="5", maker=True)
    assert now(floor, order).status == "FILLED"
