"""What is made sure of from time to time, beside the trades: the key's permissions, the exchange's rules."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from phoenix95.common.clock import Clock
from phoenix95.common.errors import ConfigError, TransientError, VenueRejected
from phoenix95.common.retry import pause
from phoenix95.executor.core.listing import concern
from phoenix95.executor.ports import Ledger
from phoenix95.executor.venue.reference import Reference

KEY_EVERY_S: Final = 3_600.0
KEY_AGAIN_S: Final = 10.0  # after a question that was not answered
KEY_GOOD_S: Final = 2 * KEY_EVERY_S  # no entries when the last good answer is older
RULES_EVERY_S: Final = 60.0

AskFaults = Callable[[], Awaitable[tuple[str, ...]]]
Halt = Callable[[str, str], Awaitable[None]]


class KeyCheck:
    """Is this key one that can do nothing but trade? Asked at the start and every hour; no answer is no yes."""

    def __init__(self, ask: AskFaults, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._monotonic_s = monotonic_s
        self._good_at_s: float | None = None
        self._faults: tuple[str, ...] = ()

    async def first(self) -> None:
        """Raises ConfigError for a key that must not be used.

        Without an answer the start goes on, for the sake of what is held already; `reason` keeps entries back.
        """
        try:
            bad = await self._asked()
        except TransientError as error:
            structlog.get_logger().warning("key_not_checked", reason=str(error))
            return
        if bad:
            raise ConfigError(f"P95_EXECUTOR_API_KEY must not be traded with: {'; '.join(self._faults)}")

    def reason(self) -> str | None:
        """Why there must be no entries, or None."""
        if self._faults:
            return f"the API key must not be traded with: {'; '.join(self._faults)}"
        if self._good_at_s is None or self._monotonic_s() - self._good_at_s > KEY_GOOD_S:
            return "the exchange does not say what the API key may do"
        return None

    async def keep(self, halt: Halt, stop: asyncio.Event) -> None:
        """Ask every hour until `stop`; `halt(cause, reason)` once for a key that has become one not to be used."""
        halted = False
        wait_s = KEY_AGAIN_S if self._good_at_s is None else KEY_EVERY_S
        while not await pause(stop, wait_s):
            try:
                bad = await self._asked()
                if bad and not halted:
                    await halt("key_permissions", str(self.reason()))
                halted, wait_s = bad, KEY_EVERY_S
            except TransientError as error:
                structlog.get_logger().warning("key_not_checked", reason=str(error))
                wait_s = KEY_AGAIN_S

    async def _asked(self) -> bool:
        self._faults = await self._ask()
        if not self._faults:
            self._good_at_s = self._monotonic_s()
        return bool(self._faults)


async def keep_rules(reference: Reference, ledger: Ledger, clock: Clock, stop: asyncio.Event) -> None:
    """Read the rules again when they are old, and tell once of a held symbol that is halted or to be delisted."""
    told: set[tuple[str, str]] = set()
    while not stop.is_set():
        try:
            await look_at_rules(reference, ledger, clock, told)
        except (TransientError, VenueRejected) as error:
            structlog.get_logger().warning("rules_not_read", reason=str(error))
        await pause(stop, RULES_EVERY_S)


async def look_at_rules(reference: Reference, ledger: Ledger, clock: Clock, told: set[tuple[str, str]]) -> None:
    """One look. `told` is what was said already and grows; what is over is forgotten, to be told when it returns."""
    await reference.refresh()
    concerns = [
        concern(symbol, await reference.rules(symbol), clock.now_ms())
        for symbol in sorted({group.trade.symbol for group in await ledger.active_groups()})
    ]
    found = {(one.kind, one.symbol): one for one in concerns if one is not None}
    told.intersection_update(found)
    for key, one in found.items():
        if key not in told:
            await ledger.alert(one.severity, one.kind, one.message, one.symbol)
            told.add(key)
