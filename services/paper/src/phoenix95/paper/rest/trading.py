"""Orders and conditional orders."""

from typing import Any, Final

import msgspec

from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.orders import Algo, Order, Params, demand
from phoenix95.paper.rest.desk import WINDOW_MAX_MS, Desk, Route, Routes, integer, limit_of, optional

RESPONSES: Final = ("ACK", "RESULT")
# what an acknowledgement tells of an order that is not looked at yet
_ACKED: Final = {"status": "NEW", "avg_price": "0.00", "executed_qty": "0", "cum_qty": "0", "cum_quote": "0"}


def new_order(desk: Desk, params: Params) -> Order:
    response = params.get("newOrderRespType", "ACK").upper()
    if response not in RESPONSES:
        raise RefusedError(-1130, "newOrderRespType")
    order = desk.exchange.place(params)
    acked: Order = msgspec.structs.replace(order, **_ACKED)
    return order if response == "RESULT" else acked


def get_order(desk: Desk, params: Params) -> Order:
    order = _order(desk, params)
    if order is None:
        raise RefusedError(-2013)
    return order


def cancel_order(desk: Desk, params: Params) -> Order:
    """Market orders fill at once, so there is never one to cancel."""
    _order(desk, params)
    raise RefusedError(-2011)


def _order(desk: Desk, params: Params) -> Order | None:
    symbol = desk.exchange.market(demand(params, "symbol").upper()).spec.symbol
    order_id, client_id = optional(params, "orderId"), params.get("origClientOrderId")
    if order_id is None and not client_id:
        raise RefusedError(-1102, "orderId' or 'origClientOrderId")
    return desk.exchange.store.order(symbol, order_id, client_id)


def open_orders(desk: Desk, params: Params) -> list[Order]:
    """Always empty: market orders do not rest. Conditional orders are another world, as on the exchange."""
    if params.get("symbol"):
        desk.exchange.market(params["symbol"].upper())
    return []


def open_order(desk: Desk, params: Params) -> Order:
    _order(desk, params)
    raise RefusedError(-2013)


def all_orders(desk: Desk, params: Params) -> list[Order]:
    symbol = desk.exchange.market(demand(params, "symbol").upper()).spec.symbol
    return desk.exchange.store.orders(
        symbol,
        integer(params, "orderId", 0),
        integer(params, "startTime", 0),
        integer(params, "endTime", WINDOW_MAX_MS),
        limit_of(params, 500, 1000),
    )


def cancel_all(desk: Desk, params: Params) -> dict[str, Any]:
    desk.exchange.market(demand(params, "symbol").upper())
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def new_algo(desk: Desk, params: Params) -> Algo:
    return desk.exchange.place_algo(params)


def get_algo(desk: Desk, params: Params) -> Algo:
    algo = _algo(desk, params)
    if algo is None:
        raise RefusedError(-2013)
    return algo


def cancel_algo(desk: Desk, params: Params) -> dict[str, Any]:
    algo = _algo(desk, params)
    if algo is None:
        raise RefusedError(-2011)
    desk.exchange.cancel_algo(algo)
    return {"algoId": algo.algo_id, "clientAlgoId": algo.client_algo_id, "code": "200", "msg": "success"}


def _algo(desk: Desk, params: Params) -> Algo | None:
    algo_id, client_id = optional(params, "algoId"), params.get("clientAlgoId")
    if algo_id is None and not client_id:
        raise RefusedError(-1102, "algoId' or 'clientAlgoId")
    return desk.exchange.store.algo(algo_id, client_id)


def open_algos(desk: Desk, params: Params) -> list[Algo]:
    symbol = params.get("symbol", "").upper() or None
    if symbol is not None:
        desk.exchange.market(symbol)
    algo_id = optional(params, "algoId")
    return [algo for algo in desk.exchange.open_algos(symbol) if algo_id in (None, algo.algo_id)]


def all_algos(desk: Desk, params: Params) -> list[Algo]:
    symbol = desk.exchange.market(demand(params, "symbol").upper()).spec.symbol
    return desk.exchange.store.algos(
        symbol,
        integer(params, "algoId", 0),
        integer(params, "startTime", 0),
        integer(params, "endTime", WINDOW_MAX_MS),
        limit_of(params, 500, 1000),
    )


def cancel_all_algos(desk: Desk, params: Params) -> dict[str, Any]:
    symbol = desk.exchange.market(demand(params, "symbol").upper()).spec.symbol
    for algo in desk.exchange.open_algos(symbol):
        desk.exchange.cancel_algo(algo)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def _open_weight(params: Params) -> int:
    return 1 if params.get("symbol") else 40


ROUTES: Final[Routes] = {
    ("POST", "/fapi/v1/order"): Route(new_order, "signed", 0),
    ("GET", "/fapi/v1/order"): Route(get_order, "signed"),
    ("DELETE", "/fapi/v1/order"): Route(cancel_order, "signed"),
    ("GET", "/fapi/v1/openOrder"): Route(open_order, "signed"),
    ("GET", "/fapi/v1/openOrders"): Route(open_orders, "signed", _open_weight),
    ("GET", "/fapi/v1/allOrders"): Route(all_orders, "signed", 5),
    ("DELETE", "/fapi/v1/allOpenOrders"): Route(cancel_all, "signed"),
    ("POST", "/fapi/v1/algoOrder"): Route(new_algo, "signed", 0),
    ("GET", "/fapi/v1/algoOrder"): Route(get_algo, "signed"),
    ("DELETE", "/fapi/v1/algoOrder"): Route(cancel_algo, "signed"),
    ("GET", "/fapi/v1/openAlgoOrders"): Route(open_algos, "signed", _open_weight),
    ("GET", "/fapi/v1/allAlgoOrders"): Route(all_algos, "signed", 5),
    ("DELETE", "/fapi/v1/algoOpenOrders"): Route(cancel_all_algos, "signed"),
}
