"""Faults on purpose: each kind does what it says, the seeded schedule is the same again, and limits refuse."""

import asyncio
from typing import Any

import pytest

from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.faultplan import (
    AFTER,
    BEFORE,
    KINDS,
    LATE,
    REQUEST_KINDS,
    USER_KINDS,
    Chaos,
    Fault,
    UserFaults,
)
from phoenix95.paper.core.limits import BAN_AFTER, BAN_S, Limits
from phoenix95.paper.exchange import Exchange
from phoenix95.paper.rest.faults import Faults

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "2"}
STOP = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "STOP_MARKET",
    "quantity": "2",
    "triggerPrice": "95.00",
    "reduceOnly": "true",
}
CUT = ("drop_before", "timeout_before", "drop_after", "timeout_after", "late")
STATUS = {
    "html": 502,
    "html_after": 502,
    "unknown": 503,
    "unknown_before": 503,
    "refuse": 503,
    "overload": 503,
    "late_unknown": 503,
    "reject": 400,
    "empty": 200,
    "delay": 200,
    "vanish": 200,
}


async def arm(counter: Any, kind: str, path: str = "/fapi/v1/order", **more: Any) -> None:
    status, _, _ = await counter.ask("POST", "/paper/v1/faults", kind=kind, path=path, **more)
    assert status == 200


@pytest.mark.parametrize("kind", [kind for kind in REQUEST_KINDS if kind != "vanish"])
async def test_a_fault_applies_and_answers_as_it_says_and_the_next_request_is_sound(counter: Any, kind: str) -> None:
    await arm(counter, kind, ms=1, code=-2019)
    status, answer, headers = await counter.ask("POST", "/fapi/v1/order", **ORDER, newClientOrderId="x")
    await asyncio.sleep(0.005)
    done = kind in (*AFTER, *LATE, "delay")
    assert (counter.floor.store.order("BTCUSDT", None, "x") is not None) is done
    assert counter.cut is (kind in CUT)
    if not counter.cut:
        assert status == STATUS[kind]
        assert headers["content-type"].startswith("text/html" if "html" in kind else "application/json")
    if kind == "reject":
        assert answer["code"] == -2019
    if kind == "empty":
        assert answer == b""
    status, _, _ = await counter.ask("POST", "/fapi/v1/order", **ORDER)
    assert status == 200
    (happened,) = counter.floor.exchange.records.faults()
    assert (happened["kind"], happened["path"], happened["clientId"]) == (kind, "/fapi/v1/order", "x")


def test_the_kinds_are_told_apart() -> None:
    assert len(set(KINDS)) == len(KINDS)
    assert not set(BEFORE) & set(AFTER)
    assert set(CUT) | set(STATUS) == set(REQUEST_KINDS)


async def test_a_late_request_is_not_applied_once_its_window_is_over(counter: Any) -> None:
    await arm(counter, "late", ms=20)
    await counter.ask("POST", "/fapi/v1/order", **ORDER, newClientOrderId="x", recvWindow=1000)
    counter.time.jump(counter.floor.ms + 2000)
    await asyncio.sleep(0.04)
    assert counter.floor.store.order("BTCUSDT", None, "x") is None


async def test_a_stop_that_vanishes_was_accepted_and_is_not_known(counter: Any) -> None:
    await counter.ask("POST", "/fapi/v1/order", **ORDER)
    await arm(counter, "vanish", "/fapi/v1/algoOrder")
    status, answer, _ = await counter.ask("POST", "/fapi/v1/algoOrder", **STOP, clientAlgoId="s")
    assert (status, answer["algoStatus"]) == (200, "NEW")
    assert (await counter.ask("GET", "/fapi/v1/openAlgoOrders"))[1] == []
    assert (await counter.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="s"))[1]["code"] == -2013
    status, again, _ = await counter.ask("POST", "/fapi/v1/algoOrder", **STOP, clientAlgoId="s")
    assert (status, again["algoId"]) == (200, answer["algoId"] + 1)
    floor = counter.floor
    floor.exchange.vanish(again["algoId"])
    restarted = Exchange({"BTCUSDT": floor.exchange.markets["BTCUSDT"].spec}, floor.store, None, lambda: floor.ms)
    assert restarted.place_algo({**STOP, "algoType": "CONDITIONAL"}).algo_id == again["algoId"] + 1


async def test_a_skewed_clock_is_shown_and_asked_for_alike(counter: Any) -> None:
    real = counter.time.now_ms()
    await counter.ask("POST", "/paper/v1/faults", kind="skew", ms=-4000)
    assert (await counter.ask("GET", "/fapi/v1/time"))[1]["serverTime"] == real - 4000
    assert (await counter.ask("GET", "/paper/v1/clock"))[1]["serverTime"] == real - 4000
    assert (await counter.ask("GET", "/fapi/v3/account"))[0] == 200  # signed with the skewed time
    restarted = Faults(counter.floor.store, counter.floor.exchange.records)
    assert restarted.skew_ms(real) == -4000
    assert (await counter.ask("GET", "/fapi/v3/account", shift_ms=4000))[1]["code"] == -1021  # the time that is right
    await counter.ask("DELETE", "/paper/v1/faults")
    assert (await counter.ask("GET", "/fapi/v1/time"))[1]["serverTime"] == real


def met(chaos: Chaos, asked: list[tuple[str, str]]) -> list[Fault | None]:
    return [chaos.on_request(method, path, 0) for method, path in asked]


def test_a_seed_gives_the_same_faults_whatever_else_is_asked_in_between() -> None:
    order, poll = ("POST", "/fapi/v1/order"), ("GET", "/fapi/v1/openOrders")
    plain = met(Chaos(seed=1, rate=0.3), [order] * 300)
    mixed = met(Chaos(seed=1, rate=0.3), [order, poll, poll] * 300)[::3]
    assert plain == mixed
    assert plain != met(Chaos(seed=2, rate=0.3), [order] * 300)
    share = sum(fault is not None for fault in plain) / 300
    assert 0.2 < share < 0.4
    assert {fault.kind for fault in plain if fault} == set(REQUEST_KINDS) - {"vanish"}
    assert met(Chaos(seed=1, rate=0.0), [order] * 50) == [None] * 50
    assert all(met(Chaos(seed=1, rate=1.0), [order] * 50))


def test_a_schedule_keeps_to_its_kinds_and_to_its_end() -> None:
    chaos = Chaos(seed=1, rate=1.0, kinds=("vanish", "late", "skew"), until_ms=100_000)
    assert {fault.kind for fault in met(chaos, [("POST", "/fapi/v1/algoOrder")] * 40) if fault} == {"vanish", "late"}
    assert met(chaos, [("GET", "/fapi/v1/order")] * 5) == [None] * 5
    assert chaos.skew_ms(60_000) == chaos.skew_ms(99_000) != 0
    assert (chaos.skew_ms(100_000), chaos.on_request("POST", "/fapi/v1/order", 100_000)) == (0, None)
    assert chaos.on_event(0) is None


async def test_a_schedule_by_the_endpoint_goes_on_after_a_restart(counter: Any) -> None:
    body = b'{"seed": 7, "rate": 0.5, "kinds": ["refuse", "unknown"], "until": 0}'
    status, told, _ = await counter.ask("POST", "/paper/v1/chaos", body=body)
    assert (status, told["kinds"]) == (200, ["refuse", "unknown"])
    first = [(await counter.ask("POST", "/fapi/v1/order", **ORDER))[0] for _ in range(10)]
    counter.faults = Faults(counter.floor.store, counter.floor.exchange.records)
    same = met(Chaos(seed=7, rate=0.5, kinds=("refuse", "unknown")), [("POST", "/fapi/v1/order")] * 20)
    assert [status == 503 for status in first] == [fault is not None for fault in same[:10]]
    later = [counter.faults.take("POST", "/fapi/v1/order", 0) for _ in range(10)]
    assert later == same[10:]
    assert (await counter.ask("GET", "/paper/v1/status"))[0] == 200  # our own endpoints are never hit
    await counter.ask("DELETE", "/paper/v1/chaos")
    assert (await counter.ask("GET", "/paper/v1/chaos"))[1] == {}


@pytest.mark.parametrize(
    ("params", "code"),
    [({"rate": "2", "seed": 1}, -1130), ({"rate": "0.1"}, -1102), ({"rate": "0.1", "seed": 1, "kinds": "x"}, -1130)],
)
async def test_a_schedule_that_makes_no_sense_is_refused(counter: Any, params: dict[str, Any], code: int) -> None:
    assert (await counter.ask("POST", "/paper/v1/chaos", **params))[1]["code"] == code


def test_user_events_come_twice_in_another_order_or_not_at_all() -> None:
    user = UserFaults()
    told = [user.pass_on(1, None, 0), user.pass_on(2, Fault("duplicate"), 0), user.pass_on(3, Fault("lose"), 0)]
    assert told == [[1], [2, 2], []]
    assert [user.pass_on(4, Fault("reorder"), 0), user.pass_on(5, None, 0)] == [[], [5, 4]]
    assert [user.pass_on(6, Fault("silence", 100), 50), user.pass_on(7, None, 149)] == [[], []]
    assert user.pass_on(8, None, 150) == [8]
    user.pass_on(9, Fault("reorder"), 200)
    assert user.clear() == [9]


async def test_what_is_done_to_the_user_stream_needs_no_path(counter: Any) -> None:
    for kind in USER_KINDS:
        assert (await counter.ask("POST", "/paper/v1/faults", kind=kind, ms=10, count=1))[0] == 200
    assert counter.done == ["cut_user", "expire_key"]
    assert [counter.faults.take_event(0).kind for _ in range(3)] == ["duplicate", "reorder", "lose"]
    assert counter.faults.user.silent_until_ms > counter.time.now_ms()
    assert (await counter.ask("POST", "/paper/v1/faults", kind="nothing", path="/"))[1]["code"] == -1130


def test_a_key_runs_out_once() -> None:
    from phoenix95.paper.listen_keys import ListenKeys
    from phoenix95.paper.store import Store

    now = 100.0
    keys = ListenKeys(Store(""), lambda: now)
    key = keys.create()
    assert keys.create() == key
    now += 3599
    assert keys.keep() == key
    now += 3599
    assert keys.active(key)
    keys.run_out()
    assert not keys.active(key)
    assert (keys.expired(), keys.expired()) == (key, None)
    with pytest.raises(RefusedError):
        keys.keep()
    assert keys.create() != key


def refused(call: Any, *args: Any) -> tuple[int, int, int | None]:
    with pytest.raises(RefusedError) as refusal:
        call(*args)
    return refusal.value.code, refusal.value.status, refusal.value.retry_after_s


def test_weight_and_orders_are_counted_and_refused_above_their_limits() -> None:
    limits = Limits(100, 3, 5)
    limits.weigh(100, 10.0)
    assert refused(limits.weigh, 1, 15.0) == (-1003, 429, 46)
    limits.weigh(100, 60.0)
    for n in range(3):
        limits.count(1, 60.0 + n)
    assert refused(limits.count, 1, 69.0) == (-1015, 429, 2)
    limits.count(2, 70.0)
    assert refused(limits.count, 1, 81.0) == (-1015, 429, 40)
    assert dict(limits.headers(ordering=True)) == {
        b"x-mbx-used-weight-1m": b"100",
        b"x-mbx-order-count-10s": b"0",
        b"x-mbx-order-count-1m": b"5",
    }


def test_who_goes_on_regardless_is_banned_for_a_while() -> None:
    limits = Limits(1, 9, 9)
    limits.weigh(1, 0.0)
    codes = [refused(limits.weigh, 1, 1.0)[1] for _ in range(BAN_AFTER + 2)]
    assert codes == [429] * (BAN_AFTER + 1) + [418]
    assert refused(limits.weigh, 0, 61.0) == (-1003, 418, BAN_S - 60 + 1)
    limits.weigh(1, BAN_S + 2.0)


async def test_answers_say_how_much_is_used_and_when_to_come_back(counter: Any) -> None:
    await counter.ask("POST", "/paper/v1/limits", orders10s=2)
    assert (await counter.ask("GET", "/fapi/v1/exchangeInfo"))[1]["rateLimits"][2]["limit"] == 2
    for n in (1, 2):
        _, _, headers = await counter.ask("POST", "/fapi/v1/order", **ORDER)
        assert (headers["x-mbx-order-count-10s"], headers["x-mbx-order-count-1m"]) == (str(n), str(n))
    status, answer, headers = await counter.ask("POST", "/fapi/v1/order", **ORDER)
    assert (status, answer["code"]) == (429, -1015)
    assert 1 <= int(headers["retry-after"]) <= 11
    await counter.ask("POST", "/paper/v1/limits", weight=1)
    await counter.ask("GET", "/fapi/v1/ping")
    status, _, headers = await counter.ask("GET", "/fapi/v1/ping")
    assert (status, headers["x-mbx-used-weight-1m"]) == (429, "2")
