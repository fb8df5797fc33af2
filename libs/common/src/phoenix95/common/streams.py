"""The table of all keys: who writes what, who reads it, what an entry is, how long it is kept.

Everything that must agree with it is made from it: the ACL users, `docs/events.md`, the tests.
In a name `{pp}` is a partition, `SYM` a symbol, `SERVICE` and `INSTANCE` who writes.
"""

from typing import Final, Literal, NamedTuple

import msgspec

from phoenix95.common import events

Kind = Literal["stream", "hash", "string", "zset"]

FEED: Final = "feed"
ENGINE: Final = "engine"
EXECUTOR: Final = "executor"
MONITOR: Final = "monitor"
GATEWAY: Final = "gateway"
SERVICES: Final = (FEED, ENGINE, EXECUTOR, MONITOR, GATEWAY)  # the paper exchange never talks to Redis
OPERATOR: Final = "operator"  # a person with redis-cli: reads everything, changes nothing

GUARD: Final = "guard"  # the publish guard
COMMIT: Final = "commit"  # the fenced commit, with claim, renew and release
MEMBERS: Final = "members"

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS


class Write(NamedTuple):
    """A right to write: the commands, and the script that they are called from (its keys are granted together)."""

    user: str
    commands: tuple[str, ...]
    script: str | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `keep_ms` and `keep_max` bound a stream from above once it is trimmed, by age and by entries.

    `expires` says that the value is forgotten by itself. Who writes a key may read it too.
    """

    name: str
    kind: Kind
    about: str
    writes: tuple[Write, ...]
    readers: tuple[str, ...]
    entry_id: str | None = None
    entries: tuple[type[events.Event], ...] = ()
    keep_ms: int | None = None
    keep_max: int | None = None
    expires: bool = False

    @property
    def tagged(self) -> bool:
        """Whether the name carries a partition as its hash tag."""
        return "{pp}" in self.name


def _xadd(*users: str) -> tuple[Write, ...]:
    return tuple(Write(user, ("xadd",)) for user in users)


_COMMIT_STREAM: Final = (Write(ENGINE, ("xadd", "xrange", "xinfo|stream"), COMMIT),)

TABLE: Final[tuple[Key, ...]] = (
    Key(
        name="p95:meta",
        kind="hash",
        about="What the first start fixed for life: the number of partitions, and the mode.",
        writes=tuple(Write(user, ("hsetnx",)) for user in SERVICES),
        readers=SERVICES,
    ),
    Key(
        name="p95:symbols",
        kind="hash",
        about="The desired symbols. Commands change it; feed and engine follow it.",
        writes=(Write(FEED, ("hset", "hdel")),),
        readers=SERVICES,
    ),
    Key(
        name="p95:tick:{pp}:SYM",
        kind="stream",
        about="The market as it was stored first: the engine's only market input. Contiguous, or says so.",
        writes=(Write(FEED, ("xadd", "xinfo|stream"), GUARD),),
        readers=SERVICES,
        entry_id="`<T>-<aggTradeId>` (gap: `<T of the next trade>-<last missing id>`; seed, resume: `<T>-0`)",
        entries=(events.Trade, events.Gap, events.Seed, events.Resume),
        keep_ms=6 * _HOUR_MS,
    ),
    Key(
        name="p95:price:{pp}:SYM",
        kind="hash",
        about="Last trade, 24 h ticker, mark price, funding, best bid and ask; for people and gates.",
        writes=(Write(FEED, ("hset", "pexpire")),),
        readers=(EXECUTOR, MONITOR, GATEWAY),
        expires=True,
    ),
    Key(
        name="p95:request:{pp}:SYM",
        kind="stream",
        about="Analyses asked for from outside.",
        writes=_xadd(GATEWAY),
        readers=(ENGINE, EXECUTOR, MONITOR),
        entry_id="auto",
        entries=(events.Request,),
        keep_ms=_DAY_MS,
        keep_max=50_000,
    ),
    Key(
        name="p95:analysis:{pp}:SYM",
        kind="stream",
        about="What the engine concludes at each bar's close, and the markers of what governs it.",
        writes=_COMMIT_STREAM,
        readers=(EXECUTOR, MONITOR, GATEWAY),
        entry_id="`<T>-<aggTradeId*256+k>`",
        entries=(events.Analysis, events.Marker),
        keep_ms=_DAY_MS,
        keep_max=50_000,
    ),
    Key(
        name="p95:reply:{pp}:SYM",
        kind="stream",
        about="Answers to requests, with the last tick that each one knew.",
        writes=_COMMIT_STREAM,
        readers=(EXECUTOR, MONITOR, GATEWAY),
        entry_id="the request's",
        entries=(events.Analysis,),
        keep_ms=_DAY_MS,
        keep_max=50_000,
    ),
    Key(
        name="p95:ckpt:{pp}",
        kind="hash",
        about="A partition's checkpoint: owner, epoch, n, last_commit, version, `off:` and `st:` by symbol.",
        writes=(Write(ENGINE, ("hget", "hmget", "hgetall", "hset"), COMMIT),),
        readers=(MONITOR, GATEWAY),
    ),
    Key(
        name="p95:lease:{pp}",
        kind="string",
        about="Who works on a partition; saves double work, nothing depends on it.",
        writes=(Write(ENGINE, ("get", "set", "del"), COMMIT),),
        readers=(MONITOR,),
        expires=True,
    ),
    Key(
        name="p95:members:engine",
        kind="zset",
        about="The living engine workers, scored by the clock of Redis.",
        writes=(Write(ENGINE, ("zadd", "zrem", "zremrangebyscore", "zrangebyscore"), MEMBERS),),
        readers=(MONITOR,),
    ),
    Key(
        name="p95:command",
        kind="stream",
        about="What a person wants done.",
        writes=_xadd(GATEWAY),
        readers=(FEED, EXECUTOR, MONITOR),
        entry_id="auto",
        entries=(events.Subscribe, events.Unsubscribe, events.ClosePosition, events.PlaceTrade, events.Notify),
        keep_ms=30 * _DAY_MS,
        keep_max=100_000,
    ),
    Key(
        name="p95:ack",
        kind="stream",
        about="The outcome of each command, by who acted.",
        writes=_xadd(FEED, EXECUTOR, MONITOR),
        readers=(GATEWAY,),
        entry_id="auto",
        entries=(events.Ack,),
        keep_ms=30 * _DAY_MS,
        keep_max=100_000,
    ),
    Key(
        name="p95:offset:feed",
        kind="string",
        about="The last command that the feed has done.",
        writes=(Write(FEED, ("set",)),),
        readers=(MONITOR,),
    ),
    Key(
        name="p95:offset:monitor",
        kind="hash",
        about="How far the monitor has told people, and how far it has written alerts into Postgres.",
        writes=(Write(MONITOR, ("hset",)),),
        readers=(),
    ),
    Key(
        name="p95:order",
        kind="stream",
        about="Decisions, orders and positions as they change.",
        writes=_xadd(EXECUTOR),
        readers=(MONITOR, GATEWAY),
        entry_id="`<ms>-<n>`, given out under the account lock",
        entries=(events.Decided, events.OrderChanged, events.PositionChanged),
        keep_ms=30 * _DAY_MS,
        keep_max=100_000,
    ),
    Key(
        name="p95:host",
        kind="stream",
        about="Samples of the machine and of our processes.",
        writes=_xadd(MONITOR),
        readers=(GATEWAY,),
        entry_id="auto",
        entries=(events.HostSample,),
        keep_ms=_DAY_MS,
        keep_max=30_000,
    ),
    Key(
        name="p95:host:now",
        kind="string",
        about="The latest sample.",
        writes=(Write(MONITOR, ("set",)),),
        readers=(GATEWAY,),
        entries=(events.HostSample,),
        expires=True,
    ),
    Key(
        name="p95:monitor:status",
        kind="string",
        about="How the machine and our processes are: latest and average load, counts, health.",
        writes=(Write(MONITOR, ("set",)),),
        readers=(GATEWAY,),
        entries=(events.MonitorStatus,),
        expires=True,
    ),
    Key(
        name="p95:alert",
        kind="stream",
        about="What a person should know.",
        writes=_xadd(*SERVICES),
        readers=(MONITOR, GATEWAY),
        entry_id="auto",
        entries=(events.Alert,),
        keep_ms=30 * _DAY_MS,
        keep_max=100_000,
    ),
    Key(
        name="p95:dlq:SERVICE",
        kind="stream",
        about="Entries and frames that a service could not read, kept whole.",
        writes=_xadd(FEED, EXECUTOR, MONITOR, GATEWAY),
        readers=(MONITOR,),
        entry_id="auto",
        entries=(events.DeadLetter,),
        keep_ms=30 * _DAY_MS,
        keep_max=100_000,
    ),
    Key(
        name="p95:dlq:engine:{pp}",
        kind="stream",
        about="The same for the engine, written by the commit that skips the entry.",
        writes=_COMMIT_STREAM,
        readers=(MONITOR,),
        entry_id="auto",
        entries=(events.DeadLetter,),
        keep_ms=30 * _DAY_MS,
        keep_max=100_000,
    ),
    Key(
        name="p95:hb:SERVICE:INSTANCE",
        kind="string",
        about="A service's sign of life.",
        writes=tuple(Write(user, ("set",)) for user in SERVICES),
        readers=(MONITOR, GATEWAY),
        entries=(events.Heartbeat,),
        expires=True,
    ),
)


def glob(key: Key, service: str = "*") -> str:
    """The row's names as a pattern of Redis; `service` narrows a name that says who writes."""
    name = key.name.replace("{pp}", "{*}").replace("SERVICE", service)
    return name.replace("INSTANCE", "*").replace("SYM", "*")
