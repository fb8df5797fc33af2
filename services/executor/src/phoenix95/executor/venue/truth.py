"""What a reconciliation asks the exchange beside what the order protocol asks."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from phoenix95.common.errors import TransientError
from phoenix95.executor.core.flatten import Resting
from phoenix95.executor.core.reconcile import Config
from phoenix95.executor.venue.budget import Urgency
from phoenix95.executor.venue.direct import Direct
from phoenix95.executor.venue.exchange import Requests, decoded

INCOME_PAGE: Final = 1000


class Income(msgspec.Struct, rename="camel"):
    """A row of the income history. `trade_id` is an empty text where no trade made it."""

    income_type: str
    income: Decimal
    asset: str
    time: int
    tran_id: int
    symbol: str = ""
    trade_id: str | int | None = None

    @property
    def trade(self) -> int | None:
        return int(self.trade_id) if self.trade_id not in (None, "") else None


class _Config(msgspec.Struct, rename="camel"):
    symbol: str
    margin_type: str
    leverage: int


class Truths:
    """All methods raise TransientError when there is no answer, VenueRejected for refused credentials. `seen` hears the
    leverage of each symbol, and whether its margin is isolated."""

    def __init__(
        self,
        requests: Requests,
        stamp: Callable[[], dict[str, int]],
        seen: Callable[[str, int, bool], None] = lambda _symbol, _leverage, _isolated: None,
    ) -> None:
        self._requests = requests
        self._seen = seen
        self._stamp = stamp
        self._direct = Direct(requests, lambda: stamp()["timestamp"], urgency=Urgency.POLL)

    async def orders(self) -> tuple[Resting, ...]:
        """Every open order of either kind."""
        return await self._direct.resting()

    async def cancel(self, order: Resting) -> None:
        """Cancelling what is gone already is done."""
        await self._direct.cancel(order)

    async def configs(self) -> dict[str, Config]:
        """Leverage and margin mode by symbol."""
        found: list[_Config] = decoded(list[_Config], await self._list("fapiPrivateGetSymbolConfig"), "symbol config")
        configs = {
            one.symbol: Config(symbol=one.symbol, leverage=one.leverage, isolated=one.margin_type.upper() == "ISOLATED")
            for one in found
        }
        for one in configs.values():
            self._seen(one.symbol, one.leverage, one.isolated)
        return configs

    async def hedged(self) -> bool:
        """Whether the account holds long and short apart."""
        answer = await self._requests.read("fapiPrivateGetPositionSideDual", self._stamp(), Urgency.POLL)
        if not isinstance(answer, dict) or "dualSidePosition" not in answer:
            raise TransientError("exchange: no position mode in its answer")
        return str(answer["dualSidePosition"]).lower() == "true"

    async def income(self, since_ms: int) -> tuple[Income, ...]:
        """The income history from a time on, oldest first, of all types."""
        found: dict[tuple[str, int, str], Income] = {}
        start = since_ms
        while True:
            answer = await self._list("fapiPrivateGetIncome", startTime=start, limit=INCOME_PAGE)
            page: list[Income] = decoded(list[Income], answer, "income")
            new = {(one.income_type, one.tran_id, one.symbol): one for one in page} | found
            grown, found = len(new) > len(found), new
            if len(page) < INCOME_PAGE or not grown:
                return tuple(sorted(found.values(), key=lambda one: (one.time, one.tran_id)))
            start = max(one.time for one in page)

    async def _list(self, endpoint: str, **params: Any) -> Any:
        answer = await self._requests.read(endpoint, {**self._stamp(), **params}, Urgency.POLL)
        if not isinstance(answer, list):
            raise TransientError("exchange: no list in its answer")
        return answer
