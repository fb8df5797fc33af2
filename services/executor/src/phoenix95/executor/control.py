"""Follows the control modes: a change is obeyed within half a second, also while Redis is away.

Entries read the modes where they are stored, in the transaction that would send them: they need no telling. What is
under way is woken here, so that a FLATTEN does not wait for the next look.
"""

import asyncio
import time
from typing import Final

import structlog

from phoenix95.common.clock import Clock
from phoenix95.common.errors import TransientError
from phoenix95.common.retry import pause
from phoenix95.executor.desk import Desk
from phoenix95.executor.ledger.store import PostgresLedger

EVERY_S: Final = 0.5


async def follow_control(ledger: PostgresLedger, desk: Desk, stop: asyncio.Event) -> None:
    """Until `stop`. While Postgres is away nothing can be entered anyway, and the last modes stay in force."""
    log = structlog.get_logger()
    away = False
    while not stop.is_set():
        try:
            changes = await ledger.confirm_control()
            if changes:
                for one in changes:
                    log.warning("control", scope=one.scope, mode=one.mode, cause=one.cause, reason=one.reason)
                for group in await ledger.active_groups():
                    desk.hint(group.trade.symbol)
            away = False
        except TransientError as error:
            if not away:
                log.warning("control_not_read", reason=str(error))
            away = True
        await pause(stop, EVERY_S)


async def watch_clock(
    clock: Clock, ledger: PostgresLedger, *, uncertainty_max_ms: float, lost_ms: int, stop: asyncio.Event
) -> None:
    """Restrict the account, once, when exchange time was too uncertain for `lost_ms` (real) in a row.

    A single doubt needs no person: entries are refused by a gate while it lasts.
    """
    lost_s: float | None = None
    told = False
    while not await pause(stop, EVERY_S):
        uncertainty_ms = clock.uncertainty_ms()
        if uncertainty_ms is not None and uncertainty_ms <= uncertainty_max_ms:
            lost_s, told = None, False
            continue
        lost_s = time.monotonic() if lost_s is None else lost_s
        if told or (time.monotonic() - lost_s) * 1000 < lost_ms:
            continue
        known = "not known" if uncertainty_ms is None else f"known to {uncertainty_ms:.0f} ms only"
        try:
            reason = f"exchange time was {known} for {lost_ms / 1000:.0f} s"
            await ledger.tighten("REDUCE_ONLY", "clock_uncertain", reason, None)
            told = True
        except TransientError as error:
            structlog.get_logger().warning("clock_trigger_waits", reason=str(error))
