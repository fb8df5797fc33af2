"""The account: balance, positions, fills, settings, and the key of the user stream."""

from typing import Any, Final

from phoenix95.common.money import ZERO
from phoenix95.paper.core.codes import RefusedError
from phoenix95.paper.core.orders import Income, Trade
from phoenix95.paper.core.position import Position
from phoenix95.paper.core.requests import Params, demand
from phoenix95.paper.core.specs import MAKER_FEE, TAKER_FEE, brackets_of, notional_max
from phoenix95.paper.core.user_events import money
from phoenix95.paper.rest.desk import WINDOW_MAX_MS, Desk, Route, Routes, integer, limit_of, optional
from phoenix95.paper.rest.restrictions import restrictions

ASSET: Final = "USDT"
TRADES_WINDOW_MS: Final = 7 * 24 * 3600 * 1000
PAGE_MAX: Final = 1_000_000


def account(desk: Desk, params: Params) -> dict[str, Any]:
    """The v3 shape: positions only where something is held."""
    book, exchange = desk.exchange.account, desk.exchange
    figures = book.figures(exchange.mark_of)
    asset = {
        "asset": ASSET,
        "walletBalance": money(figures.wallet),
        "unrealizedProfit": money(figures.profit),
        "marginBalance": money(figures.wallet + figures.profit),
        "maintMargin": money(figures.maintenance),
        "initialMargin": money(figures.initial + figures.ordered),
        "positionInitialMargin": money(figures.initial),
        "openOrderInitialMargin": money(figures.ordered),
        "crossWalletBalance": money(figures.cross_wallet),
        "crossUnPnl": money(figures.cross_profit),
        "availableBalance": money(figures.available),
        "maxWithdrawAmount": money(figures.available),
        "marginAvailable": True,
        "updateTime": max(1, book.updated_ms),
    }
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": False,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
        "totalInitialMargin": asset["initialMargin"],
        "totalMaintMargin": asset["maintMargin"],
        "totalWalletBalance": asset["walletBalance"],
        "totalUnrealizedProfit": asset["unrealizedProfit"],
        "totalMarginBalance": asset["marginBalance"],
        "totalPositionInitialMargin": asset["positionInitialMargin"],
        "totalOpenOrderInitialMargin": asset["openOrderInitialMargin"],
        "totalCrossWalletBalance": asset["crossWalletBalance"],
        "totalCrossUnPnl": asset["crossUnPnl"],
        "availableBalance": asset["availableBalance"],
        "maxWithdrawAmount": asset["maxWithdrawAmount"],
        "assets": [asset],
        "positions": [_held(desk, position) for position in book.shown()],
    }


def _held(desk: Desk, position: Position) -> dict[str, Any]:
    risk = desk.exchange.account.risk(position, desk.exchange.mark_of(position.symbol))
    setting = desk.exchange.account.setting(position.symbol)
    return {
        "symbol": position.symbol,
        "positionSide": position.side,
        "positionAmt": format(position.amount, "f"),
        "unrealizedProfit": money(risk.profit),
        "isolatedMargin": money(position.isolated + risk.profit if setting.isolated else ZERO),
        "notional": money(risk.notional),
        "isolatedWallet": money(position.isolated),
        "initialMargin": money(risk.initial + risk.ordered),
        "maintMargin": money(risk.maintenance),
        "positionInitialMargin": money(risk.initial),
        "openOrderInitialMargin": money(risk.ordered),
        "leverage": str(setting.leverage),
        "isolated": setting.isolated,
        "entryPrice": format(position.entry, "f"),
        "updateTime": position.updated_ms,
    }


def balance(desk: Desk, params: Params) -> list[dict[str, Any]]:
    figures = desk.exchange.account.figures(desk.exchange.mark_of)
    return [
        {
            "accountAlias": "paper",
            "asset": ASSET,
            "balance": money(figures.wallet),
            "crossWalletBalance": money(figures.cross_wallet),
            "crossUnPnl": money(figures.cross_profit),
            "availableBalance": money(figures.available),
            "maxWithdrawAmount": money(figures.available),
            "marginAvailable": True,
            "updateTime": max(1, desk.exchange.account.updated_ms),
        }
    ]


def position_risk(desk: Desk, params: Params) -> list[dict[str, Any]]:
    """The v3 shape: only what is held or has an open order of either kind."""
    symbol = params.get("symbol", "").upper() or None
    if symbol is not None:
        desk.exchange.market(symbol)
    book = desk.exchange.account
    shown = {(position.symbol, position.side) for position in book.shown(symbol)}
    shown |= {(algo.symbol, algo.position_side) for algo in desk.exchange.open_algos(symbol)}
    return [_risk(desk, book.position(name, side)) for name, side in sorted(shown)]


def _risk(desk: Desk, position: Position) -> dict[str, Any]:
    exchange = desk.exchange
    mark, setting = exchange.mark_of(position.symbol), exchange.account.setting(position.symbol)
    digits = exchange.markets[position.symbol].spec.price_digits if position.symbol in exchange.markets else 8
    risk = exchange.account.risk(position, mark)
    liquidation = exchange.account.liquidation(position, exchange.mark_of)
    return {
        "symbol": position.symbol,
        "positionSide": position.side,
        "positionAmt": format(position.amount, "f"),
        "entryPrice": format(position.entry, "f"),
        "breakEvenPrice": f"{risk.break_even:.8f}",
        "markPrice": f"{mark:.8f}",
        "unRealizedProfit": money(risk.profit),
        "liquidationPrice": f"{liquidation:.{digits}f}" if liquidation else "0",
        "isolatedMargin": money(position.isolated + risk.profit if setting.isolated else ZERO),
        "notional": money(risk.notional),
        "marginAsset": ASSET,
        "isolatedWallet": money(position.isolated),
        "initialMargin": money(risk.initial + risk.ordered),
        "maintMargin": money(risk.maintenance),
        "positionInitialMargin": money(risk.initial),
        "openOrderInitialMargin": money(risk.ordered),
        "adl": 1,
        "bidNotional": money(risk.bids),
        "askNotional": money(risk.asks),
        "updateTime": position.updated_ms,
    }


def position_risk_v2(desk: Desk, params: Params) -> list[dict[str, Any]]:
    """The older shape: every symbol, with leverage and margin type."""
    wanted = params.get("symbol", "").upper()
    book = desk.exchange.account
    sides: tuple[Any, ...] = ("LONG", "SHORT") if book.hedge else ("BOTH",)
    rows = []
    for symbol in [desk.exchange.market(wanted).spec.symbol] if wanted else list(desk.exchange.markets):
        setting = book.setting(symbol)
        for side in sides:
            row = _risk(desk, book.position(symbol, side))
            row["leverage"] = str(setting.leverage)
            row["marginType"] = "isolated" if setting.isolated else "cross"
            row["isAutoAddMargin"] = "false"
            row["maxNotionalValue"] = format(notional_max(symbol, setting.leverage), "f")
            rows.append(row)
    return rows


def user_trades(desk: Desk, params: Params) -> list[Trade]:
    """From an id, from a time on (the oldest first), or the newest."""
    symbol = desk.exchange.market_of(params).spec.symbol
    first, start, end = optional(params, "fromId"), optional(params, "startTime"), optional(params, "endTime")
    if first is not None and (start is not None or end is not None):
        raise RefusedError(-1128)
    if start is not None and end is not None and not 0 <= end - start <= TRADES_WINDOW_MS:
        raise RefusedError(-1128)
    return desk.exchange.store.fills(
        symbol,
        order_id=optional(params, "orderId"),
        first_id=first,
        start_ms=start,
        end_ms=WINDOW_MAX_MS if end is None else end,
        limit=limit_of(params, 500, 1000),
    )


def income(desk: Desk, params: Params) -> list[Income]:
    """Every change of the wallet, the oldest first."""
    symbol = desk.exchange.market_of(params).spec.symbol if params.get("symbol") else ""
    return desk.exchange.records.income(
        symbol,
        params.get("incomeType", "").upper(),
        optional(params, "startTime"),
        integer(params, "endTime", WINDOW_MAX_MS),
        limit=limit_of(params, 100, 1000),
        page=max(1, min(integer(params, "page", 1), PAGE_MAX)),
    )


def count_down(desk: Desk, params: Params) -> dict[str, str]:
    symbol = desk.exchange.market_of(params).spec.symbol
    wait_ms = integer(params, "countdownTime")
    if wait_ms < 0:
        raise RefusedError(-1130, "countdownTime")
    desk.exchange.keeper.count_down(symbol, wait_ms, desk.time.now_ms())
    return {"symbol": symbol, "countdownTime": str(wait_ms)}


def symbol_config(desk: Desk, params: Params) -> list[dict[str, Any]]:
    wanted = params.get("symbol", "").upper()
    rows = []
    for symbol in [desk.exchange.market(wanted).spec.symbol] if wanted else list(desk.exchange.markets):
        setting = desk.exchange.account.setting(symbol)
        rows.append(
            {
                "symbol": symbol,
                "marginType": "ISOLATED" if setting.isolated else "CROSSED",
                "isAutoAddMargin": False,
                "leverage": setting.leverage,
                "maxNotionalValue": format(notional_max(symbol, setting.leverage), "f"),
            }
        )
    return rows


def leverage_bracket(desk: Desk, params: Params) -> Any:
    wanted = params.get("symbol", "").upper()
    symbols = [desk.exchange.market(wanted).spec.symbol] if wanted else list(desk.exchange.markets)
    return [
        {
            "symbol": symbol,
            "notionalCoef": 1.0,
            "brackets": [
                {
                    "bracket": tier.number,
                    "initialLeverage": tier.leverage,
                    "notionalCap": int(tier.cap),
                    "notionalFloor": int(tier.floor),
                    "maintMarginRatio": float(tier.rate),
                    "cum": float(tier.cum),
                }
                for tier in brackets_of(symbol)
            ],
        }
        for symbol in symbols
    ]


def set_leverage(desk: Desk, params: Params) -> dict[str, Any]:
    symbol = desk.exchange.market_of(params).spec.symbol
    leverage = integer(params, "leverage")
    desk.exchange.set_leverage(symbol, leverage)
    setting = desk.exchange.account.setting(symbol)
    return {
        "symbol": symbol,
        "leverage": leverage,
        "maxNotionalValue": format(notional_max(symbol, setting.leverage), "f"),
    }


def set_margin_type(desk: Desk, params: Params) -> dict[str, Any]:
    symbol = desk.exchange.market_of(params).spec.symbol
    kind = demand(params, "marginType").upper()
    if kind not in ("ISOLATED", "CROSSED"):
        raise RefusedError(-1130, "marginType")
    desk.exchange.set_isolated(symbol, kind == "ISOLATED")
    return {"code": 200, "msg": "success"}


def set_position_side(desk: Desk, params: Params) -> dict[str, Any]:
    dual = demand(params, "dualSidePosition").lower()
    if dual not in ("true", "false"):
        raise RefusedError(-1130, "dualSidePosition")
    desk.exchange.set_hedge(dual == "true")
    return {"code": 200, "msg": "success"}


def commission_rate(desk: Desk, params: Params) -> dict[str, str]:
    symbol = desk.exchange.market_of(params).spec.symbol
    return {
        "symbol": symbol,
        "makerCommissionRate": format(MAKER_FEE, "f"),
        "takerCommissionRate": format(TAKER_FEE, "f"),
    }


def _delete_listen_key(desk: Desk, params: Params) -> dict[str, str]:
    desk.listen_keys.delete()
    return {}


ROUTES: Final[Routes] = {
    ("GET", "/fapi/v2/account"): Route(account, "signed", 5),
    ("GET", "/fapi/v3/account"): Route(account, "signed", 5),
    ("GET", "/fapi/v2/balance"): Route(balance, "signed", 5),
    ("GET", "/fapi/v3/balance"): Route(balance, "signed", 5),
    ("GET", "/fapi/v2/positionRisk"): Route(position_risk_v2, "signed", 5),
    ("GET", "/fapi/v3/positionRisk"): Route(position_risk, "signed", 5),
    ("GET", "/fapi/v1/userTrades"): Route(user_trades, "signed", 5),
    ("GET", "/fapi/v1/income"): Route(income, "signed", 30),
    ("POST", "/fapi/v1/countdownCancelAll"): Route(count_down, "signed", 10),
    ("GET", "/sapi/v1/account/apiRestrictions"): Route(restrictions, "signed", 1),
    ("GET", "/fapi/v1/symbolConfig"): Route(symbol_config, "signed", 5),
    ("GET", "/fapi/v1/leverageBracket"): Route(leverage_bracket, "signed"),
    ("GET", "/fapi/v1/commissionRate"): Route(commission_rate, "signed", 20),
    ("POST", "/fapi/v1/leverage"): Route(set_leverage, "signed"),
    ("POST", "/fapi/v1/marginType"): Route(set_margin_type, "signed"),
    ("POST", "/fapi/v1/positionSide/dual"): Route(set_position_side, "signed"),
    ("GET", "/fapi/v1/positionSide/dual"): Route(
        lambda desk, params: {"dualSidePosition": desk.exchange.account.hedge}, "signed", 30
    ),
    ("POST", "/fapi/v1/listenKey"): Route(lambda desk, params: {"listenKey": desk.listen_keys.create()}, "key"),
    ("PUT", "/fapi/v1/listenKey"): Route(lambda desk, params: {"listenKey": desk.listen_keys.keep()}, "key"),
    ("DELETE", "/fapi/v1/listenKey"): Route(_delete_listen_key, "key"),
}
