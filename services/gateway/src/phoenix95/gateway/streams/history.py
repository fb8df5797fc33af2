"""What the streams still hold of the past: prices, alerts, host samples, commands and their acknowledgements."""

from typing import Any, Final, TypeVar

import msgspec

from phoenix95.common import keys
from phoenix95.common.bus import Connection, translated
from phoenix95.common.bus.beat import read_value
from phoenix95.common.bus.client import execute
from phoenix95.common.bus.reader import Entry, entries_between, tail
from phoenix95.common.events import Ack, Alert, Command, HostSample, MonitorStatus, Side, Trade
from phoenix95.common.ids import StreamId
from phoenix95.common.wire import (
    ack_decoder,
    alert_decoder,
    command_decoder,
    host_decoder,
    monitor_status_decoder,
    tick_decoder,
)
from phoenix95.gateway.away import needs_redis

PRICES_MAX: Final = 1_000
PRICES_AGE_MS: Final = 3_600_000
ALERTS_MAX: Final = 1_000
SAMPLES_MAX: Final = 200
_PAGE: Final = 1_000
_PAGE_MIN: Final = 100  # a stretch begins with entries that are no trades
_ACK_PAGES: Final = 10  # an acknowledgement follows its command closely; behind these it is not looked for


E = TypeVar("E")


class PastPrice(msgspec.Struct, frozen=True, kw_only=True):
    """One trade of the market: its aggregate trade id, exchange time, and who was the taker."""

    id: int
    ms: int
    price: str
    quantity: str
    side: Side


class RaisedAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert under its id in the stream."""

    id: str
    alert: Alert


class History:
    """Reads only. Raises Away when Redis does not answer."""

    def __init__(self, redis: Connection, partitions: int) -> None:
        self._redis = redis
        self._partitions = partitions

    async def prices(self, symbol: str, limit: int) -> list[PastPrice]:
        """The last trades of the newest trade's last hour, oldest first; gaps and seeds are left out."""
        key = keys.tick(symbol, self._partitions)
        found: list[PastPrice] = []
        oldest, end, page_size = "-", "+", max(limit, _PAGE_MIN)
        while len(found) < limit:
            with needs_redis(), translated(key):
                page: list[Any] = await execute(self._redis, "XREVRANGE", key, end, oldest, "COUNT", page_size)
            for raw_id, fields in page:
                at = StreamId.parse(raw_id)
                if oldest == "-":
                    oldest = str(max(0, at.ms - PRICES_AGE_MS))
                if at.ms >= int(oldest) and (price := _past_price(at, fields)) is not None:
                    found.append(price)
            if len(page) < page_size:
                break
            end = f"({page[-1][0].decode()}"
        return found[:limit][::-1]

    async def alerts(self, since_wall_ms: int, limit: int) -> list[RaisedAlert]:
        """Alerts from a wall-clock time on, newest first."""
        with needs_redis():
            entries = await tail(self._redis, keys.ALERT, limit)
        found = []
        for entry_id, fields in reversed(entries):
            alert = _decoded(alert_decoder, fields)
            if alert is not None and StreamId.parse(entry_id).ms >= since_wall_ms:
                found.append(RaisedAlert(id=entry_id, alert=alert))
        return found

    async def host(self, since_wall_ms: int, until_wall_ms: int, points: int) -> list[HostSample]:
        """At most `points` samples spread over a stretch of wall-clock time, oldest first."""
        step_ms = max(1, (until_wall_ms - since_wall_ms) // points)
        starts = range(since_wall_ms, until_wall_ms, step_ms)
        with needs_redis(), translated(keys.HOST):
            async with self._redis.pipeline(transaction=False) as pipe:
                for start in starts:
                    pipe.execute_command("XRANGE", keys.HOST, start, start + step_ms - 1, "COUNT", 1)
                replies = await pipe.execute()
        samples = [_decoded(host_decoder, fields) for entries in replies for _, fields in entries]
        return [sample for sample in samples if sample is not None]

    async def status(self) -> MonitorStatus | None:
        """The monitor's view of the machine; None when it has not written for two intervals."""
        with needs_redis():
            d = await read_value(self._redis, keys.MONITOR_STATUS)
        return None if d is None else _decoded(monitor_status_decoder, {b"d": d})

    async def command(self, command_id: str) -> Command | None:
        """A command by its id; None when there is no such command, or no longer."""
        entries = await self._between(keys.COMMAND, command_id, command_id, 1)
        return _decoded(command_decoder, entries[0][1]) if entries else None

    async def ack(self, command_id: str) -> Ack | None:
        """The outcome of a command; None while nobody acted, or when it is not found among the next thousands."""
        start = str(StreamId.parse(command_id).ms)
        for _ in range(_ACK_PAGES):
            entries = await self._between(keys.ACK, start, "+", _PAGE)
            for _, fields in entries:
                ack = _decoded(ack_decoder, fields)
                if ack is not None and ack.command_id == command_id:
                    return ack
            if len(entries) < _PAGE:
                break
            start = f"({entries[-1][0]}"
        return None

    async def _between(self, key: str, start: str, end: str, count: int) -> list[Entry]:
        with needs_redis():
            return await entries_between(self._redis, key, start, end, count)


def _past_price(at: StreamId, fields: dict[bytes, bytes]) -> PastPrice | None:
    trade = _decoded(tick_decoder, fields)
    if not isinstance(trade, Trade):
        return None
    side: Side = "SELL" if trade.buyer_is_maker else "BUY"
    return PastPrice(id=at.seq, ms=at.ms, price=trade.price, quantity=trade.quantity, side=side)


def _decoded(decoder: "msgspec.json.Decoder[E]", fields: dict[bytes, bytes]) -> E | None:
    """The event of an entry, or None for one that nobody can read: who acts on the stream dead-letters it."""
    try:
        return decoder.decode(fields.get(b"d", b""))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
