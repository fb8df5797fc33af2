"""The chain's head in the log: once at the start, each hour, and at the end.

Logs lie elsewhere than the database. Who cuts the end of the chain off, or writes the chain anew, would have to change
them too: `phoenix95 audit --anchor` compares.
"""

import asyncio
from typing import Final

import structlog

from phoenix95.common.errors import TransientError
from phoenix95.common.retry import pause
from phoenix95.executor.ledger.evidence import Evidence

EVERY_S: Final = 3_600.0
AGAIN_S: Final = 10.0  # while Postgres is away


async def keep_anchoring(ledger: Evidence, stop: asyncio.Event, *, every_s: float = EVERY_S) -> None:
    """Until `stop`, and once more then."""
    while True:
        stopping = stop.is_set()
        told = await _tell(ledger)
        if stopping:
            return
        await pause(stop, every_s if told else AGAIN_S)


async def _tell(ledger: Evidence) -> bool:
    try:
        found = await ledger.head()
    except TransientError:
        return False  # others say so, again and again
    structlog.get_logger().info("audit_anchor", account=ledger.account, anchor=str(found))
    return True
