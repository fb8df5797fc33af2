"""Endpoints over the whole REST application: several orders at once, queries, settings, and what tests are given."""

import json
from decimal import Decimal
from typing import Any

import pytest

from phoenix95.paper.core.frames import AggTrade, BookTicker
from phoenix95.paper.rest.app import ROUTES
from phoenix95.paper.sources.synthetic import SyntheticSource

D = Decimal
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "2"}
LIMIT = {**ORDER, "type": "LIMIT", "price": "99.00", "timeInForce": "GTC"}


async def test_several_orders_at_once_each_stand_for_themselves(counter: Any) -> None:
    batch = [
        {**LIMIT, "newClientOrderId": "a"},
        {**LIMIT, "type": "STOP_MARKET"},
        {**LIMIT, "quantity": 2, "price": 98, "newClientOrderId": "b"},
    ]
    status, answers, headers = await counter.ask("POST", "/fapi/v1/batchOrders", batchOrders=json.dumps(batch))
    assert (status, headers["x-mbx-order-count-10s"]) == (200, "3")
    assert [answer.get("clientOrderId", answer.get("code")) for answer in answers] == ["a", -4120, "b"]
    changes = [
        {"symbol": "BTCUSDT", "side": "BUY", "orderId": answers[0]["orderId"], "quantity": "3", "price": "98.00"}
    ]
    _, (changed,), _ = await counter.ask("PUT", "/fapi/v1/batchOrders", batchOrders=json.dumps(changes))
    assert (changed["origQty"], changed["price"]) == ("3.000", "98.00")
    _, ended, _ = await counter.ask(
        "DELETE", "/fapi/v1/batchOrders", symbol="BTCUSDT", origClientOrderIdList='["a","nobody"]'
    )
    assert [answer.get("status", answer.get("code")) for answer in ended] == ["CANCELED", -2011]
    _, ended, _ = await counter.ask(
        "DELETE", "/fapi/v1/batchOrders", symbol="BTCUSDT", orderIdList=json.dumps([answers[2]["orderId"]])
    )
    assert ended[0]["status"] == "CANCELED"
    for wrong in ("[]", "{", json.dumps([LIMIT] * 6), '["x"]'):
        assert (await counter.ask("POST", "/fapi/v1/batchOrders", batchOrders=wrong))[1]["code"] == -1130


async def test_orders_are_found_changed_and_cancelled_by_either_id(counter: Any) -> None:
    _, placed, _ = await counter.ask("POST", "/fapi/v1/order", **LIMIT, newClientOrderId="a")
    key = {"symbol": "BTCUSDT", "origClientOrderId": "a"}
    _, changed, _ = await counter.ask("PUT", "/fapi/v1/order", **key, side="BUY", quantity="3", price="98.00")
    assert (changed["orderId"], changed["origQty"]) == (placed["orderId"], "3.000")
    assert (await counter.ask("GET", "/fapi/v1/openOrder", **key))[1]["price"] == "98.00"
    assert [order["orderId"] for order in (await counter.ask("GET", "/fapi/v1/openOrders"))[1]] == [placed["orderId"]]
    _, cancelled, _ = await counter.ask("DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed["orderId"])
    assert cancelled["status"] == "CANCELED"
    assert (await counter.ask("DELETE", "/fapi/v1/order", **key))[1]["code"] == -2011
    assert (await counter.ask("GET", "/fapi/v1/openOrder", **key))[1]["code"] == -2013
    assert (await counter.ask("GET", "/fapi/v1/order", **key))[1]["status"] == "CANCELED"
    counter.floor.ms += 3 * 24 * 3600 * 1000 + 1
    assert (await counter.ask("GET", "/fapi/v1/order", **key))[1]["code"] == -2013  # never filled, three days ago


async def test_cancelling_all_orders_leaves_the_conditional_ones_and_the_other_way_round(counter: Any) -> None:
    stop = {**ORDER, "side": "SELL", "type": "STOP_MARKET", "triggerPrice": "95.00"}
    await counter.ask("POST", "/fapi/v1/order", **LIMIT)
    await counter.ask("POST", "/fapi/v1/algoOrder", **stop)
    await counter.ask("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    assert (await counter.ask("GET", "/fapi/v1/openOrders"))[1] == []
    assert len((await counter.ask("GET", "/fapi/v1/openAlgoOrders"))[1]) == 1
    await counter.ask("POST", "/fapi/v1/order", **LIMIT)
    await counter.ask("DELETE", "/fapi/v1/algoOpenOrders", symbol="BTCUSDT")
    assert len((await counter.ask("GET", "/fapi/v1/openOrders"))[1]) == 1
    assert (await counter.ask("GET", "/fapi/v1/openAlgoOrders"))[1] == []


async def test_fills_and_income_are_paged_by_id_and_time(counter: Any) -> None:
    for _ in range(3):
        counter.floor.ms += 1000
        await counter.ask("POST", "/fapi/v1/order", **ORDER)
    _, fills, _ = await counter.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")
    times, ids = [fill["time"] for fill in fills], [fill["id"] for fill in fills]

    async def asked(path: str, **params: Any) -> Any:
        return (await counter.ask("GET", path, symbol="BTCUSDT", **params))[1]

    assert [fill["id"] for fill in await asked("/fapi/v1/userTrades", startTime=times[0], limit=1)] == ids[:1]
    assert [fill["id"] for fill in await asked("/fapi/v1/userTrades", limit=1)] == ids[-1:]
    assert [fill["id"] for fill in await asked("/fapi/v1/userTrades", fromId=ids[1])] == ids[1:]
    assert (await asked("/fapi/v1/userTrades", fromId=ids[1], startTime=times[0]))["code"] == -1128
    assert (await asked("/fapi/v1/userTrades", startTime=0, endTime=8 * 86_400_000))["code"] == -1128
    rows = await asked("/fapi/v1/income", incomeType="COMMISSION")
    assert [(row["tradeId"], row["incomeType"]) for row in rows] == [(str(n), "COMMISSION") for n in ids]
    assert [row["tranId"] for row in await asked("/fapi/v1/income", limit=1, page=2)] == [rows[1]["tranId"]]
    assert [row["time"] for row in await asked("/fapi/v1/income", startTime=times[1], limit=1)] == [times[1]]
    (first,) = (await counter.ask("GET", "/fapi/v1/income", incomeType="TRANSFER"))[1]
    assert (first["income"], first["asset"], first["symbol"]) == ("10000.00000000", "USDT", "")


async def test_open_orders_show_in_account_and_position(counter: Any) -> None:
    await counter.ask("POST", "/fapi/v1/order", **LIMIT)
    _, (row,), _ = await counter.ask("GET", "/fapi/v3/positionRisk")
    assert (row["positionAmt"], row["bidNotional"], row["openOrderInitialMargin"]) == (
        "0",
        "198.00000000",
        "9.90000000",
    )
    _, account, _ = await counter.ask("GET", "/fapi/v3/account")
    assert account["totalOpenOrderInitialMargin"] == "9.90000000"
    assert account["availableBalance"] == "9990.10000000"


async def test_the_book_is_shown_level_by_level(counter: Any) -> None:
    _, book, _ = await counter.ask("GET", "/fapi/v1/depth", symbol="BTCUSDT", limit=3)
    assert [level[0] for level in book["asks"]] == ["100.10", "100.20", "100.30"]
    assert [level[0] for level in book["bids"]] == ["100.00", "99.90", "99.80"]
    assert book["asks"][0][1] == "1000.000"


async def test_what_the_key_may_do_can_be_set(counter: Any) -> None:
    path = "/sapi/v1/account/apiRestrictions"
    _, told, _ = await counter.ask("GET", path)
    assert (told["ipRestrict"], told["enableWithdrawals"], told["enableFutures"]) == (True, False, True)
    await counter.ask("POST", "/paper/v1/restrictions", body=b'{"enableWithdrawals": true, "ipRestrict": false}')
    _, told, _ = await counter.ask("GET", path)
    assert (told["ipRestrict"], told["enableWithdrawals"]) == (False, True)
    assert (await counter.ask("POST", "/paper/v1/restrictions", nonsense="true"))[1]["code"] == -1130


async def test_leverage_does_not_go_where_what_is_held_forbids_it(counter: Any) -> None:
    path = "/fapi/v1/leverage"
    for _ in range(2):
        await counter.ask("POST", "/fapi/v1/order", **{**ORDER, "quantity": "99"})
    for leverage, code in ((126, -4028), (1, -2028), (10, None)):
        answer = (await counter.ask("POST", path, symbol="BTCUSDT", leverage=leverage))[1]
        assert answer.get("code") == code
    counter.floor.exchange.set_isolated("ETHUSDT", True)
    counter.floor.quote("100.00", "100.10", "ETHUSDT")
    await counter.ask("POST", "/fapi/v1/order", **{**ORDER, "symbol": "ETHUSDT"})
    assert (await counter.ask("POST", path, symbol="ETHUSDT", leverage=19))[1]["code"] == -4161
    assert (await counter.ask("POST", path, symbol="ETHUSDT", leverage=21))[1]["leverage"] == 21


async def test_only_this_machine_may_tamper(counter: Any) -> None:
    ours = [(method, path) for method, path in ROUTES if path.startswith("/paper/")]
    opened = []
    for method, path in ours:
        status, answer, _ = await counter.ask(method, path, client="192.0.2.7")
        if status != 403:
            opened.append(path)
        else:
            assert answer["code"] == -1002
    assert opened == ["/paper/v1/clock", "/paper/v1/status"]
    assert (await counter.ask("GET", "/paper/v1/book-keeping", client="::1"))[0] == 200


async def test_a_person_trades_closes_and_cancels_by_hand(counter: Any) -> None:
    path = "/paper/v1/manual"
    _, order, _ = await counter.ask("POST", path, **ORDER)
    assert (order["status"], order["clientOrderId"][:4]) == ("FILLED", "web_")
    _, resting, _ = await counter.ask("POST", path, **LIMIT)
    _, stop, _ = await counter.ask("POST", path, **{**ORDER, "side": "SELL", "type": "STOP_MARKET"}, triggerPrice="95")
    assert stop["algoStatus"] == "NEW"
    for key in ({"orderId": resting["orderId"]}, {"algoId": stop["algoId"]}):
        assert (await counter.ask("POST", path, action="cancel", symbol="BTCUSDT", **key))[0] == 200
    _, (closing,), _ = await counter.ask("POST", path, action="close", symbol="BTCUSDT")
    assert (closing["side"], closing["executedQty"]) == ("SELL", "2.000")
    assert (await counter.ask("POST", path, action="close", symbol="BTCUSDT"))[1] == []


async def test_the_books_count_entries_by_client_id(counter: Any) -> None:
    for name in ("a", "a", "b"):
        await counter.ask("POST", "/fapi/v1/order", **ORDER, newClientOrderId=name)
    closing = {**ORDER, "side": "SELL", "reduceOnly": "true", "quantity": "6"}
    await counter.ask("POST", "/fapi/v1/order", **closing, newClientOrderId="x")
    _, books, _ = await counter.ask("GET", "/paper/v1/book-keeping")
    assert books["entriesByClientId"] == {"a": 2, "b": 1}
    assert books["quantityByClientId"] == {"a": "4.000", "b": "2.000", "x": "6.000"}
    assert (len(books["orders"]), len(books["fills"]), books["positions"]) == (4, 4, [])
    assert [row["positionSide"] for row in books["naked"]] == ["BOTH"]


async def test_money_comes_and_goes(counter: Any) -> None:
    assert (await counter.ask("POST", "/paper/v1/transfer", amount="-4000.5"))[1]["wallet"] == "5999.5"
    assert counter.floor.told("ACCOUNT_UPDATE")[-1]["a"]["m"] == "WITHDRAW"
    assert (await counter.ask("POST", "/paper/v1/transfer", amount="-6000"))[1]["code"] == -2019
    assert (await counter.ask("POST", "/paper/v1/transfer", amount="1"))[1]["wallet"] == "6000.5"


async def test_funding_and_deleveraging_on_demand(counter: Any) -> None:
    await counter.ask("POST", "/fapi/v1/order", **ORDER)
    _, told, _ = await counter.ask("POST", "/paper/v1/funding", symbol="BTCUSDT", rate="0.01", now="true")
    assert told == {"symbol": "BTCUSDT", "rate": "0.01000000"}
    _, (row,), _ = await counter.ask("GET", "/fapi/v1/income", incomeType="FUNDING_FEE")
    assert D(row["income"]) == -2 * D("100.05") * D("0.01")
    _, order, _ = await counter.ask("POST", "/paper/v1/adl", symbol="BTCUSDT")
    assert (order["clientOrderId"], order["status"]) == ("adl_autoclose", "FILLED")
    assert (await counter.ask("GET", "/fapi/v1/premiumIndex", symbol="BTCUSDT"))[1]["lastFundingRate"] == "0.01000000"
    assert len((await counter.ask("GET", "/fapi/v1/fundingRate", symbol="BTCUSDT"))[1]) == 1


async def test_a_market_is_moved_by_its_tick_from_a_moment_on(counter: Any) -> None:
    now_ms = counter.floor.ms
    _, told, _ = await counter.ask("POST", "/paper/v1/price", symbol="BTCUSDT", price="90.04", after=1000, hold=500)
    assert (told["price"], told["from"] - now_ms, told["until"] - now_ms) == ("90.0", 1000, 1500)
    assert counter.forced == [("BTCUSDT", D("90.0"), now_ms + 1000, now_ms + 1500)]


def test_a_forced_price_is_there_at_its_time_is_held_and_walked_on_from() -> None:
    def played(forced: bool, *, restarted: bool = False) -> list[Any]:
        source = SyntheticSource(5, ["BTCUSDT", "ETHUSDT"])
        begin = source.origin_ms
        if restarted:  # told again at the start, for the stretch that is played again
            source.force("BTCUSDT", D("90000.0"), begin + 950, begin + 2000, again=True)
        found = source.due(begin + 500, 100_000)
        if forced and not restarted:
            assert source.force("BTCUSDT", D("90000.0"), begin + 950, begin + 2000) == begin + 1000
        return [*found, *source.due(begin + 5000, 100_000)]

    plain, moved = played(False), played(True)
    assert [one.payload for one in played(True, restarted=True)] == [one.payload for one in moved]
    begin = SyntheticSource(5, ["BTCUSDT"]).origin_ms
    held = [one for one in moved if one.symbol == "BTCUSDT" and begin + 1000 <= one.ms <= begin + 2000]
    assert {one.body.p for one in held if isinstance(one.body, AggTrade)} == {"90000.00"}
    assert {(one.body.b, one.body.a) for one in held if isinstance(one.body, BookTicker)} == {("90000.00", "90000.10")}
    assert len([one for one in held if isinstance(one.body, AggTrade)]) == 11
    after = [float(one.body.p) for one in moved if isinstance(one.body, AggTrade) and one.ms > begin + 2000]
    near = [price for price in after if price > 50_000]
    assert near
    assert all(abs(price / 90_000 - 1) < 0.01 for price in near)
    ids = [one.body.a for one in moved if isinstance(one.body, AggTrade) and one.symbol == "BTCUSDT"]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    untouched = [[one.payload for one in run if one.symbol == "ETHUSDT"] for run in (plain, moved)]
    assert untouched[0] == untouched[1]


@pytest.mark.parametrize("path", ["/fapi/v1/order", "/fapi/v1/algoOrder", "/fapi/v1/listenKey"])
async def test_a_key_is_asked_for(counter: Any, path: str) -> None:
    counter.app._key = "another"
    assert (await counter.ask("POST", path, **ORDER))[1]["code"] == -2015
