"""Whatever a client sends, the exchange answers with a refusal and stays whole."""

import contextlib
from typing import Any
from urllib.parse import urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phoenix95.common.metrics import Metrics
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.control import Subscriptions
from phoenix95.paper.core.frames import JunkError, read_line
from phoenix95.paper.core.limits import Limits
from phoenix95.paper.exchange_time import ExchangeTime
from phoenix95.paper.listen_keys import ListenKeys
from phoenix95.paper.rest.app import ROUTES, App
from phoenix95.paper.rest.desk import Desk
from phoenix95.paper.rest.faults import Faults

NAMES = [
    "symbol", "side", "type", "quantity", "positionSide", "reduceOnly", "newClientOrderId", "newOrderRespType",
    "triggerPrice", "algoType", "clientAlgoId", "closePosition", "workingType", "priceProtect", "orderId",
    "origClientOrderId", "algoId", "fromId", "startTime", "endTime", "limit", "interval", "leverage",
    "marginType", "dualSidePosition", "kind", "path", "method", "ms", "count", "price", "timeInForce", "batchOrders",
    "callbackRate", "activatePrice", "orderIdList", "countdownTime", "incomeType", "page", "seed", "rate", "kinds",
    "until", "hold", "after", "action", "amount", "now", "weight", "code",
]  # fmt: skip
WORDS = [
    "BTCUSDT", "BUY", "SELL", "MARKET", "STOP_MARKET", "TAKE_PROFIT_MARKET", "BOTH", "LONG", "true", "false",
    "1", "0", "-1", "2", "95.00", "105.00", "1e400", "-1e400", "1e-400", "0.001", "NaN", "Infinity",
    "99999999999999999999", "LIMIT", "GTC", "GTX", "STOP", "TRAILING_STOP_MARKET", "99.00", "close", "[]", "[{}]", "1m",
    "1d", "ISOLATED", "RESULT", "MARK_PRICE", "CONDITIONAL", "20", "delay",
]  # fmt: skip
VALUES = st.one_of(st.sampled_from(WORDS), st.text(max_size=8))
SOUND = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "2", "interval": "1m", "leverage": "5"}


async def ask(app: App, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"method": method, "path": path, "query_string": query, "headers": headers}
    await app(scope, receive, send)
    return int(sent[0]["status"])


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(ROUTES)), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8))
async def test_no_request_breaks_it(floor: Any, route: tuple[str, str], params: dict[str, str]) -> None:
    time = ExchangeTime(floor.ms, 1.0)
    faults = Faults(floor.store, floor.exchange.records)
    desk = Desk(
        floor.exchange,
        time,
        ListenKeys(floor.store),
        faults,
        Limits(10**9, 10**9, 10**9),
        lambda: {"originMs": 0},
        lambda symbol, price, start_ms, until_ms: None,
        lambda kind: None,
    )
    errors: list[Exception] = []
    app = App(desk, key="k", secret="s", metrics=Metrics(), crashed=errors.append)
    sent = {**SOUND, **params}
    if route[1] != "/paper/v1/chaos":  # faults are what it is for: they cut connections
        assert await ask(app, *route, urlencode(sent).encode(), []) in (200, 400, 401, 404)
    with contextlib.suppress(RefusedError):  # past the signature, too: anything else fails the test
        ROUTES[route].handler(desk, sent)
    faults.clear()
    faults.let_loose(None)
    assert errors == []
    figures = floor.exchange.account.figures(floor.exchange.mark_of)
    assert figures.wallet.is_finite()


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60)))
def test_no_message_breaks_a_connection(message: bytes | str) -> None:
    assert Subscriptions([], combined=True).handle(message).startswith(b"{")


@given(st.binary(max_size=80), st.sampled_from([b"", b"1 ", b"1.5: ", b'1 {"stream":"x","data":', b'1 {"e":"trade",']))
def test_no_line_breaks_the_reader(noise: bytes, head: bytes) -> None:
    with contextlib.suppress(JunkError):
        read_line(head + noise)
