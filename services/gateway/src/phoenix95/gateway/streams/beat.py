"""The gateway's own sign of life."""

import contextlib
from typing import Final

from phoenix95.common.errors import TransientError
from phoenix95.common.events import Heartbeat
from phoenix95.common.retry import pause
from phoenix95.common.serve import Context
from phoenix95.gateway.config import GatewaySettings
from phoenix95.gateway.streams.ask import Bus

EVERY_S: Final = 3.0  # a third of its time to live: two may get lost


async def beat(context: Context[GatewaySettings], bus: Bus, version: str) -> None:
    """Write the heartbeat until the stop. While Redis is away it lapses, which is what it should say."""
    while not context.stop.is_set():
        sign = Heartbeat(
            service=context.service,
            instance=context.instance,
            version=version,
            started_wall_ms=context.started_wall_ms,
            progress_wall_ms=context.health.progress_wall_ms(),
        )
        with contextlib.suppress(TransientError):  # that Redis is away is told once, by the pulse
            await bus.beat(sign)
        await pause(context.stop, EVERY_S)
