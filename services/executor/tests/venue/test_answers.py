"""Each answer that Binance, a proxy or ccxt can give, on the plain and on the conditional endpoint, through ccxt."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from phoenix95.common.errors import OutcomeUnknown, Phoenix95Error, RateLimited, TransientError, VenueRejected
from phoenix95.executor.core.intents import Intent
from phoenix95.executor.venue.binance import Binance
from phoenix95.executor.venue.budget import Budget
from phoenix95.executor.venue.exchange import Requests

from .conftest import CUT, NOW_MS, SILENT, Stub

PLAIN, CONDITIONAL = "/fapi/v1/order", "/fapi/v1/algoOrder"
Make = Callable[..., Intent]
Table = dict[str, tuple[int, Any, type[Exception] | None]]


def code(number: int, text: str = "said so") -> dict[str, Any]:
    return {"code": number, "msg": text}


UNKNOWN_503 = "Unknown error, please check your request or try again later."

SENT: Table = {
    "empty": (200, b"", OutcomeUnknown),
    "html": (200, b"<html>hello</html>", OutcomeUnknown),
    "a list": (200, b"[]", OutcomeUnknown),
    "no id": (200, {}, OutcomeUnknown),
    "id None": (200, {"orderId": None, "algoId": None, "status": None}, OutcomeUnknown),
    "a refusal under 200": (200, code(-2019), VenueRejected),
    "-1021, which ccxt takes for a network error": (400, code(-1021), VenueRejected),
    "-5028": (400, code(-5028), VenueRejected),
    "-2019": (400, code(-2019), VenueRejected),
    "-2021": (400, code(-2021), VenueRejected),
    "-2022": (400, code(-2022), VenueRejected),
    "-4164": (400, code(-4164), VenueRejected),
    "-4120": (400, code(-4120), VenueRejected),
    "-4400": (400, code(-4400), VenueRejected),
    "-2015": (401, code(-2015), VenueRejected),
    "a code that nobody knows": (400, code(-9999), VenueRejected),
    "-4116: it is there": (400, code(-4116), OutcomeUnknown),
    "-4111: it is there": (400, code(-4111), OutcomeUnknown),
    "-1000": (400, code(-1000), OutcomeUnknown),
    "-1006": (400, code(-1006), OutcomeUnknown),
    "-1007": (408, code(-1007), OutcomeUnknown),
    "400 without a code": (400, b"bad request", OutcomeUnknown),
    "403": (403, b"<html>WAF</html>", OutcomeUnknown),
    "408": (408, b"", OutcomeUnknown),
    "500": (500, b"", OutcomeUnknown),
    "502": (502, b"<html>Bad Gateway</html>", OutcomeUnknown),
    "504": (504, b"", OutcomeUnknown),
    "503": (503, b"", OutcomeUnknown),
    "503 unknown, plain": (503, UNKNOWN_503.encode(), OutcomeUnknown),
    "503 unknown": (503, code(-1000, UNKNOWN_503), OutcomeUnknown),
    "503 -1001": (503, code(-1001, "Internal error; unable to process your request."), VenueRejected),
    "503 unavailable": (503, b"Service Unavailable.", VenueRejected),
    "503 -1008": (503, code(-1008, "Request throttled by system-level protection."), VenueRejected),
    "429": (429, code(-1003), RateLimited),
    "429 empty": (429, b"", RateLimited),
    "418": (418, code(-1003), RateLimited),
    "-1015": (400, code(-1015), RateLimited),
    "cut": (CUT, b"", OutcomeUnknown),
    "silence": (SILENT, b"", OutcomeUnknown),
}


@pytest.mark.parametrize("path", [PLAIN, CONDITIONAL])
async def test_what_an_answer_to_an_order_means(
    stub: Stub, requests: Requests, venue: Binance, an_intent: Make, path: str
) -> None:
    place: Callable[[Intent], Awaitable[object]] = venue.place if path == PLAIN else venue.place_conditional
    intent = an_intent("entry" if path == PLAIN else "stop")
    await found_as(SENT, stub, requests, "POST", path, lambda: place(intent))
    assert stub.paths() == [f"POST {path}"] * len(SENT)  # each was sent once, whatever came of it


async def found_as(
    table: Table, stub: Stub, requests: Requests, method: str, path: str, ask: Callable[[], Awaitable[object]]
) -> None:
    """Every answer of a table is given and read; what was raised (None: nothing, and None came back) is compared."""
    found: dict[str, type[Exception] | None] = {}
    for name, (status, body, _) in table.items():
        requests.budget = Budget()  # a limit of one row is not that of the next
        stub.only(method, path, status, body)
        try:
            assert await ask() is None, name
            found[name] = None
        except Phoenix95Error as error:
            found[name] = type(error)
    assert found == {name: expected for name, (_, _, expected) in table.items()}


ASKED: Table = {
    "empty": (200, b"", TransientError),
    "html": (200, b"<html>", TransientError),
    "no id": (200, {}, TransientError),
    "id None": (200, {"orderId": None, "algoId": None}, TransientError),
    "-2013": (400, code(-2013), None),
    "-2011": (400, code(-2011), None),
    "-1021": (400, code(-1021), TransientError),
    "-1121": (400, code(-1121), TransientError),
    "404": (404, b"", TransientError),
    "503": (503, code(-1000, UNKNOWN_503), TransientError),
    "429": (429, code(-1003), RateLimited),
    "-2015": (401, code(-2015), VenueRejected),
    "cut": (CUT, b"", TransientError),
    "silence": (SILENT, b"", TransientError),
}


@pytest.mark.parametrize("path", [PLAIN, CONDITIONAL])
async def test_what_an_answer_to_a_question_means(stub: Stub, requests: Requests, venue: Binance, path: str) -> None:
    ask = venue.order if path == PLAIN else venue.conditional
    await found_as(ASKED, stub, requests, "GET", path, lambda: ask("BTCUSDT", "p95e-1"))


async def test_a_list_that_does_not_come_is_not_an_empty_list(stub: Stub, venue: Binance) -> None:
    stub.say("GET", "/fapi/v1/openAlgoOrders", 200, b"")
    stub.say("GET", "/fapi/v3/positionRisk", 400, code(-2013))
    stub.say("GET", "/fapi/v1/userTrades", 200, {})
    for ask in (venue.open_conditionals("BTCUSDT"), venue.positions(), venue.fills("BTCUSDT", since_ms=0, after_id=1)):
        with pytest.raises(TransientError):
            await ask


async def test_orders_of_others_that_nobody_can_read_do_not_hide_our_stop(stub: Stub, venue: Binance) -> None:
    ours = {"algoId": 1, "clientAlgoId": "p95s-1", "symbol": "BTCUSDT", "algoStatus": "NEW", "quantity": "0.2"}
    whole = {**ours, "algoId": 2, "clientAlgoId": "web_1", "quantity": None}  # closePosition: no quantity is told
    unknown = {**ours, "algoId": 3, "clientAlgoId": "web_2", "algoStatus": "WORKING"}
    stub.say("GET", "/fapi/v1/openAlgoOrders", 200, [whole, ours, unknown])
    (found,) = await venue.open_conditionals("BTCUSDT")
    assert found.client_id == "p95s-1"
    stub.only("GET", "/fapi/v1/openAlgoOrders", 200, [{**ours, "quantity": None}])
    with pytest.raises(TransientError):  # ours, and not understood: no answer, not an absence
        await venue.open_conditionals("BTCUSDT")


async def test_wrong_time_is_heard_of(stub: Stub, requests: Requests, venue: Binance, an_intent: Make) -> None:
    heard: list[int] = []
    requests.refused.append(heard.append)
    stub.say("POST", PLAIN, 400, code(-1021))
    stub.say("GET", PLAIN, 400, code(-5028))
    with pytest.raises(VenueRejected):
        await venue.place(an_intent())
    with pytest.raises(TransientError):
        await venue.order("BTCUSDT", "p95e-1")
    assert heard == [-1021, -5028]


async def test_no_endpoint_of_ccxt_leads_to_another_host(stub: Stub, requests: Requests) -> None:
    for endpoint in ("privateGetAccount", "sapiGetAccountStatus", "dapiPrivateGetBalance", "papiGetBalance"):
        await requests.read(endpoint, {})
    assert len(stub.asked) == 4


@pytest.mark.parametrize(("days", "windows"), [(6.9, 1), (7, 2), (20, 3), (1_000, 26)])
async def test_trades_of_many_days_are_asked_for_in_windows_of_seven(
    stub: Stub, venue: Binance, days: float, windows: int
) -> None:
    """Another list than the real one's would hide an old trade behind its first week."""
    day_ms = 86_400_000
    stub.say("GET", "/fapi/v1/userTrades", 200, [])
    since_ms = NOW_MS - round(days * day_ms)
    assert await venue.fills("BTCUSDT", since_ms=since_ms, after_id=None) == ()
    asked = [one.params for one in stub.asked]
    starts = [int(one["startTime"]) for one in asked]
    ends = [int(one["endTime"]) for one in asked[:-1]]
    assert len(asked) == windows
    assert starts[0] == max(since_ms, NOW_MS - 180 * day_ms)
    assert starts[1:] == [one + 1 for one in ends]
    assert all(end - start < 7 * day_ms for start, end in zip(starts, [*ends, NOW_MS], strict=True))
    assert "endTime" not in asked[-1]
