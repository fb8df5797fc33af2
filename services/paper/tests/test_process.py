"""The exchange as a process, spoken to as its clients do: ccxt, websockets, raw HTTP."""

import asyncio
import itertools
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ccxt.async_support as ccxt
import httpx
import pytest
import websockets

SYMBOL = "BTC/USDT:USDT"


@asynccontextmanager
async def ccxt_client(paper: Any) -> AsyncIterator[Any]:
    """The real client with every address pointed at the exchange under test."""
    versions = {"": "v1", "V2": "v2", "V3": "v3"}
    urls = {
        f"fapi{scope}{suffix}": f"{paper.rest}/fapi/{version}"
        for scope in ("Public", "Private")
        for suffix, version in versions.items()
    }
    options = {"fetchCurrencies": False, "adjustForTimeDifference": True}
    config = {"apiKey": "paper-key", "secret": "paper-secret", "options": options, "urls": {"api": urls}}
    client = ccxt.binanceusdm(config)
    client.exceptions["exact"] = {**client.exceptions["exact"], **client.exceptions["linear"]["exact"]}
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


def connect(url: str) -> Any:
    return websockets.connect(url, proxy=None, compression=None, max_queue=None)


async def subscribe(socket: Any, *streams: str, number: int = 1) -> None:
    await socket.send(json.dumps({"method": "SUBSCRIBE", "params": list(streams), "id": number}))
    while "result" not in json.loads(await socket.recv()):
        pass


async def until(condition: Callable[[], Any], within_s: float = 20) -> Any:
    end = time.monotonic() + within_s
    while not (found := await asyncio.to_thread(condition)):
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.05)
    return found


async def test_ccxt_trades_protects_and_closes(start_paper: Callable[..., Any]) -> None:
    paper = start_paper()
    async with ccxt_client(paper) as client:
        market = client.market(SYMBOL)
        assert (market["limits"]["cost"]["min"], market["precision"]["price"]) == (100, 0.1)
        await client.set_position_mode(True)
        await client.set_margin_mode("isolated", SYMBOL)
        await client.set_leverage(10, SYMBOL)
        hedged = {"hedged": True}
        entry = await client.create_order(SYMBOL, "market", "buy", 0.0123456, None, hedged)
        assert (entry["status"], entry["filled"]) == ("closed", 0.012)
        reduce = {**hedged, "reduceOnly": True}
        low, high = entry["average"] * 0.95, entry["average"] * 1.05
        protect = {**reduce, "triggerPrice": low, "clientOrderId": "p95s1"}
        stop = await client.create_order(SYMBOL, "STOP_MARKET", "sell", 0.012, None, protect)
        target = {**reduce, "triggerPrice": high}
        await client.create_order(SYMBOL, "TAKE_PROFIT_MARKET", "sell", 0.012, None, target)
        opened = await client.fetch_open_orders(SYMBOL, params={"trigger": True})
        assert [(one["side"], one["amount"]) for one in opened] == [("sell", 0.012)] * 2
        assert await client.fetch_open_orders(SYMBOL) == []
        found = await client.fetch_order(None, SYMBOL, {"trigger": True, "clientAlgoId": "p95s1"})
        assert (found["id"], found["status"]) == (stop["id"], "open")
        (position,) = await client.fetch_positions()
        assert (position["side"], position["contracts"], position["hedged"]) == ("long", 0.012, True)
        assert 0.85 < position["liquidationPrice"] / entry["average"] < 0.95
        by_id = await client.fetch_order(None, SYMBOL, {"clientOrderId": entry["clientOrderId"]})
        assert by_id["id"] == entry["id"]
        closing = await client.create_order(SYMBOL, "market", "sell", 0.012, None, reduce)
        assert closing["filled"] == 0.012
        await client.cancel_all_orders(SYMBOL, {"trigger": True})
        assert await client.fetch_open_orders(SYMBOL, params={"trigger": True}) == []
        assert await client.fetch_positions() == []
        trades = await client.fetch_my_trades(SYMBOL)
        assert [trade["side"] for trade in trades] == ["buy", "sell"]
        fees = sum(trade["fee"]["cost"] for trade in trades)
        pnl = sum(float(trade["info"]["realizedPnl"]) for trade in trades)
        balance = await client.fetch_balance()
        assert balance["USDT"]["total"] == pytest.approx(10_000 + pnl - fees)
        assert len(await client.fetch_ohlcv(SYMBOL, "5m", limit=20)) == 20
        assert (await client.fetch_funding_rate(SYMBOL))["fundingRate"] == 0.0001
        assert (await client.fetch_leverage(SYMBOL))["longLeverage"] == 10
        assert (await client.fetch_ticker(SYMBOL))["last"] > 0


async def test_ccxt_places_changes_and_cancels_orders_of_every_kind(start_paper: Callable[..., Any]) -> None:
    paper = start_paper()
    async with ccxt_client(paper) as client:
        last = (await client.fetch_ticker(SYMBOL))["last"]
        low, high = last * 0.97, last * 1.03
        resting = await client.create_order(SYMBOL, "limit", "buy", 0.01, low, {"clientOrderId": "l1"})
        assert (resting["status"], resting["filled"], resting["timeInForce"]) == ("open", 0, "GTC")
        moved = await client.edit_order(resting["id"], SYMBOL, "limit", "buy", 0.02, low * 0.99)
        assert (moved["id"], moved["amount"]) == (resting["id"], 0.02)
        assert [one["id"] for one in await client.fetch_open_orders(SYMBOL)] == [resting["id"]]
        with pytest.raises(ccxt.OrderNotFillable, match="-5022"):
            await client.create_order(SYMBOL, "limit", "buy", 0.01, high, {"postOnly": True})
        with pytest.raises(ccxt.OrderNotFillable, match="-5021"):
            await client.create_order(SYMBOL, "limit", "buy", 0.01, low, {"timeInForce": "FOK"})
        taken = await client.create_order(SYMBOL, "limit", "buy", 0.01, high, {"timeInForce": "IOC"})
        assert (taken["status"], taken["filled"]) == ("closed", 0.01)
        assert (await client.cancel_order(resting["id"], SYMBOL))["status"] == "canceled"
        several = await client.create_orders(
            [
                {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.01, "price": low},
                {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.0011, "price": low * 0.9},
                {"symbol": SYMBOL, "type": "limit", "side": "sell", "amount": 0.01, "price": high},
            ]
        )
        assert [one["status"] for one in several] == ["rejected", "open", "open"]  # what has no time comes first
        assert several[0]["info"]["code"] == -4164
        await client.cancel_orders([one["id"] for one in several[1:]], SYMBOL)
        reduce = {"reduceOnly": True}
        kinds: list[tuple[str, float | None, dict[str, Any]]] = [
            ("STOP_MARKET", None, {"triggerPrice": low}),
            ("STOP", low * 0.999, {"triggerPrice": low}),
            ("TAKE_PROFIT", high, {"triggerPrice": high}),
            ("TRAILING_STOP_MARKET", None, {"trailingPercent": 2.5}),
        ]
        ids = []
        for kind, price, more in kinds:
            ids.append((await client.create_order(SYMBOL, kind, "sell", 0.01, price, {**reduce, **more}))["id"])
        closing = {"triggerPrice": high, "closePosition": True}
        ids.append((await client.create_order(SYMBOL, "TAKE_PROFIT_MARKET", "sell", None, None, closing))["id"])
        opened = await client.fetch_open_orders(SYMBOL, params={"trigger": True})
        assert [one["id"] for one in opened] == ids
        assert {one["info"]["callbackRate"] for one in opened} == {"0.0", "2.5"}
        await client.cancel_order(ids[0], SYMBOL, {"trigger": True})
        await client.cancel_all_orders(SYMBOL)
        assert len(await client.fetch_open_orders(SYMBOL, params={"trigger": True})) == 4
        paper.http.post(
            f"{paper.rest}/paper/v1/price", params={"symbol": "BTCUSDT", "price": low * 0.99, "hold": 60_000}
        )

        def flat() -> bool:
            return not paper.call("GET", "/fapi/v3/account")["positions"][0:1] or all(
                float(one["positionAmt"]) == 0 for one in paper.call("GET", "/fapi/v3/account")["positions"]
            )

        await until(flat)
        ended = await client.fetch_order(ids[1], SYMBOL, {"trigger": True})
        actual = await client.fetch_order(ended["info"]["actualOrderId"], SYMBOL)
        trailed = await client.fetch_order(ids[3], SYMBOL, {"trigger": True})
        told = {one["info"]["algoStatus"] for one in (ended, trailed)}
        assert told <= {"TRIGGERED", "FINISHED", "REJECTED"}
        assert actual["type"] == "limit"
        assert (await client.fetch_funding_rate_history(SYMBOL)) == []
        assert (await client.fetch_leverage_tiers([SYMBOL]))[SYMBOL][0]["maintenanceMarginRate"] == 0.004
        ledger = await client.fapiPrivateGetIncome({"limit": 1000})
        wallet = (await client.fetch_balance())["info"]["totalWalletBalance"]
        assert sum(float(row["income"]) for row in ledger) == pytest.approx(float(wallet), abs=1e-7)


async def test_what_rests_and_what_was_loosed_survives_a_kill(start_paper: Callable[..., Any], tmp_path: Path) -> None:
    state = {"P95_PAPER_STATE": str(tmp_path / "paper.db")}
    paper = start_paper(**state)
    last = float(paper.get("/fapi/v1/ticker/price", symbol="BTCUSDT")["price"])
    entry = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.05"}
    paper.call("POST", "/fapi/v1/order", **entry, type="MARKET")
    limit = {**entry, "type": "LIMIT", "timeInForce": "GTC", "price": f"{last * 0.97:.1f}", "newClientOrderId": "l"}
    resting = paper.call("POST", "/fapi/v1/order", **limit)
    trail = {**entry, "side": "SELL", "type": "TRAILING_STOP_MARKET", "callbackRate": "2", "reduceOnly": "true"}
    trailing = paper.call("POST", "/fapi/v1/algoOrder", **trail)
    paper.call("POST", "/fapi/v1/countdownCancelAll", symbol="ETHUSDT", countdownTime=10**6)
    url = paper.rest
    paper.http.post(f"{url}/paper/v1/funding", params={"symbol": "BTCUSDT", "rate": "0.002", "now": "true"})
    paper.http.post(f"{url}/paper/v1/price", params={"symbol": "BTCUSDT", "price": f"{last * 1.05:.1f}", "hold": 10**9})
    high = f"{last * 1.05:.1f}"
    await until(lambda: float(paper.get("/fapi/v1/ticker/price", symbol="BTCUSDT")["price"]) == float(high))
    paper.http.post(f"{url}/paper/v1/chaos", json={"seed": 3, "rate": 0.5, "kinds": ["reject"]})
    paper.get("/fapi/v1/ping")
    await asyncio.sleep(0.7)  # the market's own place is saved twice a second
    books = paper.get("/paper/v1/book-keeping")
    paper.stop(signal.SIGKILL)
    names = ("SEED", "RATE", "KINDS")
    faults = {f"P95_PAPER_FAULT_{name}": word for name, word in zip(names, ("3", "0.5", "reject"), strict=True)}
    again = start_paper(**state, **faults)  # the same schedule goes on where it was
    assert again.get("/paper/v1/chaos")["counts"] == {"GET /fapi/v1/ping": 1}
    again.http.delete(f"{again.rest}/paper/v1/chaos")
    after = again.get("/paper/v1/book-keeping")
    for name in ("wallet", "orders", "fills", "openOrders", "openAlgos", "positions", "naked"):
        assert after[name] == books[name], name
    assert float(again.get("/fapi/v1/ticker/price", symbol="BTCUSDT")["price"]) == float(high)  # still held there
    assert again.call("GET", "/fapi/v1/openOrders")[0]["orderId"] == resting["orderId"]
    # it remembers how far the market had gone: two percent below that sets it off
    low = {"symbol": "BTCUSDT", "price": f"{last * 1.05 * 0.979:.1f}", "hold": 10**9}
    again.http.post(f"{again.rest}/paper/v1/price", params=low)

    def finished() -> bool:
        return bool(again.call("GET", "/fapi/v1/algoOrder", algoId=trailing["algoId"])["algoStatus"] == "FINISHED")

    await until(finished)
    gone = again.call("DELETE", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="l")
    assert gone["status"] == "CANCELED"


async def test_user_events_by_name_and_a_key_that_runs_out(start_paper: Callable[..., Any]) -> None:
    paper = start_paper()
    headers = {"X-MBX-APIKEY": "paper-key"}
    key = paper.http.post(f"{paper.rest}/fapi/v1/listenKey", headers=headers).json()["listenKey"]
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    path = f"{paper.ws}/private/ws?listenKey={key}"
    async with connect(f"{path}&events=TRADE_LITE") as lite, connect(path) as whole:
        paper.http.post(f"{paper.rest}/paper/v1/faults", params={"kind": "duplicate"})
        await asyncio.to_thread(paper.call, "POST", "/fapi/v1/order", **order)
        first = json.loads(await asyncio.wait_for(lite.recv(), 5))
        assert (first["e"], first["l"]) == ("TRADE_LITE", "0.010")
        told = [json.loads(await asyncio.wait_for(whole.recv(), 5)) for _ in range(4)]
        assert told[0] == told[1]
        assert told[3]["o"]["X"] == "FILLED"
        paper.http.post(f"{paper.rest}/paper/v1/faults", params={"kind": "expire_key"})
        expired = json.loads(await asyncio.wait_for(whole.recv(), 5))
        assert (expired["e"], expired["listenKey"]) == ("listenKeyExpired", key)
        paper.http.post(f"{paper.rest}/paper/v1/faults", params={"kind": "cut_user"})
        await asyncio.wait_for(whole.wait_closed(), 5)


async def test_ccxt_is_refused_with_the_exchanges_codes(start_paper: Callable[..., Any]) -> None:
    paper = start_paper()
    async with ccxt_client(paper) as client:
        with pytest.raises(ccxt.OrderNotFound, match="-2013"):
            await client.fetch_order("1", SYMBOL)
        with pytest.raises(ccxt.InsufficientFunds, match="-2019"):
            await client.create_order(SYMBOL, "market", "buy", 50)
        with pytest.raises(ccxt.OrderImmediatelyFillable, match="-2021"):
            await client.create_order(SYMBOL, "STOP_MARKET", "sell", 0.01, None, {"triggerPrice": 10**6})
        with pytest.raises(ccxt.MarginModeAlreadySet, match="-4046"):
            await client.set_margin_mode("cross", SYMBOL)
        client.secret = "wrong"
        with pytest.raises(ccxt.AuthenticationError, match="-1022"):
            await client.fetch_balance()
        client.secret, client.apiKey = "paper-secret", "wrong"
        with pytest.raises(ccxt.AuthenticationError, match="-2015"):
            await client.fetch_balance()
        client.apiKey = "paper-key"
        client.options["timeDifference"] += 60_000
        with pytest.raises(ccxt.InvalidNonce, match="-1021"):
            await client.fetch_balance()


def test_raw_http_answers_as_documented(start_paper: Callable[..., Any]) -> None:
    paper = start_paper(P95_PAPER_SYMBOLS="BTCUSDT,NEWCOINUSDT")
    info = paper.http.get(f"{paper.rest}/fapi/v1/exchangeInfo")
    assert [symbol["symbol"] for symbol in info.json()["symbols"]] == ["BTCUSDT", "NEWCOINUSDT"]
    assert int(info.headers["X-MBX-USED-WEIGHT-1M"]) >= 1
    trades = paper.get("/fapi/v1/aggTrades", symbol="BTCUSDT", fromId=1, limit=50)
    assert [trade["a"] for trade in trades] == list(range(1, 51))
    window = paper.get("/fapi/v1/aggTrades", symbol="BTCUSDT", startTime=trades[9]["T"], endTime=trades[19]["T"])
    assert {trade["a"] for trade in trades[9:20]} <= {trade["a"] for trade in window}
    bars = paper.get("/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=1500)
    assert len(bars) == 1500
    assert [b[0] - a[0] for a, b in itertools.pairwise(bars)] == [60_000] * 1499
    since = paper.get("/fapi/v1/klines", symbol="BTCUSDT", interval="1m", startTime=bars[100][0], limit=3)
    assert since == bars[100:103]
    for path, params, status, code in (
        ("/fapi/v1/aggTrades", {"symbol": "XX"}, 400, -1121),
        ("/fapi/v1/aggTrades", {}, 400, -1102),
        ("/fapi/v1/aggTrades", {"symbol": "BTCUSDT", "fromId": 1, "startTime": 1}, 400, -1128),
        ("/fapi/v1/aggTrades", {"symbol": "BTCUSDT", "limit": "many"}, 400, -1130),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "7m"}, 400, -1120),
        ("/fapi/v1/account", {}, 404, -5000),
        ("/fapi/v3/account", {}, 401, -2014),
    ):
        answer = paper.http.get(paper.rest + path, params=params)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
    assert set(paper.get("/paper/v1/clock")) == {"serverTime", "rate", "originMs"}


async def test_frames_come_on_their_own_path_only(start_paper: Callable[..., Any]) -> None:
    paper = start_paper(P95_PAPER_SPEED="5")
    streams = [f"btcusdt@{kind}" for kind in ("aggTrade", "ticker", "markPrice@1s", "bookTicker")]

    async def heard(path: str) -> set[str]:
        seen: set[str] = set()
        async with connect(paper.ws + path) as socket:
            await subscribe(socket, *streams, number=7)
            end = time.monotonic() + 1.5
            while (left := end - time.monotonic()) > 0:
                try:
                    frame = json.loads(await asyncio.wait_for(socket.recv(), left))
                except TimeoutError:
                    break
                seen.add(frame["stream"] if "stream" in frame else f"raw {frame['e']}")
        return seen

    market, public, private, legacy, raw = await asyncio.gather(
        *(heard(path) for path in ("/market/stream", "/public/stream", "/private/stream", "/stream", "/market/ws"))
    )
    assert market == set(streams[:3])
    assert public == {streams[3]}
    assert private == legacy == set()
    assert raw == {"raw aggTrade", "raw 24hrTicker", "raw markPriceUpdate"}
    with pytest.raises(websockets.InvalidStatus, match="404"):
        await connect(f"{paper.ws}/nothing").__aenter__()


async def test_websocket_and_rest_tell_the_same_trades_without_a_gap(start_paper: Callable[..., Any]) -> None:
    paper = start_paper(P95_PAPER_SPEED="20")
    seen: list[Any] = []
    async with connect(f"{paper.ws}/market/stream?streams=ethusdt@aggTrade") as socket:
        while len(seen) < 200:
            seen.append(json.loads(await socket.recv())["data"])
    first = seen[0]["a"]
    assert [trade["a"] for trade in seen] == list(range(first, first + 200))
    rows = paper.get("/fapi/v1/aggTrades", symbol="ETHUSDT", fromId=first, limit=200)
    assert [{name: trade[name] for name in rows[0]} for trade in seen] == rows


async def test_a_chatterer_is_disconnected(start_paper: Callable[..., Any]) -> None:
    paper = start_paper()
    async with connect(f"{paper.ws}/market/ws") as socket:
        for number in range(30):
            await socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        with pytest.raises(websockets.ConnectionClosed, match="1008"):
            await drained(socket)


async def drained(socket: Any) -> None:
    """Read until the connection ends."""
    async for _ in socket:
        pass


async def test_the_user_stream_tells_of_orders(start_paper: Callable[..., Any]) -> None:
    paper = start_paper()
    headers = {"X-MBX-APIKEY": "paper-key"}
    key = paper.http.post(f"{paper.rest}/fapi/v1/listenKey", headers=headers).json()["listenKey"]
    assert paper.http.put(f"{paper.rest}/fapi/v1/listenKey", headers=headers).json() == {"listenKey": key}
    async with (
        connect(f"{paper.ws}/private/ws?listenKey={key}") as socket,
        connect(f"{paper.ws}/private/stream") as other,
        connect(f"{paper.ws}/private/ws?listenKey=wrong") as deaf,
    ):
        await subscribe(other, key)
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "newClientOrderId": "u1"}
        answer = await asyncio.to_thread(paper.call, "POST", "/fapi/v1/order", **order)
        assert (answer["status"], answer["clientOrderId"]) == ("NEW", "u1")  # ACK is the default answer
        events = [json.loads(await asyncio.wait_for(socket.recv(), 5)) for _ in range(3)]
        assert [event["e"] for event in events] == ["ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]
        assert events[2]["o"]["i"] == answer["orderId"]
        wrapped = json.loads(await asyncio.wait_for(other.recv(), 5))
        assert wrapped == {"stream": key, "data": events[0]}
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(deaf.recv(), 0.3)
    assert paper.http.delete(f"{paper.rest}/fapi/v1/listenKey", headers=headers).json() == {}
    assert paper.http.put(f"{paper.rest}/fapi/v1/listenKey", headers=headers).json()["code"] == -1125


def test_armed_faults_do_and_answer_what_they_say(start_paper: Callable[..., Any]) -> None:
    paper = start_paper()
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}

    def arm(kind: str, **params: Any) -> None:
        query = {"method": "POST", "path": "/fapi/v1/order", "kind": kind, **params}
        assert paper.http.post(f"{paper.rest}/paper/v1/faults", params=query).json() == {"POST /fapi/v1/order": 1}

    def known(name: str) -> bool:
        return "orderId" in paper.call("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId=name)

    for kind, done in (("drop_before", False), ("drop_after", True)):
        arm(kind)
        with pytest.raises(httpx.TransportError):
            paper.call("POST", "/fapi/v1/order", **order, newClientOrderId=kind)
        assert known(kind) is done
    for kind, done in (("refuse", False), ("unknown", True)):
        arm(kind)
        assert paper.call("POST", "/fapi/v1/order", **order, newClientOrderId=kind)["code"] in (-1000, -1001)
        assert known(kind) is done
    arm("delay", ms=300)
    before = time.monotonic()
    assert paper.call("POST", "/fapi/v1/order", **order, newClientOrderId="late")["status"] == "NEW"
    assert time.monotonic() - before >= 0.3


async def listen(paper: Any, symbols: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Subscribe to everything and collect it until the recording is done."""
    found: dict[str, list[dict[str, Any]]] = {}

    async def collect(socket: Any) -> None:
        async for text in socket:
            frame = json.loads(text)
            if "stream" in frame:
                found.setdefault(frame["stream"], []).append(frame["data"])

    async with connect(f"{paper.ws}/public/stream") as public, connect(f"{paper.ws}/market/stream") as market:
        await subscribe(public, *(f"{symbol.lower()}@bookTicker" for symbol in symbols))
        kinds = ("markPrice@1s", "ticker", "aggTrade")
        await market.send(
            json.dumps({"method": "SUBSCRIBE", "params": [f"{s.lower()}@{k}" for s in symbols for k in kinds], "id": 1})
        )
        tasks = [asyncio.create_task(collect(socket)) for socket in (public, market)]
        await until(lambda: paper.status()["done"], 40)
        await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
    return found


async def test_time_stands_still_until_all_trades_are_subscribed(
    start_paper: Callable[..., Any], write_recording: Callable[..., Path]
) -> None:
    ms = 1_700_000_000_000
    frames = [
        {"e": "trade", "E": at, "T": at, "s": s, "t": n, "p": "10.0", "q": "1", "X": "MARKET", "m": False}
        for n, at in ((n, ms + n * 10) for n in range(1, 300))
        for s in ("BTCUSDT", "ETHUSDT")
    ]
    paper = start_paper(P95_PAPER_SOURCE=f"recorded:{write_recording('a.gz', frames)}", P95_PAPER_SPEED="5")
    async with connect(f"{paper.ws}/market/stream") as socket:
        await subscribe(socket, "btcusdt@aggTrade")
        times = {paper.get("/paper/v1/clock")["serverTime"] for _ in range(5)}
        assert len(times) == 1
        assert paper.get("/paper/v1/clock")["rate"] == 0
        assert not paper.status()["started"]
    found = await listen(paper, ["BTCUSDT", "ETHUSDT"])
    for symbol in ("btcusdt", "ethusdt"):
        assert [trade["a"] for trade in found[f"{symbol}@aggTrade"]] == list(range(1, 300))
    status = paper.status()
    assert status["symbols"]["BTCUSDT"] == {"lastAggId": 299, "trades": 299}
    assert paper.get("/paper/v1/clock")["serverTime"] > frames[-1]["E"]  # time goes on after the end


async def test_real_recordings_play_whole_in_order_and_in_time(
    start_paper: Callable[..., Any], recordings: Path
) -> None:
    files = ",".join(str(recordings / f"usdm_{name}usdt_20240719.gz") for name in ("btc", "eth"))
    paper = start_paper(P95_PAPER_SOURCE=f"recorded:{files}", P95_PAPER_SPEED="40")
    began = time.monotonic()
    found = await listen(paper, ["BTCUSDT", "ETHUSDT"])
    assert time.monotonic() - began < 299.5 / 40 + 20  # a machine that is busy with other tests included
    for symbol, count in (("btcusdt", 4996), ("ethusdt", 4702)):
        trades = found[f"{symbol}@aggTrade"]
        assert [trade["a"] for trade in trades] == list(range(1, count + 1))
        for stream in ("aggTrade", "bookTicker", "markPrice@1s", "ticker"):
            times = [frame["E"] for frame in found[f"{symbol}@{stream}"]]
            assert times == sorted(times)
    assert (len(found["btcusdt@bookTicker"]), len(found["ethusdt@bookTicker"])) == (45_147, 38_239)
    assert pss_kb(paper) < 60_000


def pss_kb(paper: Any) -> int:
    """Proportional memory of the process."""
    rollup = Path(f"/proc/{paper.process.pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


async def test_native_recordings_keep_their_ids(start_paper: Callable[..., Any], recordings: Path) -> None:
    file = recordings / "cryptofeed_usdm_20210722.ws.gz"
    paper = start_paper(P95_PAPER_SOURCE=f"recorded:{file}", P95_PAPER_SPEED="20")
    symbols = list(paper.status()["symbols"])
    found = await listen(paper, symbols)
    assert sum(len(found[f"{symbol.lower()}@aggTrade"]) for symbol in symbols) == 91
    assert found["ctkusdt@aggTrade"][0]["a"] == 16_599_292


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_restart_goes_on_where_it_was(
    start_paper: Callable[..., Any], tmp_path: Path, number: signal.Signals
) -> None:
    state = {"P95_PAPER_STATE": str(tmp_path / "state" / "paper.db"), "P95_PAPER_SPEED": "20"}
    paper = start_paper(**state)
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.05", "newClientOrderId": "keep"}
    paper.call("POST", "/fapi/v1/order", **order)
    mark = float(paper.get("/fapi/v1/premiumIndex", symbol="BTCUSDT")["markPrice"])
    stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.05", "reduceOnly": "true"}
    trigger = f"{mark * 0.8:.1f}"
    paper.call("POST", "/fapi/v1/algoOrder", **stop, algoType="CONDITIONAL", triggerPrice=trigger, clientAlgoId="s")
    await asyncio.sleep(1)
    now = paper.get("/fapi/v1/time")["serverTime"]
    trades = paper.get("/fapi/v1/aggTrades", symbol="BTCUSDT", limit=1000)
    account = paper.call("GET", "/fapi/v3/account")
    bars = paper.get("/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=1500)
    paper.stop(number)
    again = start_paper(**state)
    assert now <= again.get("/fapi/v1/time")["serverTime"] < now + 120_000
    assert again.get("/fapi/v1/aggTrades", symbol="BTCUSDT", fromId=trades[0]["a"], limit=len(trades)) == trades
    (position,) = again.call("GET", "/fapi/v3/positionRisk")
    assert (position["positionAmt"], position["entryPrice"]) == ("0.05", account["positions"][0]["entryPrice"])
    assert again.call("GET", "/fapi/v3/account")["totalWalletBalance"] == account["totalWalletBalance"]
    assert [algo["clientAlgoId"] for algo in again.call("GET", "/fapi/v1/openAlgoOrders")] == ["s"]
    assert again.call("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="keep")["status"] == "FILLED"
    later = again.get("/fapi/v1/klines", symbol="BTCUSDT", interval="1m", startTime=bars[5][0], limit=1490)
    assert later[:1480] == bars[5:1485]


async def test_a_restarted_recording_waits_again_and_goes_on(
    start_paper: Callable[..., Any], write_recording: Callable[..., Path], tmp_path: Path
) -> None:
    ms = 1_700_000_000_000
    frames = [
        {"e": "aggTrade", "E": at, "T": at, "s": "BTCUSDT", "a": n, "p": "10.0", "q": "1", "f": n, "l": n, "m": False}
        for n, at in ((n, ms + n * 100) for n in range(1, 200))
    ]
    settings = {
        "P95_PAPER_SOURCE": f"recorded:{write_recording('a.gz', frames)}",
        "P95_PAPER_STATE": str(tmp_path / "paper.db"),
        "P95_PAPER_SPEED": "4",
    }
    paper = start_paper(**settings)
    async with connect(f"{paper.ws}/market/stream?streams=btcusdt@aggTrade"):
        await until(lambda: paper.status()["symbols"]["BTCUSDT"]["lastAggId"] > 20)
        now = paper.get("/fapi/v1/time")["serverTime"]
        paper.stop()
    again = start_paper(**settings)
    status = again.status()
    assert not status["started"]
    assert status["now"] >= now
    begun = status["symbols"]["BTCUSDT"]["lastAggId"]
    assert begun > 20
    found = await listen(again, ["BTCUSDT"])
    assert [trade["a"] for trade in found["btcusdt@aggTrade"]] == list(range(begun + 1, 200))
    rows = again.get("/fapi/v1/aggTrades", symbol="BTCUSDT", fromId=1, limit=1000)
    assert [row["a"] for row in rows] == list(range(1, 200))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"P95_PAPER_SOURCE": "recorded:/nowhere/x.gz"}, "recording /nowhere/x.gz: No such file or directory"),
        ({"P95_PAPER_SOURCE": "recorded:"}, "needs at least one file"),
        ({"P95_PAPER_SOURCE": "synthetic:many"}, "P95_PAPER_SOURCE=synthetic:many"),
        ({"P95_PAPER_SOURCE": "live"}, "'live' is not synthetic"),
        ({"P95_PAPER_SYMBOLS": "BTCUSDT,nonsense"}, "P95_PAPER_SYMBOLS: 'nonsense' is not a symbol"),
        ({"P95_PAPER_SPEED": "0"}, "P95_PAPER_SPEED"),
        ({"P95_PAPER_FAULT_KINDS": "nonsense"}, "P95_PAPER_FAULT_KINDS: 'nonsense' is none of"),
        ({"P95_PAPER_SPEEED": "1"}, "did you mean P95_PAPER_SPEED?"),
        ({"P95_PAPER_STATE": "/proc/nowhere/state.db"}, "P95_PAPER_STATE: cannot use /proc/nowhere/state.db"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_code_2(
    start_paper: Callable[..., Any], settings: dict[str, str], message: str
) -> None:
    paper = start_paper(ready=False, **settings)
    assert paper.process.wait(20) == 2
    log = paper.log.read_text()
    assert message in log
    assert "Traceback" not in log


def test_a_state_of_another_market_is_refused(start_paper: Callable[..., Any], tmp_path: Path) -> None:
    state = {"P95_PAPER_STATE": str(tmp_path / "paper.db")}
    assert start_paper(**state, P95_PAPER_SOURCE="synthetic:1").stop() == 0
    other = start_paper(ready=False, **state, P95_PAPER_SOURCE="synthetic:2")
    assert other.process.wait(20) == 2
    assert "holds the market 'synthetic:1', not 'synthetic:2'" in other.log.read_text()


def test_a_state_in_use_is_refused(start_paper: Callable[..., Any], tmp_path: Path) -> None:
    state = {"P95_PAPER_STATE": str(tmp_path / "paper.db")}
    start_paper(**state)
    second = start_paper(ready=False, **state)
    assert second.process.wait(20) == 2
    assert "paper.db: database is locked" in second.log.read_text()


def test_a_busy_port_is_named(start_paper: Callable[..., Any]) -> None:
    port = start_paper().rest.rpartition(":")[2]
    second = start_paper(ready=False, P95_PAPER_PORT=port)
    assert second.process.wait(20) == 2
    assert f"port {port} on 127.0.0.1: Address already in use; set P95_PAPER_PORT" in second.log.read_text()
