"""What the exchange keeps of the past: every order, conditional order and movement of money. Reads only."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from phoenix95.common.errors import TransientError
from phoenix95.common.money import ZERO
from phoenix95.executor.venue.exchange import Requests, decoded

PAGE: Final = 1_000
WINDOW_MS: Final = 6 * 86_400_000  # the exchange answers for seven days at most
WINDOW_MIN_MS: Final = 1
RECV_WINDOW_MS: Final = 10_000

T = TypeVar("T", bound="Kept")


class Kept(msgspec.Struct, rename="camel"):
    """What all three have in common."""

    symbol: str


class PlacedOrder(Kept, rename="camel"):
    """A plain order."""

    order_id: int
    client_order_id: str
    status: str
    executed_qty: Decimal = ZERO
    time: int = 0


class PlacedAlgo(Kept, rename="camel"):
    """A conditional order; `actual_order_id` is the plain order that its trigger made."""

    algo_id: int
    client_algo_id: str
    algo_status: str
    create_time: int = 0
    actual_order_id: str | int | None = None


class Income(Kept, rename="camel"):
    """A movement of money. Signed as the exchange signs it: a commission is negative."""

    income_type: str
    income: Decimal
    asset: str
    time: int
    tran_id: int | str = 0
    trade_id: int | str = ""


class Records:
    """Raises TransientError for what is no answer, VenueRejected for refused keys."""

    def __init__(self, requests: Requests, now_ms: Callable[[], int]) -> None:
        self._requests, self._now_ms = requests, now_ms

    async def orders(self, symbol: str, since_ms: int) -> list[PlacedOrder]:
        """Plain orders of a symbol from a time on, the oldest first."""
        return await self._all("fapiPrivateGetAllOrders", PlacedOrder, since_ms, symbol=symbol)

    async def conditionals(self, symbol: str, since_ms: int) -> list[PlacedAlgo]:
        """Conditional orders of a symbol from a time on, the oldest first."""
        return await self._all("fapiPrivateGetAllAlgoOrders", PlacedAlgo, since_ms, symbol=symbol)

    async def income(self, since_ms: int, until_ms: int) -> list[Income]:
        """Movements of money in a stretch of time, both ends included, the oldest first."""
        return await self._all("fapiPrivateGetIncome", Income, since_ms, until_ms=until_ms)

    async def _all(
        self, endpoint: str, kind: type[T], since_ms: int, *, until_ms: int | None = None, **which: str
    ) -> list[T]:
        end = self._now_ms() if until_ms is None else until_ms
        found: list[T] = []
        while since_ms <= end:
            upto = min(end, since_ms + WINDOW_MS)
            found += await self._window(endpoint, kind, since_ms, upto, which)
            since_ms = upto + 1
        return found

    async def _window(self, endpoint: str, kind: type[T], start: int, end: int, which: dict[str, str]) -> list[T]:
        """One answer; a full one may not be all, so its time is halved."""
        params: dict[str, Any] = {**which, "startTime": start, "endTime": end, "limit": PAGE}
        stamp = {"timestamp": self._now_ms(), "recvWindow": RECV_WINDOW_MS}
        answer = await self._requests.read(endpoint, {**stamp, **params})
        if answer is None:
            raise TransientError(f"exchange, {endpoint}: no list in its answer")
        found: list[T] = decoded(list[kind], answer, endpoint)  # type: ignore[valid-type]
        if len(found) < PAGE or end - start < WINDOW_MIN_MS:
            return found
        middle = (start + end) // 2
        return [
            *await self._window(endpoint, kind, start, middle, which),
            *await self._window(endpoint, kind, middle + 1, end, which),
        ]
