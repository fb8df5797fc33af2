"""Looks give way first, then entries; stops and exits have the rest. A limit of the exchange stops them all."""

from collections.abc import Callable

import pytest

from phoenix95.common.errors import RateLimited, VenueRejected
from phoenix95.common.metrics import Metrics
from phoenix95.executor.core.intents import Intent
from phoenix95.executor.venue.binance import TOUCHED_S, Binance
from phoenix95.executor.venue.budget import Budget, Urgency, watch
from phoenix95.executor.venue.exchange import Requests

from .conftest import Stub

Make = Callable[..., Intent]
MINUTE_START_MS = 1_732_000_020_000


class Time:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def budget(time: Time) -> Budget:
    return Budget(lambda: MINUTE_START_MS + int((time.s - 100) * 1000), time)


def held(budget: Budget) -> set[Urgency]:
    return {urgency for urgency in Urgency if budget.wait_s(urgency) > 0}


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (1_679, set()),
        (1_680, {Urgency.POLL}),
        (1_919, {Urgency.POLL}),
        (1_920, {Urgency.POLL, Urgency.SETTING, Urgency.ENTRY}),
        (2_399, {Urgency.POLL, Urgency.SETTING, Urgency.ENTRY}),
        (2_400, {Urgency.POLL, Urgency.SETTING, Urgency.ENTRY, Urgency.LOOK}),
    ],
)
def test_who_gives_way_as_the_weight_is_used_up(budget: Budget, used: int, expected: set[Urgency]) -> None:
    budget.note({"X-MBX-USED-WEIGHT-1M": str(used)})
    assert held(budget) == expected


@pytest.mark.parametrize("window", ["10S", "1M"])
@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.79, set()), (0.80, {Urgency.ENTRY}), (0.99, {Urgency.ENTRY}), (1.0, {Urgency.ENTRY, Urgency.PROTECT})],
)
def test_who_gives_way_as_the_orders_are_used_up(
    budget: Budget, window: str, share: float, expected: set[Urgency]
) -> None:
    allowed = {"10S": 300, "1M": 1_200}[window]
    budget.note({f"x-mbx-order-count-{window.lower()}": str(int(share * allowed))})
    assert held(budget) == expected


def test_a_window_ends_with_the_exchanges_own_minute(budget: Budget, time: Time) -> None:
    time.s += 50
    budget.note({"X-MBX-USED-WEIGHT-1M": "2000"})
    assert budget.wait_s(Urgency.ENTRY) == pytest.approx(10)
    time.s += 10.1
    assert held(budget) == set()
    assert budget.readings()["weight_60s"] == (0, 2_400)


def test_limits_are_those_of_exchange_info(budget: Budget) -> None:
    budget.allow([("REQUEST_WEIGHT", "MINUTE", 1, 1_000), ("ORDERS", "SECOND", 10, 10), ("RAW_REQUESTS", "DAY", 1, 1)])
    budget.note({"X-MBX-USED-WEIGHT-1M": "800", "X-MBX-ORDER-COUNT-10S": "8"})
    assert held(budget) == {Urgency.POLL, Urgency.SETTING, Urgency.ENTRY}


def test_orders_count_before_their_answers_come(budget: Budget) -> None:
    budget.note({"X-MBX-ORDER-COUNT-10S": "238"})
    budget.sent()
    assert held(budget) == set()
    budget.sent()
    assert held(budget) == {Urgency.ENTRY}


def test_too_many_requests_stops_all_and_too_many_orders_only_orders(budget: Budget, time: Time) -> None:
    assert budget.limited(None, orders_only=True) == 5
    assert held(budget) == {Urgency.ENTRY, Urgency.PROTECT}
    assert budget.limited(7, orders_only=False) == 7
    assert held(budget) == set(Urgency)
    assert not budget.probe()
    time.s += 7.1
    assert held(budget) == set()


def test_one_look_in_five_seconds_tells_the_count_anew(budget: Budget, time: Time) -> None:
    budget.note({"X-MBX-USED-WEIGHT-1M": "2000"})
    assert [budget.probe(), budget.probe()] == [True, False]
    time.s += 5
    assert budget.probe()
    budget.note({"X-MBX-USED-WEIGHT-1M": "2400"})
    time.s += 5
    assert not budget.probe()


def test_what_is_used_is_shown_as_it_is(budget: Budget, time: Time) -> None:
    metrics = Metrics()
    watch(budget, metrics)
    budget.note({"X-MBX-USED-WEIGHT-1M": "12", "X-MBX-ORDER-COUNT-10S": "3"})
    assert b'p95_exchange_used{limit="weight_60s"} 12.0' in metrics.text()
    assert b'p95_exchange_used{limit="orders_10s"} 3.0' in metrics.text()
    assert b'p95_exchange_allowed{limit="orders_60s"} 1200.0' in metrics.text()
    time.s += 60
    assert b'p95_exchange_used{limit="weight_60s"} 0.0' in metrics.text()


# ---------------------------------------------------------------- at the venue


async def test_entries_are_held_back_while_a_stop_still_goes_out(stub: Stub, venue: Binance, an_intent: Make) -> None:
    stub.say("GET", "/fapi/v1/algoOrder", 400, {"code": -2013}, x_mbx_used_weight_1m="2000")
    await venue.conditional("BTCUSDT", "p95s-0")
    assert (venue.wait_ms("entry") > 0, venue.wait_ms("stop"), venue.wait_ms("exit")) == (True, 0, 0)
    with pytest.raises(RateLimited):
        await venue.place(an_intent("entry"))
    stub.say("POST", "/fapi/v1/algoOrder", 400, {"code": -2021})
    with pytest.raises(VenueRejected):
        await venue.place_conditional(an_intent("stop"))
    assert stub.paths() == ["GET /fapi/v1/algoOrder", "POST /fapi/v1/algoOrder"]


async def test_the_looks_at_a_symbol_where_something_was_just_sent_do_not_give_way(
    stub: Stub, venue: Binance, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("phoenix95.executor.venue.binance.monotonic", lambda: now[0])
    stub.say("GET", "/fapi/v1/openAlgoOrders", 200, [], x_mbx_used_weight_1m="1700")
    await venue.open_conditionals("BTCUSDT")
    await venue.open_conditionals(None)  # the one look in five seconds that tells the count
    with pytest.raises(RateLimited):
        await venue.open_conditionals(None)
    assert await venue.open_conditionals("BTCUSDT") == ()
    now[0] += TOUCHED_S + 1
    with pytest.raises(RateLimited):
        await venue.open_conditionals("BTCUSDT")
    await venue.cancel_conditional("BTCUSDT", "p95s-1")
    assert await venue.open_conditionals("BTCUSDT") == ()


async def test_after_a_429_nothing_is_sent_until_it_is_over(stub: Stub, venue: Binance, an_intent: Make) -> None:
    stub.say("POST", "/fapi/v1/order", 429, {"code": -1003, "msg": "Too many requests."}, Retry_After="3")
    with pytest.raises(RateLimited) as raised:
        await venue.place(an_intent("exit"))
    assert raised.value.wait_s == 3
    assert 0 < venue.wait_ms("exit") <= 3_000
    with pytest.raises(RateLimited):
        await venue.place_conditional(an_intent("stop"))
    with pytest.raises(RateLimited):
        await venue.account()
    assert len(stub.asked) == 1


async def test_a_long_ban_is_asked_about_again_every_few_seconds(stub: Stub, venue: Binance) -> None:
    stub.say("GET", "/fapi/v1/order", 418, {"code": -1003, "msg": "Way too many requests."}, Retry_After="86400")
    with pytest.raises(RateLimited):
        await venue.order("BTCUSDT", "p95e-1")
    assert venue.wait_ms("stop") == 5_000


async def test_limits_are_read_with_the_rules(stub: Stub, requests: Requests, venue: Binance) -> None:
    limit = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 5}
    stub.say("GET", "/fapi/v1/exchangeInfo", 200, {"symbols": [], "rateLimits": [limit]})
    assert await venue.rules("BTCUSDT") is None
    assert requests.budget.readings()["orders_10s"] == (0, 5)
