"""Orders and conditional orders."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.orders import Algo, Order
from phoenix95.paper.core.requests import Params, choice, demand
from phoenix95.paper.rest.desk import WINDOW_MAX_MS, Desk, Route, Routes, integer, limit_of, optional

RESPONSES: Final = ("ACK", "RESULT")
BATCH_MAX: Final = 5
CANCEL_BATCH_MAX: Final = 10
FORGOTTEN_MS: Final = 3 * 24 * 3600 * 1000  # an order that ended without a fill is not found after so long
ALL_CANCELLED: Final = {"code": 200, "msg": "The operation of cancel all open order is done."}
# what an acknowledgement tells of an order that is not looked at yet
_ACKED: Final = {"status": "NEW", "avg_price": "0.00", "executed_qty": "0", "cum_qty": "0", "cum_quote": "0"}


def new_order(desk: Desk, params: Params) -> Order:
    response = choice(params, "newOrderRespType", "ACK", RESPONSES)
    order = desk.exchange.place(params)
    acked: Order = msgspec.structs.replace(order, **_ACKED)
    return order if response == "RESULT" else acked


def amend_order(desk: Desk, params: Params) -> Order:
    order = _order(desk, params)
    if order is None:
        raise RefusedError(-2013)
    return desk.exchange.amend(order, params)


def get_order(desk: Desk, params: Params) -> Order:
    order = _order(desk, params)
    if order is None or _is_forgotten(order, desk.time.now_ms()):
        raise RefusedError(-2013)
    return order


def _is_forgotten(order: Order, now_ms: int) -> bool:
    unfilled = order.status in ("CANCELED", "EXPIRED") and order.executed_qty == "0"
    return unfilled and now_ms - order.update_time > FORGOTTEN_MS


def cancel_order(desk: Desk, params: Params) -> Order:
    order = _order(desk, params)
    if order is None:
        raise RefusedError(-2011)
    return desk.exchange.cancel(order)


def _order(desk: Desk, params: Params) -> Order | None:
    symbol = desk.exchange.market_of(params).spec.symbol
    order_id, client_id = optional(params, "orderId"), params.get("origClientOrderId")
    if order_id is None and not client_id:
        raise RefusedError(-1102, "orderId' or 'origClientOrderId")
    if order_id is None:  # an id can be used again once its order has ended: the open one comes first
        for order in desk.exchange.account.resting(symbol):
            if order.client_order_id == client_id:
                return order
    return desk.exchange.store.order(symbol, order_id, client_id)


def open_orders(desk: Desk, params: Params) -> list[Order]:
    """Conditional orders are another world, as on the exchange."""
    symbol = desk.exchange.market_of(params).spec.symbol if params.get("symbol") else None
    return desk.exchange.account.resting(symbol)


def open_order(desk: Desk, params: Params) -> Order:
    order = _order(desk, params)
    if order is None or order.order_id not in desk.exchange.account.orders:
        raise RefusedError(-2013)
    return order


def all_orders(desk: Desk, params: Params) -> list[Order]:
    return desk.exchange.store.orders(
        desk.exchange.market_of(params).spec.symbol,
        integer(params, "orderId", 0),
        integer(params, "startTime", 0),
        integer(params, "endTime", WINDOW_MAX_MS),
        limit_of(params, 500, 1000),
    )


def cancel_all(desk: Desk, params: Params) -> dict[str, Any]:
    for order in desk.exchange.account.resting(desk.exchange.market_of(params).spec.symbol):
        desk.exchange.cancel(order)
    return ALL_CANCELLED


# ------------------------------------------------------------ several at once


def new_orders(desk: Desk, params: Params) -> list[Any]:
    return _each(desk, _batch(params), new_order)


def amend_orders(desk: Desk, params: Params) -> list[Any]:
    return _each(desk, _batch(params), amend_order)


def cancel_orders(desk: Desk, params: Params) -> list[Any]:
    symbol = desk.exchange.market_of(params).spec.symbol
    for name, single in (("orderIdList", "orderId"), ("origClientOrderIdList", "origClientOrderId")):
        text = params.get(name) or params.get(name.lower())
        if text:
            wanted = [{"symbol": symbol, single: str(one)} for one in _list(text, name, CANCEL_BATCH_MAX)]
            return _each(desk, wanted, cancel_order)
    raise RefusedError(-1102, "orderIdList' or 'origClientOrderIdList")


def _each(desk: Desk, batch: Sequence[Params], one: Callable[[Desk, Params], Order]) -> list[Any]:
    """Each by itself: one that is refused does not hold up the others."""
    answers: list[Any] = []
    for params in batch:
        try:
            answers.append(one(desk, params))
        except RefusedError as refused:
            answers.append({"code": refused.code, "msg": refused.message})
    return answers


def _batch(params: Params) -> list[dict[str, str]]:
    found = []
    for one in _list(demand(params, "batchOrders"), "batchOrders", BATCH_MAX):
        if not isinstance(one, dict):
            raise RefusedError(-1130, "batchOrders")
        found.append({str(name): _word(value) for name, value in one.items()})
    return found


def _list(text: str, name: str, longest: int) -> list[Any]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise RefusedError(-1130, name) from None
    if not isinstance(found, list) or not 1 <= len(found) <= longest:
        raise RefusedError(-1130, name)
    return found


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _batch_size(params: Params) -> int:
    try:
        return len(_list(params.get("batchOrders", ""), "batchOrders", BATCH_MAX))
    except RefusedError:
        return 1


# ------------------------------------------------------------ conditional orders


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
    return desk.exchange.store.algos(
        desk.exchange.market_of(params).spec.symbol,
        integer(params, "algoId", 0),
        integer(params, "startTime", 0),
        integer(params, "endTime", WINDOW_MAX_MS),
        limit_of(params, 500, 1000),
    )


def cancel_all_algos(desk: Desk, params: Params) -> dict[str, Any]:
    for algo in desk.exchange.open_algos(desk.exchange.market_of(params).spec.symbol):
        desk.exchange.cancel_algo(algo)
    return ALL_CANCELLED


def _open_weight(params: Params) -> int:
    return 1 if params.get("symbol") else 40


ROUTES: Final[Routes] = {
    ("POST", "/fapi/v1/order"): Route(new_order, "signed", 0, 1),
    ("PUT", "/fapi/v1/order"): Route(amend_order, "signed", 1, 1),
    ("GET", "/fapi/v1/order"): Route(get_order, "signed"),
    ("DELETE", "/fapi/v1/order"): Route(cancel_order, "signed"),
    ("POST", "/fapi/v1/batchOrders"): Route(new_orders, "signed", 5, _batch_size),
    ("PUT", "/fapi/v1/batchOrders"): Route(amend_orders, "signed", 5, _batch_size),
    ("DELETE", "/fapi/v1/batchOrders"): Route(cancel_orders, "signed"),
    ("GET", "/fapi/v1/openOrder"): Route(open_order, "signed"),
    ("GET", "/fapi/v1/openOrders"): Route(open_orders, "signed", _open_weight),
    ("GET", "/fapi/v1/allOrders"): Route(all_orders, "signed", 5),
    ("DELETE", "/fapi/v1/allOpenOrders"): Route(cancel_all, "signed"),
    ("POST", "/fapi/v1/algoOrder"): Route(new_algo, "signed", 0, 1),
    ("GET", "/fapi/v1/algoOrder"): Route(get_algo, "signed"),
    ("DELETE", "/fapi/v1/algoOrder"): Route(cancel_algo, "signed"),
    ("GET", "/fapi/v1/openAlgoOrders"): Route(open_algos, "signed", _open_weight),
    ("GET", "/fapi/v1/allAlgoOrders"): Route(all_algos, "signed", 5),
    ("DELETE", "/fapi/v1/algoOpenOrders"): Route(cancel_all_algos, "signed"),
}
