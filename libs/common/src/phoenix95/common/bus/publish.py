"""The publish guard: the only writer of tick streams. A tick stream is contiguous, or says where it is not.

The guard decides by the stream's own last id, inside Redis, so that a restarted feed needs no memory, a
repeated call is harmless, and two feeds may run at once without knowing of each other.
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from phoenix95.common import keys
from phoenix95.common.bus.client import Connection
from phoenix95.common.bus.reader import last_id
from phoenix95.common.bus.script import Argument, Script
from phoenix95.common.errors import InvariantBroken
from phoenix95.common.events import Gap
from phoenix95.common.ids import STREAM_START, StreamId, partition_of

BATCH_MAX: Final = 1000  # entries a call to Redis: a longer script would make every other client wait

# KEYS: tick streams of one partition. ARGV: for each stream the number of entries, then (ms, what, d) each.
# `what` is the aggregate trade id of a trade, else a letter: g<first>:<last> gap, s seed, r<after> resume.
# Answers for each stream: appended, skipped, the last id before a gap or -1, the last id as text.
#
# All streams are looked at before the first write. No write can then fail: every id is made to lie behind
# the last one. The ids stay text as far as possible; numbers are exact below 2^53.
SCRIPT: Final = Script("""
local tops = {}
for k = 1, #KEYS do
  tops[k] = '0-0'
  local info = redis.pcall('XINFO', 'STREAM', KEYS[k])
  if info.err then
    if not string.find(info.err, 'no such key', 1, true) then return {'WRONGKEY', KEYS[k], info.err} end
  else
    for f = 1, #info, 2 do
      if info[f] == 'last-generated-id' then tops[k] = info[f + 1] break end
    end
  end
end

local call, number, find, sub = redis.call, tonumber, string.find, string.sub
local answers, at = {}, 1
for k = 1, #KEYS do
  local key, top = KEYS[k], tops[k]
  local dash = find(top, '-', 1, true)
  local last_ms_text = sub(top, 1, dash - 1)
  local last_ms, last = number(last_ms_text), number(sub(top, dash + 1))
  local appended, skipped, gap = 0, 0, -1
  local count = number(ARGV[at])
  local stop = at + 3 * count
  for e = at + 1, stop, 3 do
    local ms_text, what, id = ARGV[e], ARGV[e + 1], nil
    local ms, a = number(ms_text), number(what)
    if ms < last_ms then ms, ms_text = last_ms, last_ms_text end
    if a then
      if a > last then
        if a == last + 1 or last == 0 then
          id = ms_text .. '-' .. what
        else
          gap = last
          break
        end
      end
    else
      local letter = sub(what, 1, 1)
      if letter == 'g' then
        local colon = find(what, ':', 1, true)
        local final = sub(what, colon + 1)
        a = number(final)
        if a > last and last > 0 then
          if number(sub(what, 2, colon - 1)) == last + 1 then
            id = ms_text .. '-' .. final
          else
            gap = last
            break
          end
        end
      elseif letter == 's' then
        if last == 0 and number(ARGV[e]) > last_ms then a, id = 0, ms_text .. '-0' end
      elseif letter == 'r' then
        if sub(what, 2) == top then
          if ms == last_ms then
            ms = ms + 1
            ms_text = string.format('%.0f', ms)
          end
          a, id = 0, ms_text .. '-0'
        end
      end
    end
    if id then
      call('XADD', key, id, 'd', ARGV[e + 2])
      last_ms, last_ms_text, last, top = ms, ms_text, a, id
      appended = appended + 1
    else
      skipped = skipped + 1
    end
  end
  at = stop + 1
  answers[4 * k - 3], answers[4 * k - 2], answers[4 * k - 1], answers[4 * k] = appended, skipped, gap, top
end
return answers
""")

_gap_decoder = msgspec.json.Decoder(Gap)


class TickEntry(NamedTuple):
    """One entry for a tick stream; `d` is its encoded struct, `ms` its exchange time.

    `a` is the aggregate trade id of a trade (at least 1), the last missing id of a gap, and 0 for seed and
    resume. `after` is for resume alone: the last id that the stream must still have, else it is skipped.
    """

    symbol: str
    kind: Literal["trade", "gap", "seed", "resume"]
    ms: int
    a: int
    d: bytes
    after: str = ""


class Published(NamedTuple):
    """What became of one symbol's entries.

    `skipped` were there already (or had nothing to say any more). `gap_after` is the last id before missing
    trades: the entries from there on were not looked at; fetch what is missing and publish again. None means
    no gap. `top` is the stream's last id now, None while it has never had an entry.
    """

    appended: int
    skipped: int
    gap_after: int | None
    top: StreamId | None


class PublishGuard:
    """Publishes batches of ticks. Any call may be repeated: what is there already is skipped."""

    def __init__(self, redis: Connection, partitions: int) -> None:
        self._redis = redis
        self._partitions = partitions
        self._places: dict[str, tuple[int, str]] = {}

    def _place(self, symbol: str) -> tuple[int, str]:
        place = self._places.get(symbol)
        if place is None:
            place = (partition_of(symbol, self._partitions), keys.tick(symbol, self._partitions))
            self._places[symbol] = place
        return place

    async def publish(self, entries: Sequence[TickEntry]) -> dict[str, Published]:
        """Publish in the order given, one script call a partition for each BATCH_MAX entries; answers by symbol.

        Rules: a trade is appended when its id follows the last one or opens a stretch, skipped when it is not
        newer, else it is a gap and ends its symbol's batch. A gap entry must start right behind the last id.
        A seed is appended only before the first trade of a stretch, a resume only behind `after`. A time that
        steps back is raised to the last one.

        Raises TransientError (call again with the same entries), InvariantBroken when a key is no stream, and
        ValueError when an entry contradicts itself.
        """
        answers = await self._publish(entries[:BATCH_MAX])
        for start in range(BATCH_MAX, len(entries), BATCH_MAX):
            rest = [
                entry
                for entry in entries[start : start + BATCH_MAX]
                if entry.symbol not in answers or answers[entry.symbol].gap_after is None
            ]
            for symbol, later in (await self._publish(rest)).items():
                sooner = answers.get(symbol)
                answers[symbol] = later if sooner is None else _joined(sooner, later)
        return answers

    async def _publish(self, entries: Sequence[TickEntry]) -> dict[str, Published]:
        by_symbol: dict[str, list[Argument]] = {}
        for entry in entries:
            symbol, kind, ms, a, d, _ = entry
            args = by_symbol.get(symbol)
            if args is None:
                by_symbol[symbol] = args = []
            args += (ms, a if kind == "trade" else _rare(entry), d)
        if not by_symbol:
            return {}
        return await self._send(by_symbol)

    async def _send(self, by_symbol: dict[str, list[Argument]]) -> dict[str, Published]:
        calls: dict[int, tuple[list[str], list[Argument], list[str]]] = {}
        for symbol, args in by_symbol.items():
            partition, key = self._place(symbol)
            streams, values, symbols = calls.setdefault(partition, ([], [], []))
            streams.append(key)
            values.append(len(args) // 3)
            values += args
            symbols.append(symbol)
        replies = await SCRIPT.call_each(
            self._redis, "publish ticks", [(streams, values) for streams, values, _ in calls.values()]
        )
        answers: dict[str, Published] = {}
        for (_, _, symbols), reply in zip(calls.values(), replies, strict=True):
            if reply[0] == b"WRONGKEY":
                raise InvariantBroken(f"{reply[1].decode()} is not a stream: {reply[2].decode()}")
            for at, symbol in enumerate(symbols):
                answers[symbol] = _published(*reply[4 * at : 4 * at + 4])
        return answers

    async def top(self, symbol: str) -> StreamId | None:
        """The last id that the symbol's tick stream has given out; None while it has never had an entry."""
        last = await last_id(self._redis, self._place(symbol)[1])
        return None if last == STREAM_START else last


def _rare(entry: TickEntry) -> str:
    """How the script is told of anything but a trade. Raises ValueError when `d` says something else."""
    if entry.kind == "seed":
        return "s"
    if entry.kind == "resume":
        return f"r{entry.after}"
    gap = _gap_decoder.decode(entry.d)
    if gap.last != entry.a or not 0 < gap.first <= gap.last:
        raise ValueError(f"{entry.symbol}: gap entry of {entry.a} carries {gap.first} to {gap.last}")
    return f"g{gap.first}:{gap.last}"


def _joined(sooner: Published, later: Published) -> Published:
    return later._replace(appended=sooner.appended + later.appended, skipped=sooner.skipped + later.skipped)


def _published(appended: int, skipped: int, gap: int, top: bytes) -> Published:
    return Published(appended, skipped, None if gap < 0 else gap, None if top == b"0-0" else StreamId.parse(top))
