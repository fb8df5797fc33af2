"""The venue port over Binance USD-M futures, in hedge or one-way mode, with isolated or cross margin."""

import math
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any, Final, Literal, TypeVar

from phoenix95.common.errors import ConfigError, OutcomeUnknown, TransientError, VenueRejected
from phoenix95.common.money import plain
from phoenix95.executor.core.group import Fill
from phoenix95.executor.core.intents import Intent, Role
from phoenix95.executor.core.observe import ConditionalReport, Report
from phoenix95.executor.core.reconcile import OUR_PREFIX
from phoenix95.executor.core.sizing import Bracket, Rules
from phoenix95.executor.ports import VenueAccount, VenuePosition
from phoenix95.executor.venue.budget import Urgency
from phoenix95.executor.venue.codes import ALREADY_SO, MARGIN_IN_USE, MODE_IN_USE
from phoenix95.executor.venue.exchange import Requests, decoded
from phoenix95.executor.venue.payloads import (
    Account,
    AlgoOrder,
    Order,
    PositionRisk,
    UserTrade,
)  # fmt: skip
from phoenix95.executor.venue.reference import Reference

FILLS_PAGE: Final = 1000
FILLS_WINDOW_MS: Final = 7 * 86_400_000  # a question by time reaches no further from its beginning
FILLS_KEPT_MS: Final = 180 * 86_400_000  # older ones the exchange does not tell any more
WAIT_MAX_S: Final = 5.0  # a request that is held back longer asks again
TOUCHED_S: Final = 30.0
ALGO_TYPES: Final = {"stop": "STOP_MARKET", "target": "TAKE_PROFIT_MARKET", "trail": "TRAILING_STOP_MARKET"}

T = TypeVar("T")


class Binance:
    """See `ports.Venue`. What is asked for carries the clock's time, so that a wrong host clock does no harm."""

    def __init__(
        self,
        requests: Requests,
        now_ms: Callable[[], int],
        recv_window_ms: int,
        *,
        hedge: bool = True,
        margin: Literal["isolated", "cross"] = "isolated",
    ) -> None:
        self._hedge, self._margin = hedge, margin
        self._requests = requests
        self._now_ms = now_ms
        self._recv_window_ms = recv_window_ms
        self._prepared: dict[str, int] = {}
        self._touched_s: dict[str, float] = {}
        self.reference = Reference(requests, self.stamp)
        requests.refused.append(self.reference.refused)

    async def use_position_mode(self) -> None:
        """Hedge or one-way mode, as set. ConfigError when open positions or orders forbid the change."""
        wanted = "true" if self._hedge else "false"
        answer = await self._ask("fapiPrivateGetPositionSideDual", {})
        if isinstance(answer, dict) and str(answer.get("dualSidePosition")).lower() == wanted:
            return
        try:
            await self._set("fapiPrivatePostPositionSideDual", {"dualSidePosition": wanted})
        except VenueRejected as refusal:
            if refusal.code not in MODE_IN_USE:
                raise
            now = "one-way" if self._hedge else "hedge"
            raise ConfigError(
                f"P95_EXECUTOR_HEDGE_MODE is {wanted}, but the account is in {now} mode and holds positions or open"
                f" orders: close them first, or change the setting back ({refusal})"
            ) from refusal

    async def prepare(self, symbol: str, leverage: int) -> None:
        if self._prepared.get(symbol) == leverage:
            return
        kind = "ISOLATED" if self._margin == "isolated" else "CROSSED"
        try:
            await self._set("fapiPrivatePostMarginType", {"symbol": symbol, "marginType": kind})
        except VenueRejected as refusal:
            if refusal.code not in MARGIN_IN_USE:
                raise
            said = f"P95_EXECUTOR_MARGIN_TYPE is {self._margin}, but positions or open orders forbid the change"
            raise VenueRejected(refusal.code, f"{said}: {refusal.message}") from refusal
        await self._set("fapiPrivatePostLeverage", {"symbol": symbol, "leverage": leverage})
        self._prepared[symbol] = leverage

    def settings_seen(self, symbol: str, leverage: int, isolated: bool) -> None:
        """What the exchange has: where somebody changed what was prepared, the next entry sets it again."""
        if self._prepared.get(symbol) != leverage or isolated != (self._margin == "isolated"):
            self._prepared.pop(symbol, None)

    async def place(self, intent: Intent) -> Report:
        params = {
            **_signed(intent),
            **self._side(intent),
            "type": "MARKET",
            "quantity": plain(intent.quantity),
            "newClientOrderId": intent.client_id,
            "newOrderRespType": "RESULT",
        }
        answer = await self._send("fapiPrivatePostOrder", params, intent)
        return _understood(Order, answer).report()

    async def place_conditional(self, intent: Intent) -> ConditionalReport:
        params = {
            **_signed(intent),
            **_condition(intent),
            "algoType": "CONDITIONAL",
            "type": ALGO_TYPES[intent.role],
            **self._side(intent),
            "quantity": plain(intent.quantity),
            "workingType": "CONTRACT_PRICE",
            "clientAlgoId": intent.client_id,
        }
        answer = await self._send("fapiPrivatePostAlgoOrder", params, intent)
        return _understood(AlgoOrder, answer).report()

    async def cancel_conditional(self, symbol: str, client_id: str) -> bool:
        """Cancelling twice does no harm, so an unknown outcome is just a TransientError."""
        params = {**self.stamp(), "symbol": symbol, "clientAlgoId": client_id}
        try:
            self._touch(symbol)
            return await self._requests.read("fapiPrivateDeleteAlgoOrder", params) is not None
        except VenueRejected as refusal:
            raise TransientError(f"exchange, cancelling {client_id}: {refusal}") from refusal

    async def order(self, symbol: str, client_id: str) -> Report | None:
        answer = await self._ask("fapiPrivateGetOrder", {"symbol": symbol, "origClientOrderId": client_id})
        return None if answer is None else decoded(Order, answer, "order").report()

    async def order_by_id(self, symbol: str, order_id: str) -> Report | None:
        answer = await self._ask("fapiPrivateGetOrder", {"symbol": symbol, "orderId": order_id})
        return None if answer is None else decoded(Order, answer, "order").report()

    async def conditional(self, symbol: str, client_id: str) -> ConditionalReport | None:
        answer = await self._ask("fapiPrivateGetAlgoOrder", {"symbol": symbol, "clientAlgoId": client_id})
        if answer is None:
            return None
        found: AlgoOrder = decoded(AlgoOrder, answer, "algo order")
        if found.order_id is None:
            return found.report()
        made = await self._ask("fapiPrivateGetOrder", {"symbol": symbol, "orderId": found.order_id})
        if made is None:  # it was triggered, so its order must be: not an answer to rely on
            raise TransientError(f"exchange: the order {found.order_id} of {client_id} is not there yet")
        return found.report(decoded(Order, made, "order").report())

    async def open_conditionals(self, symbol: str | None) -> tuple[ConditionalReport, ...]:
        wanted = {} if symbol is None else {"symbol": symbol}
        answer = await self._ask("fapiPrivateGetOpenAlgoOrders", wanted, self._looking(symbol))
        rows: list[dict[str, Any]] = decoded(list[dict[str, Any]], _listed(answer), "open algo orders")
        return tuple(found for row in rows if (found := _of_row(row)) is not None)

    async def fills(self, symbol: str, *, since_ms: int, after_id: int | None) -> tuple[Fill, ...]:
        params: dict[str, Any] = {"symbol": symbol, "limit": FILLS_PAGE}
        found: dict[int, Fill] = {}
        for start in self._windows(since_ms) if after_id is None else ({"fromId": after_id + 1},):
            while True:
                answer = await self._ask("fapiPrivateGetUserTrades", {**params, **start}, self._looking(symbol))
                page: list[UserTrade] = decoded(list[UserTrade], _listed(answer), "user trades")
                new = [one.fill() for one in page if one.id not in found and (after_id is None or one.id > after_id)]
                found.update((fill.trade_id, fill) for fill in new)
                if len(page) < FILLS_PAGE or not new:
                    break
                start = {"fromId": max(found) + 1}
        return tuple(found[trade_id] for trade_id in sorted(found))

    def _windows(self, since_ms: int) -> Iterator[dict[str, int]]:
        """From a time up to now, as far as one question about trades reaches each."""
        now_ms = self._now_ms()
        start_ms = max(since_ms, now_ms - FILLS_KEPT_MS)
        while start_ms + FILLS_WINDOW_MS <= now_ms:
            yield {"startTime": start_ms, "endTime": start_ms + FILLS_WINDOW_MS - 1}
            start_ms += FILLS_WINDOW_MS
        yield {"startTime": start_ms}

    async def positions(self) -> tuple[VenuePosition, ...]:
        answer = await self._ask("fapiPrivateV3GetPositionRisk", {})
        found: list[PositionRisk] = decoded(list[PositionRisk], _listed(answer), "position risk")
        return tuple(one.position() for one in found if one.position_amt != 0)

    async def account(self) -> VenueAccount:
        return decoded(Account, await self._ask("fapiPrivateV3GetAccount", {}, Urgency.POLL), "account").account()

    async def rules(self, symbol: str) -> Rules | None:
        return await self.reference.rules(symbol)

    async def brackets(self, symbol: str) -> tuple[Bracket, ...]:
        return await self.reference.brackets(symbol)

    def wait_ms(self, role: Role) -> int:
        wait_s = self._requests.budget.wait_s(_urgency(role))
        return math.ceil(min(wait_s, WAIT_MAX_S) * 1000)

    async def listen_key(self) -> str:
        """The key of the user stream; asking again gives the same one and keeps it alive."""
        answer = await self._requests.read("fapiPrivatePostListenKey", {})
        if not isinstance(answer, dict) or not isinstance(answer.get("listenKey"), str):
            raise TransientError("exchange: no listen key in its answer")
        return str(answer["listenKey"])

    async def close(self) -> None:
        await self._requests.close()

    async def _send(self, endpoint: str, params: dict[str, Any], intent: Intent) -> dict[str, Any]:
        self._touch(intent.symbol)
        return await self._requests.send(endpoint, params, _urgency(intent.role))

    async def _ask(self, endpoint: str, params: dict[str, Any], urgency: Urgency = Urgency.LOOK) -> Any:
        return await self._requests.read(endpoint, {**self.stamp(), **params}, urgency)

    def _touch(self, symbol: str) -> None:
        self._touched_s[symbol] = monotonic()

    def _looking(self, symbol: str | None) -> Urgency:
        """Where something was sent a moment ago, a look is part of it; elsewhere it only makes sure."""
        if symbol is None:
            return Urgency.POLL
        touched_s = self._touched_s.setdefault(symbol, monotonic())
        return Urgency.LOOK if monotonic() - touched_s < TOUCHED_S else Urgency.POLL

    async def _set(self, endpoint: str, params: dict[str, Any]) -> None:
        """Bring a setting to what it should be; it may be so already, and repeating it does no harm."""
        try:
            await self._requests.send(endpoint, {**self.stamp(), **params}, Urgency.SETTING)
        except VenueRejected as refusal:
            if refusal.code not in ALREADY_SO:
                raise
        except OutcomeUnknown as unknown:
            raise TransientError(str(unknown)) from unknown

    def _side(self, intent: Intent) -> dict[str, str]:
        """Hedge mode says which position is meant; one-way mode that an order may only reduce the one there is.

        The two exclude each other: together they are refused with -1106.
        """
        if self._hedge:
            return {"side": intent.side, "positionSide": intent.position_side}
        reducing = {} if intent.role == "entry" else {"reduceOnly": "true"}
        return {"side": intent.side, "positionSide": "BOTH", **reducing}

    def stamp(self) -> dict[str, int]:
        """What every signed request carries, as of now. Raises TransientError while exchange time is unknown."""
        return {"timestamp": self._now_ms(), "recvWindow": self._recv_window_ms}


def _signed(intent: Intent) -> dict[str, Any]:
    """Exactly what was stored before: the exchange's own receive window closes the door on a late request."""
    if intent.signed_ms is None or intent.deadline_ms is None:
        raise VenueRejected(0, f"{intent.client_id} was not signed")
    return {
        "symbol": intent.symbol,
        "timestamp": intent.signed_ms,
        "recvWindow": intent.deadline_ms - intent.signed_ms,
    }


def _urgency(role: Role) -> Urgency:
    return Urgency.ENTRY if role == "entry" else Urgency.PROTECT


def _condition(intent: Intent) -> dict[str, str]:
    """What sets it off. A trailing stop without an activation price follows the market from its beginning."""
    price = None if intent.trigger_price is None else plain(intent.trigger_price)
    if intent.callback_rate is not None:
        activation = {} if price is None else {"activatePrice": price}
        return {"callbackRate": plain(intent.callback_rate), **activation}
    if price is None:
        raise VenueRejected(0, f"{intent.client_id} has no trigger price")
    return {"triggerPrice": price}


def _understood(kind: type[T], answer: Any) -> T:
    """What was accepted but cannot be understood has an unknown outcome."""
    try:
        return decoded(kind, answer, "a sent order")
    except TransientError as error:
        raise OutcomeUnknown(str(error)) from error


def _of_row(row: dict[str, Any]) -> ConditionalReport | None:
    """None for an order of others that cannot be understood: it must not hide our stops. One of ours is no answer."""
    try:
        found: AlgoOrder = decoded(AlgoOrder, row, "open algo order")
        return found.report()
    except TransientError:
        if str(row.get("clientAlgoId", "")).startswith(OUR_PREFIX):
            raise
        return None


def _listed(answer: Any) -> Any:
    if answer is None:
        raise TransientError("exchange: no list in its answer")
    return answer
