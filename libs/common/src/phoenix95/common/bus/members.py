"""Who is there, by the clock of Redis, and whose a partition is.

Each member computes the same answer from the same list; while the lists differ for a moment, the lease and
the fenced commit decide.
"""

from collections.abc import Collection
from hashlib import blake2b
from typing import Final

from phoenix95.common import keys
from phoenix95.common.bus.client import Connection
from phoenix95.common.bus.script import Script

MEMBER_TTL_MS: Final = 5000  # a member is gone after five missed beats of a second
_FORGET_AFTER_TTLS: Final = 10  # a dead member's row is swept after so many times its time to live

# KEYS: members. ARGV: me, ttl in ms, ms after which a row is swept. Answers the names of the living.
BEAT: Final = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now - ARGV[3]))
return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('%.0f', now - ARGV[2]), '+inf')
""")

# KEYS: members. ARGV: me.
LEAVE: Final = Script("return redis.call('ZREM', KEYS[1], ARGV[1])")


def owner_of(partition: int, members: Collection[str]) -> str | None:
    """The member that a partition belongs to: the highest hash wins (rendezvous). None without members.

    A member that comes or goes moves only the partitions that it wins or had won.
    """
    if not members:
        return None
    return max(members, key=lambda member: (blake2b(f"{member}|{partition}".encode(), digest_size=8).digest(), member))


class Members:
    """One worker's membership. `me` must be unique to the process."""

    def __init__(self, redis: Connection, me: str, *, ttl_ms: int = MEMBER_TTL_MS) -> None:
        self._redis = redis
        self._key = keys.MEMBERS_ENGINE
        self._ttl_ms = ttl_ms
        self.me = me

    async def beat(self) -> list[str]:
        """Say that we live; answers who does, sorted, ourselves among them. Call once a second."""
        names = await BEAT.call(
            self._redis, self._key, (self._key,), (self.me, self._ttl_ms, self._ttl_ms * _FORGET_AFTER_TTLS)
        )
        return sorted(name.decode() for name in names)

    async def leave(self) -> None:
        """Take ourselves off the list, so that others need not wait for our time to run out."""
        await LEAVE.call(self._redis, self._key, (self._key,), (self.me,))
