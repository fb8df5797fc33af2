"""`flatten --direct` against an exchange whose lists cannot be read, or not all of them."""

from decimal import Decimal
from typing import Any

import pytest

from phoenix95.common.settings import load
from phoenix95.executor.config import ExecutorSettings
from phoenix95.executor.offline.flatten import Done, flatten

from .conftest import KEY, NOW_MS, SECRET, Stub

ORDERS, ALGOS = "/fapi/v1/openOrders", "/fapi/v1/openAlgoOrders"
POSITIONS, ORDER = "/fapi/v3/positionRisk", "/fapi/v1/order"
HELD = {"symbol": "BTCUSDT", "positionSide": "LONG", "positionAmt": "0.5", "entryPrice": "1", "markPrice": ""}
STOP = {
    "symbol": "BTCUSDT", "algoId": 7, "clientAlgoId": "p95s-1", "orderType": "STOP_MARKET", "side": "SELL",
    "positionSide": "LONG", "triggerPrice": "",
}  # fmt: skip


async def flattened(stub: Stub, said: list[str], seconds: float = 5.0) -> Done:
    stub.say("GET", "/paper/v1/clock", 200, {"serverTime": NOW_MS})
    settings = load(
        ExecutorSettings,
        "executor",
        {
            "P95_EXCHANGE_REST_URL": stub.url, "P95_EXECUTOR_API_KEY": KEY, "P95_EXECUTOR_API_SECRET": SECRET,
        },
    )  # fmt: skip
    return await flatten(
        settings, symbol=None, seconds=seconds, dry_run=False, say=said.append, confirm=lambda _question: True
    )


def closings(stub: Stub) -> list[Decimal]:
    return [Decimal(one.params["quantity"]) for one in stub.asked if (one.method, one.path) == ("POST", ORDER)]


@pytest.mark.parametrize("status", [500, 401])
async def test_positions_are_closed_although_no_order_can_be_listed(stub: Stub, status: int) -> None:
    said: list[str] = []
    stub.say("GET", POSITIONS, 200, [HELD])
    stub.say("GET", POSITIONS, 200, [HELD])
    stub.say("GET", POSITIONS, 200, [])
    stub.say("GET", ORDERS, status, {"code": -2015 if status == 401 else -1000, "msg": "no"})
    stub.say("GET", ALGOS, 200, [])
    done = await flattened(stub, said, 0.8)
    assert closings(stub) == [Decimal("0.5")]
    assert not done.flat
    assert any("orders could not be listed" in one for one in done.left)
    assert sum("orders could not be listed" in one for one in said) == 2  # before the question, and once after


async def test_what_only_people_look_at_keeps_nothing_from_being_closed_and_cancelled(stub: Stub) -> None:
    for listed in ([HELD], [HELD], []):
        stub.say("GET", POSITIONS, 200, listed)
    for resting in ([STOP], [STOP], [STOP], []):
        stub.say("GET", ALGOS, 200, resting)
    stub.say("GET", ORDERS, 200, [])
    stub.say("GET", "/fapi/v1/exchangeInfo", 200, {"symbols": [{"symbol": "BTCUSDT", "filters": "?"}]})
    done = await flattened(stub, [])
    assert (done.flat, done.closed, done.cancelled) == (True, 1, 1)
    assert closings(stub) == [Decimal("0.5")]


@pytest.mark.parametrize("where", [POSITIONS, ORDERS, ALGOS])
async def test_a_row_that_nobody_can_read_is_told_and_the_others_are_done(stub: Stub, where: str) -> None:
    rows: dict[str, list[list[Any]]] = {POSITIONS: [[HELD], [HELD], []], ORDERS: [[]], ALGOS: [[STOP], [STOP], []]}
    for path, answers in rows.items():
        for answer in answers:
            stub.say("GET", path, 200, [*answer, {"symbol": "ETHUSDT", "side": "?"}] if path == where else answer)
    done = await flattened(stub, said := [])
    assert closings(stub) == [Decimal("0.5")]
    assert not done.flat
    assert len(done.left) == 1
    assert "unreadable" in done.left[0]
    assert "ETHUSDT" in done.left[0]
    assert "ETHUSDT" in "".join(said)
