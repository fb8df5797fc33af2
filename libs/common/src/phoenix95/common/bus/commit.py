"""The fenced commit: outputs, offsets and state of a partition in one atomic write, or nothing.

Two things must be equal for a commit to pass, and both are needed: the owner's token (a zombie must not
write) and the number of the commit (after a rollback of Redis a living owner's memory is ahead). The lease
only saves work; correctness does not depend on it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from phoenix95.common import keys
from phoenix95.common.bus.client import Connection
from phoenix95.common.bus.script import Argument, Script
from phoenix95.common.errors import Diverged, Fenced, InvariantBroken
from phoenix95.common.ids import StreamId

_OFFSET: Final = "off:"
_STATE: Final = "st:"

# KEYS: checkpoint, lease. ARGV: token, ttl in ms. May be called again: the owner claims what it has.
CLAIM: Final = Script("""
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return false end
local epoch = redis.call('HGET', KEYS[1], 'epoch') or '0'
if not tonumber(epoch) then return {'BROKEN', 'epoch', epoch} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'epoch', string.format('%.0f', epoch + 1))
return redis.call('HGETALL', KEYS[1])
""")

# KEYS: checkpoint, lease, output streams. ARGV: token, n, ttl in ms, the number of fields, field and value
# each, then for each output stream the number of outputs, then (id, d, s) each.
# May be called again with the same n: the second call answers ALREADY.
#
# Everything is validated before the first write: kinds of keys, ids in order, what is stored already.
# A stream that was trimmed cannot show what it had: an output from before its first entry counts as there.
COMMIT: Final = Script("""
local call, number = redis.call, tonumber
local token, n = ARGV[1], number(ARGV[2])
local now = call('HMGET', KEYS[1], 'owner', 'n', 'last_commit')
local at_n = number(now[2] or '0')
if now[1] ~= token then return {'FENCED_OWNER'} end
if at_n == n + 1 and now[3] == token .. ':' .. ARGV[2] then return {'ALREADY'} end
if at_n ~= n then return {'FENCED_SEQ'} end

local function split(id)
  local dash = string.find(id, '-', 1, true)
  return number(string.sub(id, 1, dash - 1)), number(string.sub(id, dash + 1))
end
local function before(id, other)
  local ms, seq = split(id)
  local other_ms, other_seq = split(other)
  return ms < other_ms or (ms == other_ms and seq < other_seq)
end
local function stream(key)
  local info = redis.pcall('XINFO', 'STREAM', key)
  if info.err then
    if string.find(info.err, 'no such key', 1, true) then return {['last-generated-id'] = '0-0'} end
    return nil, info.err
  end
  local named = {}
  for f = 1, #info, 2 do named[info[f]] = info[f + 1] end
  return named
end
local function is_stored(key, id, d)
  local entry = call('XRANGE', key, id, id)[1]
  if not entry then return false end
  for f = 1, #entry[2], 2 do
    if entry[2][f] == 'd' then return entry[2][f + 1] == d end
  end
  return false
end
local function was_trimmed(info, id)
  if (info['entries-added'] or 0) <= (info['length'] or 0) then return false end
  local first = info['first-entry']
  return not first or before(id, first[1])
end

local fields = number(ARGV[4])
local at = 5 + 2 * fields
local plan = {}
for k = 3, #KEYS do
  local key = KEYS[k]
  local info, broken = stream(key)
  if not info then return {'WRONGKEY', key, broken} end
  local stored = info['last-generated-id']
  local top = stored
  local stop = at + 3 * number(ARGV[at])
  for o = at + 1, stop, 3 do
    local id = ARGV[o]
    if id == '*' then
      plan[#plan + 1] = k
      plan[#plan + 1] = o
    elseif before(top, id) then
      plan[#plan + 1] = k
      plan[#plan + 1] = o
      top = id
    elseif before(stored, id) or not (is_stored(key, id, ARGV[o + 1]) or was_trimmed(info, id)) then
      return {'DIVERGED', key, id}
    end
  end
  at = stop + 1
end

for p = 1, #plan, 2 do
  local key, o = KEYS[plan[p]], plan[p + 1]
  if ARGV[o + 2] == '' then
    call('XADD', key, ARGV[o], 'd', ARGV[o + 1])
  else
    call('XADD', key, ARGV[o], 'd', ARGV[o + 1], 's', ARGV[o + 2])
  end
end
local chunk = 5
while chunk < 5 + 2 * fields do
  local last = math.min(chunk + 3999, 4 + 2 * fields)
  call('HSET', KEYS[1], unpack(ARGV, chunk, last))
  chunk = last + 1
end
call('HSET', KEYS[1], 'n', string.format('%.0f', n + 1), 'last_commit', token .. ':' .. ARGV[2])
call('SET', KEYS[2], token, 'PX', ARGV[3])
return {'DONE'}
""")

# KEYS: checkpoint, lease. ARGV: token, ttl in ms. A lease that ran out is taken again while nobody claimed.
RENEW: Final = Script("""
local holder = redis.call('GET', KEYS[2])
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
""")

# KEYS: checkpoint, lease. ARGV: token. The owner goes too, so that a commit still on its way is refused.
RELEASE: Final = Script("""
local holder = redis.call('GET', KEYS[2])
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('HSET', KEYS[1], 'owner', '') end
if holder == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
""")


class Output(NamedTuple):
    """An entry for an output stream under an id that its cause determines.

    `d` is compared when the id exists already, `s` (stamps) never. An `id` of None lets Redis choose: for
    dead letters, whose causes lie in several streams. Such an entry is never compared, so a fold from an
    earlier state appends it again. One stream takes either ids of ours or of Redis.
    """

    key: str
    id: StreamId | None
    d: bytes
    s: bytes | None = None


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a partition's last owner left. `n` is the number that the next commit must name.

    `offsets` and `states` are by the suffix that they were committed under: a symbol, or `req:` and a symbol.
    `version` is what the last commit that named one said; empty when none did.
    """

    token: str
    epoch: int
    n: int
    version: str
    offsets: dict[str, str]
    states: dict[str, bytes]


class FencedLog:
    """Claims partitions and commits to them. Any call may be repeated after a TransientError."""

    def __init__(self, redis: Connection, partitions: int) -> None:
        self._redis = redis
        self._partitions = partitions

    def _keys(self, partition: int) -> tuple[str, str]:
        if not 0 <= partition < self._partitions:
            raise ValueError(f"partition {partition} is not in [0, {self._partitions})")
        return keys.checkpoint(partition), keys.lease(partition)

    async def claim(self, partition: int, token: str, *, ttl_ms: int) -> Checkpoint | None:
        """Take a partition whose lease is free (or ours); None while another holds it.

        `token` names one ownership: make a new one for each claim, and after an error claim with the same one,
        or the lease of the lost reply locks everybody out until it ends.
        """
        places = self._keys(partition)
        reply = await CLAIM.call(self._redis, places[0], places, (token, ttl_ms))
        if reply is None:
            return None
        if reply[0] == b"BROKEN":
            raise InvariantBroken(f"{places[0]}: {reply[1].decode()} is {reply[2].decode()!r}")
        return _checkpoint(token, reply)

    async def commit(
        self,
        partition: int,
        token: str,
        n: int,
        *,
        outputs: Sequence[Output],
        offsets: Mapping[str, str],
        states: Mapping[str, bytes],
        ttl_ms: int,
        version: str | None = None,
    ) -> bool:
        """Append `outputs`, store `offsets` and `states`, count to n + 1 and extend the lease: all or nothing.

        True: done, the next commit is n + 1. False: this commit was done before and its reply was lost; go on
        as if it were True. Outputs that are stored already with the same `d` are skipped.

        Raises Fenced (FENCED_OWNER: another owns it; FENCED_SEQ: Redis was rolled back, or n is wrong; drop
        the partition and claim it again), Diverged (a stored output differs: the fold is not deterministic),
        InvariantBroken (a key of another kind), TransientError (unknown: call again with the same arguments).
        """
        places = self._keys(partition)
        by_key: dict[str, list[Argument]] = {}
        for output in outputs:
            entry_id = "*" if output.id is None else str(output.id)
            by_key.setdefault(output.key, []).extend((entry_id, output.d, output.s or b""))
        args: list[Argument] = [token, n, ttl_ms, len(offsets) + len(states) + (version is not None)]
        for suffix, offset in offsets.items():
            args += (_OFFSET + suffix, offset)
        for suffix, state in states.items():
            args += (_STATE + suffix, state)
        if version is not None:
            args += ("version", version)
        for rest in by_key.values():
            ids = rest[::3]
            if "*" in ids and any(entry_id != "*" for entry_id in ids):
                raise ValueError("an output stream takes ids of ours or of Redis, not both")
            args.append(len(rest) // 3)
            args += rest
        reply = await COMMIT.call(self._redis, places[0], (*places, *by_key), args)
        return _judge(places[0], reply)

    async def renew(self, partition: int, token: str, ttl_ms: int) -> bool:
        """Extend the lease; False when the partition is no longer ours."""
        places = self._keys(partition)
        return bool(await RENEW.call(self._redis, places[0], places, (token, ttl_ms)))

    async def release(self, partition: int, token: str) -> None:
        """Let the partition go, so that the next owner need not wait. Harmless when it is not ours."""
        places = self._keys(partition)
        await RELEASE.call(self._redis, places[0], places, (token,))


def _judge(key: str, reply: list[bytes]) -> bool:
    match reply[0]:
        case b"DONE":
            return True
        case b"ALREADY":
            return False
        case b"DIVERGED":
            raise Diverged(reply[1].decode(), reply[2].decode())
        case b"WRONGKEY":
            raise InvariantBroken(f"{reply[1].decode()} is not a stream: {reply[2].decode()}")
        case rule:
            raise Fenced(rule.decode(), key)


def _checkpoint(token: str, flat: Sequence[Any]) -> Checkpoint:
    fields = {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
    return Checkpoint(
        token=token,
        epoch=int(fields["epoch"]),
        n=int(fields.get("n", b"0")),
        version=fields.get("version", b"").decode(),
        offsets={name[len(_OFFSET) :]: value.decode() for name, value in fields.items() if name.startswith(_OFFSET)},
        states={name[len(_STATE) :]: value for name, value in fields.items() if name.startswith(_STATE)},
    )
