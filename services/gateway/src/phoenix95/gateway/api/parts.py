"""What the routes work with; built once, in service.py."""

import time
from dataclasses import dataclass, field

from phoenix95.common.clock import Clock
from phoenix95.common.errors import TransientError
from phoenix95.common.histogram import Series
from phoenix95.gateway.api.auth import Keyring
from phoenix95.gateway.away import EXCHANGE_TIME, Away
from phoenix95.gateway.board.board import Board
from phoenix95.gateway.config import GatewaySettings
from phoenix95.gateway.reads.ledger import Ledger
from phoenix95.gateway.streams.ask import Bus
from phoenix95.gateway.streams.entries import Entries
from phoenix95.gateway.streams.follow import Follower
from phoenix95.gateway.streams.history import History
from phoenix95.gateway.streams.pulse import Pulse


@dataclass
class Places:
    """How many callers wait right now."""

    taken: int = 0


@dataclass(frozen=True, kw_only=True)
class Parts:
    """`execute_hop` measures from the arrival of a request or a manual trade to its decision."""

    settings: GatewaySettings
    version: str
    bus: Bus
    follower: Follower
    history: History
    entries: Entries
    pulse: Pulse
    ledger: Ledger
    board: Board
    clock: Clock
    keyring: Keyring
    execute_hop: Series
    started_s: float = field(default_factory=time.monotonic)
    waiting: Places = field(default_factory=Places)
    tailing: Places = field(default_factory=Places)

    def exchange_now_ms(self) -> int:
        """Exchange time. Raises Away while it is not known."""
        if self.clock.uncertainty_ms() is None:
            raise Away(EXCHANGE_TIME, "the exchange does not tell its time")
        try:
            return self.clock.now_ms()
        except TransientError as error:
            raise Away(EXCHANGE_TIME, "the exchange does not tell its time") from error
