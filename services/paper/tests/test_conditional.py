"""Stops and targets: when they trigger, what they fill, what is refused."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from phoenix95.paper.core.codes import RefusedError


def code_of(call: Callable[[], Any]) -> int:
    with pytest.raises(RefusedError) as refused:
        call()
    return refused.value.code


def states(floor: Any) -> list[str]:
    return [event["o"]["X"] for event in floor.told("ALGO_UPDATE")]


@pytest.mark.parametrize(
    ("side", "kind", "trigger", "before", "at"),
    [
        ("SELL", "STOP_MARKET", "95.00", "95.01", "95.00"),
        ("SELL", "TAKE_PROFIT_MARKET", "105.00", "104.99", "105.00"),
        ("BUY", "STOP_MARKET", "105.00", "104.99", "105.00"),
        ("BUY", "TAKE_PROFIT_MARKET", "95.00", "95.01", "95.00"),
    ],
)
def test_each_kind_triggers_at_its_price_and_not_one_tick_before(
    floor: Any, side: str, kind: str, trigger: str, before: str, at: str
) -> None:
    floor.order("BUY" if side == "SELL" else "SELL", "2")
    algo = floor.algo(side, kind, trigger, "2", reduceOnly="true", clientAlgoId="stop-1")
    floor.trade(before)
    assert floor.exchange.open_algos() == [algo]
    floor.quote("94.90" if at < "100" else "104.90", "95.10" if at < "100" else "105.10")
    floor.trade(at)
    assert floor.exchange.open_algos() == []
    assert not list(floor.exchange.account.held())
    ended = floor.store.algo(algo.algo_id, None)
    assert (ended.algo_status, ended.actual_type, ended.actual_qty) == ("FINISHED", "MARKET", "2.000")
    order = floor.store.order("BTCUSDT", int(ended.actual_order_id), None)
    assert (order.client_order_id, order.status, order.avg_price) == ("stop-1", "FILLED", ended.actual_price)
    assert states(floor) == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]


def test_a_stop_fills_at_the_best_price_then_not_at_its_own(floor: Any) -> None:
    floor.order("BUY", "2")
    algo = floor.algo("SELL", "STOP_MARKET", "95.00", "2", reduceOnly="true")
    floor.quote("91.00", "91.10")
    floor.trade("91.00")
    assert floor.store.algo(algo.algo_id, None).actual_price == "91.00000"


def test_trades_of_another_symbol_or_from_before_do_not_trigger(floor: Any) -> None:
    floor.order("BUY", "2")
    floor.algo("SELL", "STOP_MARKET", "95.00", "2", reduceOnly="true")
    floor.trade("90.00", "ETHUSDT")
    floor.ms -= 1000
    floor.trade("90.00")
    assert len(floor.exchange.open_algos()) == 1


def test_the_mark_price_triggers_only_what_asked_for_it(floor: Any) -> None:
    floor.order("BUY", "2")
    by_mark = floor.algo("SELL", "STOP_MARKET", "95.00", "1", reduceOnly="true", workingType="MARK_PRICE")
    by_trade = floor.algo("SELL", "STOP_MARKET", "95.00", "1", reduceOnly="true")
    floor.quote("94.00", "94.10")
    floor.exchange.mark(floor.ms)
    assert floor.exchange.open_algos() == [by_trade]
    assert floor.store.algo(by_mark.algo_id, None).algo_status == "FINISHED"


@pytest.mark.parametrize("hedge", [False, True])
def test_a_second_stop_finds_nothing_left_and_does_no_harm(floor: Any, hedge: bool) -> None:
    extra = {"positionSide": "LONG"} if hedge else {}
    reduce = extra or {"reduceOnly": "true"}
    if hedge:
        floor.exchange.set_hedge(True)
    floor.order("BUY", "2", **extra)
    first = floor.algo("SELL", "STOP_MARKET", "95.00", "1.5", **reduce)
    second = floor.algo("SELL", "STOP_MARKET", "95.00", "1.5", **reduce)
    third = floor.algo("SELL", "STOP_MARKET", "95.00", "1.5", **reduce)
    floor.quote("94.90", "95.00")
    floor.trade("95.00")
    ended = [floor.store.algo(algo.algo_id, None) for algo in (first, second, third)]
    assert [(algo.algo_status, algo.actual_qty) for algo in ended] == [
        ("FINISHED", "1.500"),
        ("FINISHED", "0.500"),  # cut to what was left
        ("REJECTED", "0"),
    ]
    assert not list(floor.exchange.account.held())
    assert floor.told("ALGO_UPDATE")[-1]["o"]["rm"] == "Reduce Only reject"


def test_close_position_takes_all_that_is_held_when_it_comes_to_it(floor: Any) -> None:
    floor.order("BUY", "2")
    floor.algo("SELL", "STOP_MARKET", "95.00", "", closePosition="true")
    floor.order("BUY", "1")
    floor.quote("94.90", "95.00")
    floor.trade("94.95")
    assert not list(floor.exchange.account.held())
    assert floor.told("ORDER_TRADE_UPDATE")[-1]["o"]["l"] == "3.000"


def test_close_position_without_a_position_expires(floor: Any) -> None:
    algo = floor.algo("SELL", "STOP_MARKET", "95.00", "", closePosition="true")
    floor.quote("94.90", "95.00")
    floor.trade("94.95")
    assert floor.store.algo(algo.algo_id, None).algo_status == "EXPIRED"


def test_an_opening_stop_opens_when_there_is_margin_and_is_rejected_when_not(floor: Any) -> None:
    first = floor.algo("BUY", "STOP_MARKET", "105.00", "10")
    floor.exchange.set_leverage("BTCUSDT", 1)
    second = floor.algo("BUY", "STOP_MARKET", "105.00", "99")
    floor.quote("105.00", "105.10")
    floor.trade("105.00")
    assert floor.store.algo(first.algo_id, None).algo_status == "FINISHED"
    assert floor.store.algo(second.algo_id, None).algo_status == "REJECTED"
    assert [position.amount for position in floor.exchange.account.held()] == [Decimal(10)]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"trigger": "100.50"}, -2021),  # sells at or below: the last trade is below already
        ({"trigger": "100.00"}, -2021),
        ({"trigger": "99.99"}, -4014),  # the tick is 0.10
        ({"trigger": "0"}, -4006),
        ({"trigger": ""}, -1102),
        ({"kind": "LIMIT"}, -1116),
        ({"kind": "TRAILING_STOP_MARKET"}, -1102),
        ({"workingType": "INDEX"}, -1130),
        ({"algoType": "VP"}, -1130),
        ({"quantity": ""}, -1102),
        ({"quantity": "0.0001"}, -1111),
        ({"closePosition": "true"}, -1106),
        ({"closePosition": "true", "quantity": "", "reduceOnly": "true"}, -1106),
        ({"clientAlgoId": "bad id!"}, -4015),
        ({"positionSide": "LONG"}, -4061),
    ],
)
def test_what_a_conditional_order_may_say(floor: Any, params: dict[str, str], code: int) -> None:
    floor.order("BUY", "2")
    wanted = {"side": "SELL", "kind": "STOP_MARKET", "trigger": "95.00", "quantity": "2", **params}
    assert code_of(lambda: floor.algo(**wanted)) == code
    assert floor.exchange.open_algos() == []


def test_repeated_ids_a_second_closing_stop_and_wrong_sides_are_refused(floor: Any) -> None:
    floor.order("BUY", "2")
    floor.algo("SELL", "STOP_MARKET", "95.00", "2", reduceOnly="true", clientAlgoId="a")
    assert code_of(lambda: floor.algo("SELL", "STOP_MARKET", "94.00", "2", clientAlgoId="a")) == -4116
    floor.algo("SELL", "STOP_MARKET", "95.00", "", closePosition="true")
    assert code_of(lambda: floor.algo("SELL", "STOP_MARKET", "94.00", "", closePosition="true")) == -4130
    floor.algo("SELL", "TAKE_PROFIT_MARKET", "105.00", "", closePosition="true")


def test_in_hedge_mode_an_entry_side_cannot_close(floor: Any) -> None:
    floor.exchange.set_hedge(True)
    params = {"closePosition": "true", "positionSide": "LONG"}
    assert code_of(lambda: floor.algo("BUY", "STOP_MARKET", "105.00", "", **params)) == -4136


def test_open_ones_can_be_cancelled_once_and_keep_the_mode_and_margin_type(floor: Any) -> None:
    algo = floor.algo("SELL", "STOP_MARKET", "95.00", "2")
    assert code_of(lambda: floor.exchange.set_hedge(True)) == -4067
    assert code_of(lambda: floor.exchange.set_isolated("BTCUSDT", True)) == -4047
    floor.exchange.cancel_algo(algo)
    assert code_of(lambda: floor.exchange.cancel_algo(algo)) == -2011
    assert states(floor) == ["NEW", "CANCELED"]
    floor.trade("90.00")
    assert not list(floor.exchange.account.held())


def test_no_more_than_two_hundred_are_open(floor: Any) -> None:
    for _ in range(200):
        floor.algo("SELL", "STOP_MARKET", "95.00", "2")
    assert code_of(lambda: floor.algo("SELL", "STOP_MARKET", "95.00", "2")) == -4045
