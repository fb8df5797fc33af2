"""Recorded and documented answers and events, as `P95_TEST_DATA` names them, are understood."""

import gzip
import json
import os
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from phoenix95.common.money import plain
from phoenix95.executor.venue.payloads import (
    Account,
    AlgoOrder,
    ExchangeInfo,
    Order,
    PositionRisk,
    Tiers,
)  # fmt: skip
from phoenix95.executor.venue.user_stream import symbols_in

D = Decimal
FOLDER = os.environ.get("P95_TEST_DATA", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="P95_TEST_DATA is not set: no recorded answers to read")


def recorded(name: str) -> Any:
    path = Path(FOLDER) / "rest" / name
    return json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())


def read(kind: Any, found: Any) -> Any:
    return msgspec.convert(found, kind, strict=False)


def test_a_whole_exchange_info() -> None:
    info: ExchangeInfo = read(ExchangeInfo, recorded("exchangeInfo_20210722.json.gz"))
    rules = {one.symbol: found for one in info.symbols if (found := one.rules()) is not None}
    assert len(rules) > 100
    bitcoin = rules["BTCUSDT"]
    assert (bitcoin.trading, bitcoin.contract_type, bitcoin.notional_min) == (True, "PERPETUAL", D(5))
    assert (bitcoin.price_min, bitcoin.percent_down) == (D("556.72"), D("0.85"))
    assert {one.contract_type for one in rules.values() if one.trading} == {"PERPETUAL", "CURRENT_QUARTER"}
    assert all(one.price_tick > 0 and one.quantity_step > 0 for one in rules.values() if one.trading)
    assert {one.rate_limit_type for one in info.rate_limits} == {"REQUEST_WEIGHT", "ORDERS"}


def test_the_tiers_of_every_symbol_make_one_ladder() -> None:
    tables = recorded("leverage_tiers.json.gz")
    assert len(tables) > 300
    for name, rows in tables.items():
        tiers = read(Tiers, {"symbol": name, "brackets": [row["info"] for row in rows]}).sorted()
        assert tiers[0].floor == 0
        for low, high in pairwise(tiers):
            assert (low.cap, low.rate < high.rate, low.leverage >= high.leverage) == (high.floor, True, True), name
            assert abs(high.cum - (low.cum + high.floor * (high.rate - low.rate))) <= 1, name


def test_orders_positions_and_the_account() -> None:
    order = read(Order, recorded("rs_http_json__order_response.json")).report()
    assert (order.order_id, order.state, order.filled, order.average_price) == ("12345678", "OPEN", 0, None)
    algo = read(list[AlgoOrder], recorded("rs_http_json__open_algo_orders.json"))[0].report()
    assert (algo.client_id, algo.state, plain(algo.quantity)) == ("test-algo-order-1", "OPEN", "0.001")
    position = read(list[PositionRisk], recorded("rs_http_json__position_risk.json"))[0].position()
    assert (position.position_side, position.size, position.mark_price) == ("LONG", D("0.001"), D(51000))
    account = read(Account, recorded("rs_http_json__account_info_v2.json")).account()
    assert account.equity == account.available == D("23.72469206")


@pytest.mark.parametrize(
    "path", sorted(Path(FOLDER or "/nowhere").glob("user_stream/rs_user_data*")), ids=lambda p: p.stem
)
def test_every_user_event_names_its_symbols(path: Path) -> None:
    frame = path.read_bytes()
    event = json.loads(frame)
    positions = {one["s"] for one in event.get("a", {}).get("P", [])}
    order = {event["o"]["s"]} if "o" in event else set()
    assert symbols_in(frame) == positions | order
