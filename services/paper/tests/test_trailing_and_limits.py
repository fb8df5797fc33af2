"""Trailing stops, and stops and targets that become limit orders."""

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


def algo_states(floor: Any) -> list[str]:
    return [event["o"]["X"] for event in floor.told("ALGO_UPDATE")]


def trailing(floor: Any, side: str, rate: str, **params: str) -> Any:
    wanted = {"symbol": "BTCUSDT", "side": side, "type": "TRAILING_STOP_MARKET", "quantity": "2", "callbackRate": rate}
    return floor.exchange.place_algo({**wanted, **params})


def ended(floor: Any, algo: Any) -> Any:
    return floor.store.algo(algo.algo_id, None)


@pytest.mark.parametrize(
    ("side", "prices", "off"),
    [
        ("SELL", ["99.10"], False),  # 1 % below 100.00 is 99.00
        ("SELL", ["99.00"], True),
        ("SELL", ["110.00", "108.91"], False),  # 1 % below 110.00 is 108.90
        ("SELL", ["110.00", "108.90"], True),
        ("BUY", ["100.90"], False),
        ("BUY", ["101.00"], True),
        ("BUY", ["90.00", "90.89"], False),
        ("BUY", ["90.00", "90.90"], True),
    ],
)
def test_a_trailing_stop_goes_off_when_the_market_comes_back_from_its_best(
    floor: Any, side: str, prices: list[str], off: bool
) -> None:
    floor.order("BUY" if side == "SELL" else "SELL", "2")
    algo = trailing(floor, side, "1", reduceOnly="true")
    assert (algo.callback_rate, algo.activate_price, algo.trigger_price) == ("1", "0.00", "0.00")
    for price in prices:
        floor.trade(price)
    assert (ended(floor, algo).algo_status == "FINISHED") is off
    assert bool(list(floor.exchange.account.held())) is not off


def test_it_sleeps_until_its_activation_price(floor: Any) -> None:
    floor.order("BUY", "2")
    algo = trailing(floor, "SELL", "1", reduceOnly="true", activatePrice="105.00")
    for price in ("104.90", "90.00", "105.00", "104.00"):
        floor.trade(price)
    assert ended(floor, algo).algo_status == "NEW"
    floor.trade("103.90")
    assert ended(floor, algo).algo_status == "FINISHED"


def test_how_far_it_went_survives_a_restart(floor: Any) -> None:
    floor.order("BUY", "2")
    algo = trailing(floor, "SELL", "1", reduceOnly="true")
    floor.trade("110.00")
    floor.store.commit()
    floor.exchange = Exchange({"BTCUSDT": floor.exchange.markets["BTCUSDT"].spec}, floor.store, None, lambda: floor.ms)
    floor.quote("108.80", "108.90")
    floor.trade("108.90")
    assert ended(floor, algo).algo_status == "FINISHED"


def test_it_follows_the_mark_price_when_asked(floor: Any) -> None:
    floor.order("BUY", "2")
    algo = trailing(floor, "SELL", "1", reduceOnly="true", workingType="MARK_PRICE")
    floor.trade("90.00")
    assert ended(floor, algo).algo_status == "NEW"
    floor.quote("99.00", "99.10")
    floor.exchange.mark(floor.ms)  # 100.05 less 1 % is 99.0495, the mark is 99.05
    assert ended(floor, algo).algo_status == "NEW"
    floor.quote("98.90", "99.00")
    floor.exchange.mark(floor.ms)
    assert ended(floor, algo).algo_status == "FINISHED"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"rate": "0.05"}, -4137),
        ({"rate": "20.1"}, -4137),
        ({"rate": "0.1"}, None),
        ({"rate": "20"}, None),
        ({"rate": "1.05"}, -4137),
        ({"rate": "1", "activatePrice": "100.00"}, -4135),  # a seller's is above the last price
        ({"rate": "1", "activatePrice": "100.10"}, None),
        ({"rate": "1", "closePosition": "true", "quantity": ""}, -1106),
    ],
)
def test_what_a_trailing_stop_may_say(floor: Any, params: dict[str, str], code: int | None) -> None:
    floor.order("BUY", "2")
    if code is None:
        assert trailing(floor, "SELL", **params).algo_status == "NEW"
    else:
        assert code_of(lambda: trailing(floor, "SELL", **params)) == code


def stop_limit(floor: Any, kind: str, trigger: str, price: str, **params: str) -> Any:
    return floor.algo("SELL", kind, trigger, "2", **{"price": price, "reduceOnly": "true", **params})


def test_a_stop_limit_order_rests_when_the_market_has_gone_past_its_price(floor: Any) -> None:
    floor.order("BUY", "2")
    algo = stop_limit(floor, "STOP", "95.00", "94.50")
    assert (algo.price, algo.order_type) == ("94.50", "STOP")
    floor.quote("93.00", "93.10")
    floor.trade("95.00")
    triggered = ended(floor, algo)
    assert (triggered.algo_status, triggered.actual_type) == ("TRIGGERED", "LIMIT")
    assert floor.exchange.open_algos() == []
    (resting,) = floor.exchange.account.resting()
    assert (resting.order_id, resting.price, resting.type) == (int(triggered.actual_order_id), "94.50", "LIMIT")
    floor.trade("94.60", quantity="1")
    finished = ended(floor, algo)
    floor.trade("94.60", quantity="5")
    finished = ended(floor, algo)
    assert (finished.algo_status, finished.actual_qty, finished.actual_price) == ("FINISHED", "2.000", "94.50000")
    assert algo_states(floor) == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]
    assert not list(floor.exchange.account.held())


def test_one_that_is_cancelled_while_it_rests_is_finished_without_a_fill(floor: Any) -> None:
    floor.order("BUY", "2")
    algo = stop_limit(floor, "STOP", "95.00", "94.50")
    floor.quote("93.00", "93.10")
    floor.trade("95.00")
    restarted = Exchange({"BTCUSDT": floor.exchange.markets["BTCUSDT"].spec}, floor.store, None, lambda: floor.ms)
    restarted.cancel(restarted.account.resting()[0])
    finished = ended(floor, algo)
    assert (finished.algo_status, finished.actual_qty) == ("FINISHED", "0")
    assert list(restarted.account.held())


def test_a_target_limit_order_fills_at_once_when_the_book_is_there(floor: Any) -> None:
    floor.order("BUY", "2")
    algo = stop_limit(floor, "TAKE_PROFIT", "105.00", "104.90")
    floor.quote("105.00", "105.10")
    floor.trade("105.00")
    assert (ended(floor, algo).algo_status, ended(floor, algo).actual_price) == ("FINISHED", "105.00000")


def test_one_that_must_not_take_is_rejected_with_a_reason(floor: Any) -> None:
    floor.order("BUY", "2")
    algo = stop_limit(floor, "TAKE_PROFIT", "105.00", "104.90", timeInForce="GTX")
    floor.quote("105.00", "105.10")
    floor.trade("105.00")
    assert ended(floor, algo).algo_status == "REJECTED"
    assert "maker" in floor.told("ALGO_UPDATE")[-1]["o"]["rm"]
    assert list(floor.exchange.account.held())


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"price": ""}, -1102),
        ({"price": "94.55"}, -4014),
        ({"timeInForce": "GTD"}, -1115),
        ({"closePosition": "true", "quantity": "", "reduceOnly": ""}, -4136),
    ],
)
def test_what_a_stop_limit_order_may_say(floor: Any, params: dict[str, str], code: int) -> None:
    floor.order("BUY", "2")
    wanted = {"price": "94.50", "reduceOnly": "true", "quantity": "2", **params}
    assert code_of(lambda: floor.algo("SELL", "STOP", "95.00", **wanted)) == code


def test_a_partly_filled_stop_leaves_a_witness_of_what_is_bare(floor: Any) -> None:
    floor.order("BUY", "2")
    opened = floor.ms
    floor.algo("SELL", "STOP_MARKET", "95.00", "1.5", reduceOnly="true")
    floor.ms += 500
    rest = floor.algo("SELL", "STOP_MARKET", "94.00", "0.5", reduceOnly="true")
    (bare,) = floor.exchange.records.nakedness()
    assert (bare["sinceMs"], bare["untilMs"]) == (opened, opened + 500)
    floor.exchange.cancel_algo(rest)
    assert floor.exchange.records.nakedness()[-1]["untilMs"] is None
    floor.order("SELL", "2", reduceOnly="true")
    assert floor.exchange.records.nakedness()[-1]["untilMs"] == floor.ms
