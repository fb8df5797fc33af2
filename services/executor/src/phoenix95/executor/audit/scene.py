"""What a check is given, and what it answers."""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from phoenix95.executor.core.chain import Head
from phoenix95.executor.core.group import Fill
from phoenix95.executor.core.observe import ConditionalReport
from phoenix95.executor.ledger.evidence import Evidence
from phoenix95.executor.ports import VenuePosition
from phoenix95.executor.venue.records import PlacedAlgo, PlacedOrder

Entry = tuple[str, dict[bytes, bytes]]
DIFFERENCES_MAX: Final = 50
LOOKS: Final = 3  # of a system that goes on meanwhile: only what every look finds is a difference


class Streams(Protocol):
    """The streams of Redis, as far as they still go back."""

    async def range(self, key: str, start: str, end: str, count: int) -> list[Entry]: ...


class Exchange(Protocol):
    """The exchange, read only. Raises TransientError for what is no answer."""

    def now_ms(self) -> int: ...
    async def positions(self) -> tuple[VenuePosition, ...]: ...
    async def open_conditionals(self, symbol: str | None) -> tuple[ConditionalReport, ...]: ...
    async def fills(self, symbol: str, *, since_ms: int, after_id: int | None) -> tuple[Fill, ...]: ...
    async def orders(self, symbol: str, since_ms: int) -> list[PlacedOrder]: ...
    async def conditionals(self, symbol: str, since_ms: int) -> list[PlacedAlgo]: ...


class Unavailable(Exception):
    """A check cannot be made; the words say why. `chosen`: nobody gave what it needs, so nothing went wrong."""

    def __init__(self, words: str, *, chosen: bool = False) -> None:
        super().__init__(words)
        self.chosen = chosen


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """`since_ms` 0 is from the beginning. `streams` and `exchange` are None without a way to ask them, and then
    `without` says why. `pause` waits between two looks; `step` is told how far a long check is (done, of how many)."""

    ledger: Evidence
    since_ms: int
    anchor: Head | None
    streams: Streams | None
    exchange: Exchange | None
    without: dict[str, Unavailable]
    margin_ms: int
    pause: Callable[[], Awaitable[None]]
    step: Callable[[int, int], None]

    def need_streams(self) -> Streams:
        """Raises Unavailable."""
        if self.streams is None:
            raise self.without["streams"]
        return self.streams

    def need_exchange(self) -> Exchange:
        """Raises Unavailable."""
        if self.exchange is None:
            raise self.without["exchange"]
        return self.exchange


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`checked` things were looked at; `differences` are the first of what does not agree, each one sentence;
    `note` is what a person should know beside it, such as what could not be checked."""

    checked: int
    differences: tuple[str, ...] = ()
    note: str = ""


async def in_every_look(scene: Scene, look: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Look again while there are differences: between two answers a system that runs may have gone on."""
    found = await look()
    for _ in range(LOOKS - 1):
        if not found.differences:
            return found
        await scene.pause()
        again = await look()
        still = tuple(one for one in again.differences if one in found.differences)
        found = msgspec.structs.replace(again, differences=still)
    return found
