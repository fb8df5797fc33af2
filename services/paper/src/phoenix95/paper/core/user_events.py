"""What the user stream says about orders, fills and the account."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from phoenix95.paper.core.account import Account, Marks
from phoenix95.paper.core.orders import Algo, Order, Trade
from phoenix95.paper.core.position import Position
from phoenix95.paper.core.specs import TAKER_FEE

Event = dict[str, Any]


def order_event(order: Order, execution: str, ms: int, fill: Trade | None = None) -> Event:
    """ORDER_TRADE_UPDATE: `execution` is NEW, TRADE or CALCULATED with its fill, AMENDMENT, CANCELED or EXPIRED."""
    body: Event = {
        "s": order.symbol,
        "c": order.client_order_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": order.orig_qty,
        "p": order.price,
        "ap": order.avg_price if order.executed_qty != "0" else "0",
        "sp": order.stop_price,
        "x": execution,
        "X": order.status,
        "i": order.order_id,
        "l": fill.qty if fill else "0",
        "z": order.executed_qty,
        "L": fill.price if fill else "0",
        "N": fill.commission_asset if fill else "USDT",
        "n": fill.commission if fill else "0",
        "T": ms,
        "t": fill.id if fill else 0,
        "b": "0",
        "a": "0",
        "m": fill.maker if fill else False,
        "R": order.reduce_only,
        "wt": order.working_type,
        "ot": order.orig_type,
        "ps": order.position_side,
        "cp": order.close_position,
        "pP": order.price_protect,
        "si": 0,
        "ss": 0,
        "rp": fill.realized_pnl if fill else "0",
        "V": order.self_trade_prevention_mode,
        "pm": order.price_match,
        "gtd": order.good_till_date,
        "er": "0",
    }
    return {"e": "ORDER_TRADE_UPDATE", "T": ms, "E": ms, "o": body}


def trade_lite_event(order: Order, fill: Trade, ms: int) -> Event:
    """TRADE_LITE, for connections that ask for it by name."""
    return {
        "e": "TRADE_LITE",
        "E": ms,
        "T": ms,
        "s": order.symbol,
        "q": order.orig_qty,
        "p": order.price,
        "m": fill.maker,
        "c": order.client_order_id,
        "S": order.side,
        "L": fill.price,
        "l": fill.qty,
        "t": fill.id,
        "i": order.order_id,
    }


def margin_call_event(account: Account, positions: Sequence[Position], marks: Marks, ms: int) -> Event:
    """MARGIN_CALL: the margin of these positions is nearly used up."""
    told = []
    for position in positions:
        mark = marks(position.symbol)
        isolated = account.setting(position.symbol).isolated
        told.append(
            {
                "s": position.symbol,
                "ps": position.side,
                "pa": format(position.amount, "f"),
                "mt": "ISOLATED" if isolated else "CROSSED",
                "iw": money(position.isolated),
                "mp": money(mark),
                "up": money(position.profit_at(mark)),
                "mm": money(account.risk(position, mark).maintenance),
            }
        )
    return {"e": "MARGIN_CALL", "E": ms, "cw": money(account.figures(marks).cross_wallet), "p": told}


def account_event(
    account: Account, changed: Sequence[Position], marks: Marks, delta: Decimal, reason: str, ms: int
) -> Event:
    """ACCOUNT_UPDATE with the wallet and the changed positions; `delta` is its change other than by trading."""
    figures = account.figures(marks)
    return {
        "e": "ACCOUNT_UPDATE",
        "T": ms,
        "E": ms,
        "a": {
            "m": reason,
            "B": [{"a": "USDT", "wb": money(figures.wallet), "cw": money(figures.cross_wallet), "bc": money(delta)}],
            "P": [_position(account, position, marks(position.symbol)) for position in changed],
        },
    }


def _position(account: Account, position: Position, mark: Decimal) -> Event:
    isolated = account.setting(position.symbol).isolated
    sign = 1 if position.amount > 0 else -1
    return {
        "s": position.symbol,
        "pa": format(position.amount, "f"),
        "ep": format(position.entry, "f"),
        "bep": money(position.entry * (1 + sign * TAKER_FEE)),
        "cr": money(position.realized),
        "up": money(position.profit_at(mark)),
        "mt": "isolated" if isolated else "cross",
        "iw": money(position.isolated),
        "ps": position.side,
    }


def algo_event(algo: Algo, ms: int, reason: str = "") -> Event:
    """ALGO_UPDATE of a conditional order; `reason` says why it was rejected or expired."""
    return {
        "e": "ALGO_UPDATE",
        "T": ms,
        "E": ms,
        "o": {
            "caid": algo.client_algo_id,
            "aid": algo.algo_id,
            "at": algo.algo_type,
            "o": algo.order_type,
            "s": algo.symbol,
            "S": algo.side,
            "ps": algo.position_side,
            "f": algo.time_in_force,
            "q": algo.quantity,
            "X": algo.algo_status,
            "ai": algo.actual_order_id,
            "ap": algo.actual_price,
            "aq": algo.actual_qty,
            "act": algo.actual_type or "0",
            "tp": algo.trigger_price,
            "p": algo.price,
            "V": algo.self_trade_prevention_mode,
            "wt": algo.working_type,
            "pm": algo.price_match,
            "cp": algo.close_position,
            "pP": algo.price_protect,
            "R": algo.reduce_only,
            "tt": algo.trigger_time,
            "gtd": algo.good_till_date,
            "rm": reason,
        },
    }


def money(amount: Decimal) -> str:
    """An amount with the eight places that the exchange writes."""
    return f"{amount:.8f}"
