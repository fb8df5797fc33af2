"""The exchange's rules and margin tiers: read again every hour, and when a refusal says that they changed."""

from collections.abc import Callable
from time import monotonic
from typing import Final

from phoenix95.executor.core.sizing import Bracket, Rules
from phoenix95.executor.venue.budget import Urgency
from phoenix95.executor.venue.codes import RULES_CHANGED
from phoenix95.executor.venue.exchange import Requests, decoded
from phoenix95.executor.venue.payloads import ExchangeInfo, Tiers

EVERY_S: Final = 3_000.0  # read again in the background after this
MAX_AGE_S: Final = 3_600.0  # and waited for by who asks after this
AGAIN_S: Final = 5.0  # two readings are at least this far apart


class Reference:
    """What is not about orders but about what they may be. Raises TransientError while the exchange does not tell.

    `stamp` gives the signed parameters of a request: the tiers are told to the owner of an account only.
    """

    def __init__(self, requests: Requests, stamp: Callable[[], dict[str, int]]) -> None:
        self._requests, self._stamp = requests, stamp
        self._rules: dict[str, Rules] = {}
        self._rules_at_s: float | None = None
        self._tiers: dict[str, tuple[Bracket, ...]] = {}
        self._tiers_at_s: float | None = None
        self._doubtful = False

    async def rules(self, symbol: str) -> Rules | None:
        age_s = _age_s(self._rules_at_s)
        early = (symbol not in self._rules or self._doubtful) and age_s > AGAIN_S
        if early or age_s > MAX_AGE_S:
            await self._read_rules()
        return self._rules.get(symbol)

    async def brackets(self, symbol: str) -> tuple[Bracket, ...]:
        age_s = _age_s(self._tiers_at_s)
        if age_s > MAX_AGE_S or (symbol not in self._tiers and age_s > AGAIN_S):
            await self._read_tiers()
        return self._tiers.get(symbol, ())

    def refused(self, code: int) -> None:
        """Hear of a refusal: some say that the rules are no longer what they were."""
        self._doubtful = self._doubtful or code in RULES_CHANGED

    async def refresh(self) -> None:
        """Read again what is older than 50 minutes, or in doubt, so that nobody who decides has to wait for it."""
        if self._doubtful or _age_s(self._rules_at_s) > EVERY_S:
            await self._read_rules()
        if _age_s(self._tiers_at_s) > EVERY_S:
            await self._read_tiers()

    async def _read_rules(self) -> None:
        answer = await self._requests.read("fapiPublicGetExchangeInfo", {}, Urgency.POLL)
        info: ExchangeInfo = decoded(ExchangeInfo, answer, "exchange info")
        self._rules = {found.symbol: found for found in (one.rules() for one in info.symbols) if found is not None}
        self._requests.budget.allow(
            (one.rate_limit_type, one.interval, one.interval_num, one.limit) for one in info.rate_limits
        )
        self._rules_at_s, self._doubtful = monotonic(), False

    async def _read_tiers(self) -> None:
        answer = await self._requests.read("fapiPrivateGetLeverageBracket", self._stamp(), Urgency.POLL)
        found: list[Tiers] = decoded(list[Tiers], answer, "leverage brackets")
        self._tiers = {one.symbol: one.sorted() for one in found}
        self._tiers_at_s = monotonic()


def _age_s(at_s: float | None) -> float:
    return float("inf") if at_s is None else monotonic() - at_s
