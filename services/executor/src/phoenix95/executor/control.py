"""Follows the control modes: a change is obeyed within half a second, also while Redis is away.

Entries read the modes where they are stored, in the transaction that would send them: they need no telling. What is
under way is woken here, so that a FLATTEN does not wait for the next look.
"""

import asyncio
from typing import Final

import structlog

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
