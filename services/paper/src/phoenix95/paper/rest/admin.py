"""The paper exchange's own endpoints: clock and status for everybody, and for this machine what tests need.

Parameters come in the query, as a form or as one JSON object.
"""

from collections import Counter
from decimal import Decimal
from typing import Any, Final

from phoenix95.common.money import ZERO
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.faultplan import AT_ONCE, KINDS, USER_KINDS, Chaos, Fault
from phoenix95.paper.core.orders import Order
from phoenix95.paper.core.position import PositionSide
from phoenix95.paper.core.requests import Params, choice, demand, flag, number
from phoenix95.paper.rest import trading
from phoenix95.paper.rest.desk import Desk, Route, Routes, integer
from phoenix95.paper.rest.restrictions import RESTRICTIONS, restrictions

HOLD_MS: Final = 15_000


def clock(desk: Desk, params: Params) -> dict[str, Any]:
    return {"serverTime": desk.clock_ms(), "rate": desk.time.rate, "originMs": desk.status()["originMs"]}


def arm_fault(desk: Desk, params: Params) -> dict[str, int]:
    """`kind` for the next `count` requests of `method` and `path`; events and the clock need no path."""
    kind = demand(params, "kind")
    if kind not in KINDS:
        raise RefusedError(-1130, "kind")
    ms, code = integer(params, "ms", 0), integer(params, "code", -1008)
    if kind.startswith("timeout") and "ms" not in params:
        ms = HOLD_MS
    fault = Fault(kind, max(0, ms) if kind != "skew" else ms, code if kind == "reject" else 0)
    now_ms = desk.time.now_ms()
    if kind in (*AT_ONCE, "skew"):
        desk.faults.happened(now_ms, "", "", fault)
        if kind == "skew":
            desk.faults.skew(ms)
        else:
            desk.user_fault(kind)
    elif kind == "silence":
        desk.faults.happened(now_ms, "", "", fault)
        desk.faults.user.silent_until_ms = now_ms + ms
    else:
        path = "" if kind in USER_KINDS else demand(params, "path")
        desk.faults.arm(params.get("method", "POST").upper(), path, fault, integer(params, "count", 1))
    desk.exchange.store.commit()
    return desk.faults.armed()


def disarm_faults(desk: Desk, params: Params) -> dict[str, int]:
    desk.faults.clear()
    return {}


def let_loose(desk: Desk, params: Params) -> dict[str, Any]:
    """A seeded schedule: `seed`, `rate`, and if wished `kinds`, `until` (exchange ms) and `hold` (ms)."""
    rate = float(number(params, "rate"))
    if not 0 <= rate <= 1:
        raise RefusedError(-1130, "rate")
    kinds = tuple(word.strip() for word in params.get("kinds", "").split(",") if word.strip()) or KINDS
    if not set(kinds) <= set(KINDS):
        raise RefusedError(-1130, "kinds")
    chaos = Chaos(
        seed=integer(params, "seed"),
        rate=rate,
        kinds=kinds,
        until_ms=integer(params, "until", 0),
        hold_ms=max(0, integer(params, "hold", HOLD_MS)),
    )
    desk.faults.let_loose(chaos)
    return chaos_now(desk, params)


def chaos_now(desk: Desk, params: Params) -> dict[str, Any]:
    chaos = desk.faults.chaos
    if chaos is None:
        return {}
    return {
        "seed": chaos.seed,
        "rate": chaos.rate,
        "kinds": list(chaos.kinds),
        "until": chaos.until_ms,
        "counts": dict(chaos.counts),
    }


def no_chaos(desk: Desk, params: Params) -> dict[str, Any]:
    desk.faults.let_loose(None)
    return {}


def force_price(desk: Desk, params: Params) -> dict[str, Any]:
    """Move a synthetic market: `price` from `after` ms on, held there for `hold` ms. Several calls make a path."""
    market = desk.exchange.market_of(params)
    tick = market.spec.tick.normalize()
    price = (number(params, "price") / tick).to_integral_value() * tick
    if not tick <= price <= market.spec.start_price * 1000:
        raise RefusedError(-1130, "price")
    start = desk.time.now_ms() + max(0, integer(params, "after", 0))
    until = start + max(0, integer(params, "hold", 0))
    try:
        desk.force(market.spec.symbol, price, start, until)
    except ValueError:
        raise RefusedError(-1130, "symbol") from None
    return {"symbol": market.spec.symbol, "price": format(price, "f"), "from": start, "until": until}


def by_hand(desk: Desk, params: Params) -> Any:
    """What a person does on the exchange's own page: place any order, `action=close` a position, `cancel` one."""
    action = params.get("action", "place").lower()
    if action == "cancel":
        return trading.cancel_algo(desk, params) if params.get("algoId") else trading.cancel_order(desk, params)
    if action == "close":
        return _closed(desk, params)
    if action != "place":
        raise RefusedError(-1130, "action")
    placed = {name: value for name, value in params.items() if name != "action"}
    if "triggerPrice" in placed or "callbackRate" in placed:
        return desk.exchange.place_algo(placed)
    return desk.exchange.place(placed)


def _closed(desk: Desk, params: Params) -> list[Order]:
    symbol = desk.exchange.market_of(params).spec.symbol
    made = []
    for position in desk.exchange.account.held(symbol):
        closing = {
            "symbol": symbol,
            "side": "SELL" if position.amount > 0 else "BUY",
            "type": "MARKET",
            "quantity": format(abs(position.amount), "f"),
            "positionSide": position.side,
        }
        if position.side == "BOTH":
            closing["reduceOnly"] = "true"
        made.append(desk.exchange.place(closing))
    return made


def deleverage(desk: Desk, params: Params) -> Order:
    """ADL of a position, wholly or by `quantity`."""
    symbol = desk.exchange.market_of(params).spec.symbol
    sides: dict[str, PositionSide] = {"BOTH": "BOTH", "LONG": "LONG", "SHORT": "SHORT"}
    side = sides[choice(params, "positionSide", "BOTH", tuple(sides))]
    quantity = number(params, "quantity") if params.get("quantity") else None
    if quantity is not None and quantity <= ZERO:
        raise RefusedError(-4003)
    return desk.exchange.keeper.deleverage(symbol, side, quantity, desk.time.now_ms())


def set_funding(desk: Desk, params: Params) -> dict[str, str]:
    """The funding rate from now on; with `now=true` it is charged at once as well."""
    market = desk.exchange.market_of(params)
    if params.get("rate"):
        rate = number(params, "rate")
        if abs(rate) > Decimal("0.03"):
            raise RefusedError(-1130, "rate")
        desk.exchange.keeper.set_rate(market.spec.symbol, rate)
    if flag(params, "now"):
        desk.exchange.charge_funding()
    return {"symbol": market.spec.symbol, "rate": f"{market.funding_rate:.8f}"}


def transfer(desk: Desk, params: Params) -> dict[str, str]:
    amount = number(params, "amount")
    if abs(amount) > 10**12 or amount.quantize(Decimal("0.00000001")) != amount:
        raise RefusedError(-1130, "amount")
    desk.exchange.keeper.transfer(amount, desk.time.now_ms())
    return {"wallet": format(desk.exchange.account.wallet, "f")}


def set_limits(desk: Desk, params: Params) -> dict[str, int]:
    """`weight` a minute, `orders10s` and `orders1m`; without any the limits stay. What was counted is forgotten."""
    limits = desk.limits
    limits.weight_max = integer(params, "weight", limits.weight_max)
    limits.orders_max = {
        10: integer(params, "orders10s", limits.orders_max[10]),
        60: integer(params, "orders1m", limits.orders_max[60]),
    }
    limits.clear()
    return {"weight": limits.weight_max, "orders10s": limits.orders_max[10], "orders1m": limits.orders_max[60]}


def set_restrictions(desk: Desk, params: Params) -> dict[str, Any]:
    """What the key may do, by the names that `apiRestrictions` has."""
    for name in params:
        if name not in RESTRICTIONS:
            raise RefusedError(-1130, name)
        desk.exchange.store.set_meta(f"may:{name}", flag(params, name))
    desk.exchange.store.commit()
    return restrictions(desk, params)


def book_keeping(desk: Desk, params: Params) -> dict[str, Any]:
    """Everything that happened to the account, for those who judge a client by it."""
    exchange, records = desk.exchange, desk.exchange.records
    orders, fills = records.all_orders(), records.all_fills()
    entries = Counter(order.client_order_id for order in orders if not order.reduces)
    names = {order.order_id: order.client_order_id for order in orders}
    sums: dict[str, Decimal] = {}
    for fill in fills:
        name = names.get(fill.order_id, "")
        sums[name] = sums.get(name, ZERO) + Decimal(fill.qty)
    return {
        "now": desk.time.now_ms(),
        "wallet": format(exchange.account.wallet, "f"),
        "hedge": exchange.account.hedge,
        "orders": orders,
        "algos": records.all_algos(),
        "fills": fills,
        "positions": list(exchange.account.held()),
        "openOrders": [order.order_id for order in exchange.account.resting()],
        "openAlgos": [algo.algo_id for algo in exchange.open_algos()],
        "entriesByClientId": dict(entries),
        "quantityByClientId": {name: format(quantity, "f") for name, quantity in sums.items()},
        "naked": records.nakedness(),
        "faults": records.faults(),
    }


ROUTES: Final[Routes] = {
    ("GET", "/paper/v1/clock"): Route(clock, "open", 0),
    ("GET", "/paper/v1/status"): Route(lambda desk, params: desk.status(), "open", 0),
    ("POST", "/paper/v1/faults"): Route(arm_fault, "local", 0),
    ("DELETE", "/paper/v1/faults"): Route(disarm_faults, "local", 0),
    ("GET", "/paper/v1/chaos"): Route(chaos_now, "local", 0),
    ("POST", "/paper/v1/chaos"): Route(let_loose, "local", 0),
    ("DELETE", "/paper/v1/chaos"): Route(no_chaos, "local", 0),
    ("POST", "/paper/v1/price"): Route(force_price, "local", 0),
    ("POST", "/paper/v1/manual"): Route(by_hand, "local", 0),
    ("POST", "/paper/v1/adl"): Route(deleverage, "local", 0),
    ("POST", "/paper/v1/funding"): Route(set_funding, "local", 0),
    ("POST", "/paper/v1/transfer"): Route(transfer, "local", 0),
    ("POST", "/paper/v1/limits"): Route(set_limits, "local", 0),
    ("POST", "/paper/v1/restrictions"): Route(set_restrictions, "local", 0),
    ("GET", "/paper/v1/book-keeping"): Route(book_keeping, "local", 0),
}
