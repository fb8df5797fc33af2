"""The exchange for a person in need: lists, cancellations and closing orders, with nothing but the keys."""

import secrets
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from phoenix95.common.errors import TransientError, VenueRejected
from phoenix95.common.events import Side
from phoenix95.common.money import ZERO, plain
from phoenix95.executor.core.flatten import AnySide, Held, Resting
from phoenix95.executor.venue.budget import Urgency
from phoenix95.executor.venue.exchange import Requests, decoded

WINDOW_MS: Final = 10_000  # closing twice does no harm, so a slow line may have its time
PREFIX: Final = "p95d"  # of our client ids here, so that an audit finds them
# shown to people and needed for nothing else: a row where they cannot be read is closed or cancelled all the same
SHOWN_ONLY: Final = frozenset(
    {"entryPrice", "markPrice", "unRealizedProfit", "origQty", "price", "stopPrice", "quantity", "triggerPrice"}
)

T = TypeVar("T")


class Listed(NamedTuple, Generic[T]):
    """The rows of a list that can be read, and in words those that cannot."""

    rows: tuple[T, ...]
    unread: tuple[str, ...] = ()


class _Position(msgspec.Struct, rename="camel"):
    symbol: str
    position_side: AnySide
    position_amt: Decimal
    entry_price: Decimal = ZERO
    mark_price: Decimal = ZERO
    un_realized_profit: Decimal = ZERO


class _Order(msgspec.Struct, rename="camel"):
    symbol: str
    order_id: int
    client_order_id: str
    type: str
    side: Side
    position_side: AnySide = "BOTH"
    orig_qty: Decimal = ZERO
    price: Decimal = ZERO
    stop_price: Decimal = ZERO
    reduce_only: bool = False
    close_position: bool = False


class _Algo(msgspec.Struct, rename="camel"):
    symbol: str
    algo_id: int
    client_algo_id: str
    order_type: str
    side: Side
    position_side: AnySide = "BOTH"
    quantity: Decimal | None = None
    trigger_price: Decimal | None = None
    reduce_only: bool = False
    close_position: bool = False


class _Filter(msgspec.Struct, rename="camel"):
    filter_type: str
    max_qty: Decimal = ZERO


class _Symbol(msgspec.Struct):
    symbol: str
    filters: list[_Filter] = []


class _Info(msgspec.Struct):
    symbols: list[_Symbol]


class Direct:
    """All methods raise TransientError or OutcomeUnknown for what is no answer, VenueRejected for a definite no."""

    def __init__(self, requests: Requests, now_ms: Callable[[], int], *, urgency: Urgency = Urgency.LOOK) -> None:
        self._requests = requests
        self._urgency = urgency  # of the lists; what changes something has the exchange's limits for itself
        self._now_ms = now_ms
        self._largest: dict[str, Decimal] | None = None

    async def held(self) -> Listed[Held]:
        """Every position of the account, in either position mode."""
        found = _rows(_Position, await self._list("fapiPrivateV3GetPositionRisk"), "position")
        return Listed(
            tuple(
                Held(
                    symbol=one.symbol, position_side=one.position_side, amount=one.position_amt,
                    entry_price=one.entry_price, mark_price=one.mark_price, unrealized=one.un_realized_profit,
                )
                for one in found.rows
                if one.position_amt != 0
            ),
            found.unread,
        )  # fmt: skip

    async def resting(self) -> tuple[Resting, ...]:
        """Every open order. Raises TransientError also where one of them cannot be read."""
        orders, conditionals = await self.orders(), await self.conditionals()
        for unread in (*orders.unread, *conditionals.unread):
            raise TransientError(f"exchange: unreadable: {unread}")
        return (*orders.rows, *conditionals.rows)

    async def orders(self) -> Listed[Resting]:
        """The plain open orders."""
        found = _rows(_Order, await self._list("fapiPrivateGetOpenOrders"), "order")
        return Listed(
            tuple(
                Resting(
                    symbol=one.symbol, venue_id=str(one.order_id), client_id=one.client_order_id, conditional=False,
                    kind=one.type, side=one.side, position_side=one.position_side, quantity=one.orig_qty,
                    price=one.price or one.stop_price, reduces=one.reduce_only or one.close_position,
                )
                for one in found.rows
            ),
            found.unread,
        )  # fmt: skip

    async def conditionals(self) -> Listed[Resting]:
        """The open conditional orders."""
        found = _rows(_Algo, await self._list("fapiPrivateGetOpenAlgoOrders"), "conditional order")
        return Listed(
            tuple(
                Resting(
                    symbol=one.symbol, venue_id=str(one.algo_id), client_id=one.client_algo_id, conditional=True,
                    kind=one.order_type, side=one.side, position_side=one.position_side,
                    quantity=one.quantity or ZERO, price=one.trigger_price or ZERO,
                    reduces=one.reduce_only or one.close_position,
                )
                for one in found.rows
            ),
            found.unread,
        )  # fmt: skip

    async def cancel(self, order: Resting) -> None:
        """Cancelling what is gone already is done."""
        if order.conditional:
            endpoint, name = "fapiPrivateDeleteAlgoOrder", "algoId"
        else:
            endpoint, name = "fapiPrivateDeleteOrder", "orderId"
        await self._requests.read(endpoint, {**self._stamp(), "symbol": order.symbol, name: order.venue_id})

    async def close(self, position: Held) -> None:
        """One market order that can only reduce, as large as the exchange takes one."""
        largest = (await self._largest_orders()).get(position.symbol, ZERO)
        size = abs(position.amount)
        params: dict[str, Any] = {
            "symbol": position.symbol,
            "side": position.closing_side,
            "type": "MARKET",
            "quantity": plain(min(size, largest) if largest > 0 else size),
            "newClientOrderId": f"{PREFIX}{secrets.token_hex(10)}",
            "newOrderRespType": "RESULT",
        }
        if position.position_side == "BOTH":
            params["reduceOnly"] = "true"
        else:
            params["positionSide"] = position.position_side
        await self._requests.send("fapiPrivatePostOrder", {**self._stamp(), **params})

    async def _largest_orders(self) -> dict[str, Decimal]:
        """The largest market order by symbol. Without an answer the exchange itself must say when one is too large."""
        if self._largest is None:
            try:
                answer = await self._requests.read("fapiPublicGetExchangeInfo", {})
                info: _Info = decoded(_Info, answer, "exchange info")
            except (TransientError, VenueRejected):
                return {}
            self._largest = {
                one.symbol: min((limit.max_qty for limit in one.filters if limit.max_qty > 0), default=ZERO)
                for one in info.symbols
            }
        return self._largest

    async def _list(self, endpoint: str) -> Any:
        answer = await self._requests.read(endpoint, self._stamp(), self._urgency)
        if not isinstance(answer, list):
            raise TransientError("exchange: no list in its answer")
        return answer

    def _stamp(self) -> dict[str, int]:
        return {"timestamp": self._now_ms(), "recvWindow": WINDOW_MS}


def _rows(kind: type[T], answer: list[Any], what: str) -> Listed[T]:
    """Each row by itself: one that nobody can read must not keep the others from being closed."""
    found, unread = list[T](), list[str]()
    for row in answer:
        needed = {key: row[key] for key in row if key not in SHOWN_ONLY} if isinstance(row, dict) else row
        try:
            try:
                found.append(decoded(kind, row, what))
            except TransientError:
                found.append(decoded(kind, needed, what))
        except TransientError as error:
            ids = (row.get(key) for key in ("symbol", "clientOrderId", "clientAlgoId")) if row is not needed else ()
            unread.append(" ".join((what, *(str(one)[:40] for one in ids if one), f"({error})")))
    return Listed(tuple(found), tuple(unread))
