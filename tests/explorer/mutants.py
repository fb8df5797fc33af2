"""The protocol with one rule taken out: each must be found by the explorer, or the explorer proves nothing.

The mistakes live here alone: in ports that are subclasses, and in functions that a test puts in place of the real ones.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple
from unittest.mock import patch

from phoenix95.common.errors import OutcomeUnknown, TransientError, VenueRejected
from phoenix95.executor.core.intents import Intent, move
from phoenix95.executor.core.observe import ConditionalReport, Report
from phoenix95.executor.protocol import looking
from tests.explorer.executor import Executor, Process
from tests.explorer.ledger import MemoryLedger
from tests.explorer.scenarios import SCENARIOS
from tests.explorer.venue import MemoryVenue
from tests.explorer.world import replace


class IntentAfterTheCall(MemoryLedger):
    """Signing is stored with the answer, not before the request."""

    async def sign(self, intent: Intent, *, entry: bool) -> bool:
        return True


class Unwatched(MemoryVenue):
    """What comes of a request that breaks the protocol counts, not that it does."""

    watched = False


class BlindRetry(MemoryVenue):
    """What may or may not have arrived is sent again."""

    async def send(self, intent: Intent, accept: Callable[[Intent], Any]) -> Any:
        try:
            return await super().send(intent, accept)
        except OutcomeUnknown:
            return await super().send(intent, accept)


class TimeoutIsFailure(MemoryVenue):
    """No answer in time is taken for a no."""

    async def send(self, intent: Intent, accept: Callable[[Intent], Any]) -> Any:
        try:
            return await super().send(intent, accept)
        except OutcomeUnknown as unknown:
            raise VenueRejected(-1007, str(unknown)) from unknown


class RandomIds(MemoryVenue):
    """The client id is drawn when the request is sent."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.drawn = 0

    async def send(self, intent: Intent, accept: Callable[[Intent], Any]) -> Any:
        self.drawn += 1
        return await super().send(replace(intent, client_id=f"p95{intent.role[0]}random{self.drawn}"), accept)

    watched = False


class TimestampAtSend(MemoryVenue):
    """The request carries the time at which it leaves, not the time that was stored."""

    watched = False

    def deadline_ms(self, intent: Intent) -> int:
        return self.world.state.now_ms


class QueryErrorIsNotFound(MemoryVenue):
    """No answer to a question is taken for "no such order"."""

    async def order(self, symbol: str, client_id: str) -> Report | None:
        try:
            return await super().order(symbol, client_id)
        except TransientError:
            return None

    async def conditional(self, symbol: str, client_id: str) -> ConditionalReport | None:
        try:
            return await super().conditional(symbol, client_id)
        except TransientError:
            return None


class NoFence(MemoryLedger):
    """Whoever writes, writes."""

    def fence(self) -> None:
        return None


class NoRecovery(Executor):
    """What was under way before the start is left alone."""

    async def _active(self, otherwise: Process) -> Process:
        return otherwise


def _absent_at_once(intent: Intent, now_ms: int, margin_ms: int) -> Intent:
    return move(intent, "ABSENT", not_found=1, updated_ms=now_ms)


class Mutant(NamedTuple):
    """A mistake, the scenario and the number of faults at which it must show."""

    name: str
    faults: int
    scenario: str = "entry filled, stop hit"
    executor: type[Executor] = Executor
    ledger: type[MemoryLedger] = MemoryLedger
    venue: type[MemoryVenue] = MemoryVenue
    patched: Callable[[], AbstractContextManager[Any]] = nullcontext

    def made(self) -> Executor:
        return self.executor(SCENARIOS[self.scenario], self.ledger, self.venue)


MUTANTS = (
    Mutant("intent after the call", 1, ledger=IntentAfterTheCall, venue=Unwatched),
    Mutant("blind retry", 1, venue=BlindRetry),
    Mutant("timeout = failure", 1, venue=TimeoutIsFailure),
    Mutant(
        "no deadline: absent at the first answer",
        1,
        patched=lambda: patch.object(looking, "not_found", _absent_at_once),
    ),
    Mutant("random ids", 1, venue=RandomIds),
    Mutant("no stop on recovery", 1, executor=NoRecovery),
    Mutant("timestamp at send", 1, venue=TimestampAtSend),
    Mutant("query error = not found", 2, venue=QueryErrorIsNotFound),
    Mutant("no fence", 1, ledger=NoFence),
)
