"""Public market data."""

from typing import Any, Final

from phoenix95.paper.core.bars import INTERVALS, MINUTE_MS, joined, kline
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.funding import next_funding_ms
from phoenix95.paper.core.matching import depth_of
from phoenix95.paper.core.requests import CONDITIONAL, PRICE_MAX, TIMES_IN_FORCE, Params, demand
from phoenix95.paper.core.specs import LIQUIDATION_FEE, Spec
from phoenix95.paper.market import Market
from phoenix95.paper.rest.desk import WINDOW_MAX_MS, Desk, Route, Routes, integer, limit_of, optional

AGG_TRADES_MAX: Final = 1000
KLINES_MAX: Final = 1500
ORDER_TYPES: Final = ["LIMIT", "MARKET", *CONDITIONAL]


def exchange_info(desk: Desk, params: Params) -> dict[str, Any]:
    return {
        "timezone": "UTC",
        "serverTime": desk.clock_ms(),
        "futuresType": "U_MARGINED",
        "rateLimits": [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": desk.limits.weight_max,
            },
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": desk.limits.orders_max[60]},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": desk.limits.orders_max[10]},
        ],
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [_symbol(market.spec) for market in desk.exchange.markets.values()],
    }


def _symbol(spec: Spec) -> dict[str, Any]:
    tick, step = format(spec.tick.normalize(), "f"), format(spec.step.normalize(), "f")
    largest, largest_market = format(spec.limit_quantity_max, "f"), format(spec.market_quantity_max, "f")
    return {
        "symbol": spec.symbol,
        "pair": spec.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": spec.base,
        "quoteAsset": spec.quote,
        "marginAsset": spec.quote,
        "pricePrecision": spec.price_digits,
        "quantityPrecision": spec.quantity_digits,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": f"{LIQUIDATION_FEE:.6f}",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": str(PRICE_MAX), "tickSize": tick},
            {"filterType": "LOT_SIZE", "stepSize": step, "maxQty": largest, "minQty": step},
            {"filterType": "MARKET_LOT_SIZE", "stepSize": step, "maxQty": largest_market, "minQty": step},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": format(spec.min_notional, "f")},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": "1.0500",
                "multiplierDown": "0.9500",
                "multiplierDecimal": "4",
            },
        ],
        "orderTypes": ORDER_TYPES,
        "timeInForce": list(TIMES_IN_FORCE),
    }


def agg_trades(desk: Desk, params: Params) -> bytes:
    """By `fromId`, by a window of time, or the newest. Only what is public now."""
    tape = _market(desk, params).tape
    limit = limit_of(params, 500, AGG_TRADES_MAX)
    first, start, end = optional(params, "fromId"), optional(params, "startTime"), optional(params, "endTime")
    if first is not None and (start is not None or end is not None):
        raise RefusedError(-1128)
    if start is not None and end is not None and end < start:
        raise RefusedError(-1128)
    if first is not None:
        rows = tape.from_id(first, limit)
    elif start is not None:
        rows = tape.between(start, end if end is not None else 1 << 60, limit)
    else:
        rows = tape.latest(limit, end)
    return b"[" + b",".join(rows) + b"]"


def klines(desk: Desk, params: Params) -> list[list[object]]:
    market = _market(desk, params)
    interval_ms = INTERVALS.get(demand(params, "interval"))
    if interval_ms is None:
        raise RefusedError(-1120)
    limit = limit_of(params, 500, KLINES_MAX)
    start, end = optional(params, "startTime"), optional(params, "endTime")
    if start is not None:
        start = -(-start // interval_ms) * interval_ms
    minutes = market.klines(start, end, limit * interval_ms // MINUTE_MS)
    bars = joined(minutes, interval_ms)
    bars = bars[:limit] if start is not None else bars[-limit:]
    digits = (market.spec.price_digits, market.spec.quantity_digits)
    return [kline(bar, interval_ms, *digits) for bar in bars]


def premium_index(desk: Desk, params: Params) -> Any:
    return _one_or_all(desk, params, lambda market: _premium(market, desk.time.now_ms()))


def _premium(market: Market, ms: int) -> dict[str, Any]:
    mark = f"{market.mark():.8f}"
    return {
        "symbol": market.spec.symbol,
        "markPrice": mark,
        "indexPrice": mark,
        "estimatedSettlePrice": mark,
        "lastFundingRate": f"{market.funding_rate:.8f}",
        "interestRate": "0.00010000",
        "nextFundingTime": next_funding_ms(ms),
        "time": ms,
    }


def ticker_price(desk: Desk, params: Params) -> Any:
    def one(market: Market) -> dict[str, Any]:
        return {"symbol": market.spec.symbol, "price": format(market.last_price(), "f"), "time": market.last_ms}

    return _one_or_all(desk, params, one)


def ticker_book(desk: Desk, params: Params) -> Any:
    def one(market: Market) -> dict[str, Any]:
        return {
            "symbol": market.spec.symbol,
            "bidPrice": market.bid or "0",
            "bidQty": market.bid_quantity,
            "askPrice": market.ask or "0",
            "askQty": market.ask_quantity,
            "time": market.book_ms,
            "lastUpdateId": market.update_id,
        }

    return _one_or_all(desk, params, one)


def ticker_day(desk: Desk, params: Params) -> Any:
    def one(market: Market) -> dict[str, Any]:
        day = market.ticker(desk.time.now_ms())
        return {
            "symbol": day["s"],
            "priceChange": day["p"],
            "priceChangePercent": day["P"],
            "weightedAvgPrice": day["w"],
            "lastPrice": day["c"],
            "lastQty": day["Q"],
            "openPrice": day["o"],
            "highPrice": day["h"],
            "lowPrice": day["l"],
            "volume": day["v"],
            "quoteVolume": day["q"],
            "openTime": day["O"],
            "closeTime": day["C"],
            "firstId": day["F"],
            "lastId": day["L"],
            "count": day["n"],
        }

    return _one_or_all(desk, params, one)


def depth(desk: Desk, params: Params) -> dict[str, Any]:
    """The best level as the market tells it, the others as core/matching.py makes them."""
    market = _market(desk, params)
    limit = limit_of(params, 500, 1000)
    return {
        "lastUpdateId": market.update_id,
        "E": market.book_ms,
        "T": market.book_ms,
        "bids": depth_of(market.best("SELL") if market.bid else None, "SELL", market.spec, limit),
        "asks": depth_of(market.best("BUY") if market.ask else None, "BUY", market.spec, limit),
    }


def funding_rates(desk: Desk, params: Params) -> list[dict[str, Any]]:
    """Funding times that passed here; there is none before the market began."""
    symbol = _market(desk, params).spec.symbol if params.get("symbol") else ""
    start, end = optional(params, "startTime"), integer(params, "endTime", WINDOW_MAX_MS)
    return desk.exchange.records.funding(symbol, start, end, limit_of(params, 100, 1000))


def funding_info(desk: Desk, params: Params) -> list[dict[str, Any]]:
    return [
        {
            "symbol": symbol,
            "adjustedFundingRateCap": "0.03000000",
            "adjustedFundingRateFloor": "-0.03000000",
            "fundingIntervalHours": 8,
            "disclaimer": False,
        }
        for symbol in desk.exchange.markets
    ]


def _market(desk: Desk, params: Params) -> Market:
    return desk.exchange.market(demand(params, "symbol").upper())


def _one_or_all(desk: Desk, params: Params, one: Any) -> Any:
    if params.get("symbol"):
        return one(_market(desk, params))
    return [one(market) for market in desk.exchange.markets.values()]


def _klines_weight(params: Params) -> int:
    limit = int(params.get("limit") or 500) if (params.get("limit") or "500").isdigit() else 500
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


ROUTES: Final[Routes] = {
    ("GET", "/fapi/v1/ping"): Route(lambda desk, params: {}, "open"),
    ("GET", "/fapi/v1/time"): Route(lambda desk, params: {"serverTime": desk.clock_ms()}, "open"),
    ("GET", "/fapi/v1/exchangeInfo"): Route(exchange_info, "open"),
    ("GET", "/fapi/v1/aggTrades"): Route(agg_trades, "open", 20),
    ("GET", "/fapi/v1/klines"): Route(klines, "open", _klines_weight),
    ("GET", "/fapi/v1/premiumIndex"): Route(premium_index, "open"),
    ("GET", "/fapi/v1/ticker/price"): Route(ticker_price, "open"),
    ("GET", "/fapi/v2/ticker/price"): Route(ticker_price, "open"),
    ("GET", "/fapi/v1/ticker/bookTicker"): Route(ticker_book, "open", 2),
    ("GET", "/fapi/v1/ticker/24hr"): Route(ticker_day, "open", lambda params: 1 if params.get("symbol") else 40),
    ("GET", "/fapi/v1/depth"): Route(depth, "open", 2),
    ("GET", "/fapi/v1/fundingRate"): Route(funding_rates, "open"),
    ("GET", "/fapi/v1/fundingInfo"): Route(funding_info, "open"),
}
