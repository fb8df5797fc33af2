"""Users of Redis, made from the table of streams. Nobody may do more than the table says.

Rights to write stand in selectors of their own, so that a right to write one stream together with a right to
read another never becomes a right to write both. Scripts are checked like their caller: every key of a
script must be granted in one selector, with every command that it calls.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from phoenix95.common.errors import ConfigError
from phoenix95.common.streams import GATEWAY, MONITOR, OPERATOR, SERVICES, TABLE, Key, Kind, glob

USERS: Final = (*SERVICES, OPERATOR)

# Naming client|setinfo would make Redis 7.0 refuse the whole file: it is a command of 7.2.
_BASE: Final = ("ping", "hello", "auth", "client|setname", "client|id", "time", "multi", "exec", "discard")
_SCRIPTS: Final = ("script|load",)
_READ: Final[Mapping[Kind, tuple[str, ...]]] = {
    "stream": ("xread", "xrange", "xrevrange", "xlen", "xinfo|stream"),
    "hash": ("hget", "hmget", "hgetall", "hlen"),
    "string": ("get", "mget", "pttl"),
    "zset": ("zrange", "zrangebyscore"),
}
_EXTRA: Final[Mapping[str, tuple[str, ...]]] = {
    MONITOR: ("scan", "info", "slowlog|get", "latency|latest", "dbsize"),
    GATEWAY: ("scan", "info"),
}
_OPERATOR_RULES: Final = (
    "+@read +@connection -keys -@dangerous +info +slowlog|get +client|list +memory|usage +xinfo|groups %R~p95:*"
)


def user_rules(user: str) -> str:
    """What a user may do, as ACL rules without name and password. Raises ConfigError for an unknown user."""
    if user == OPERATOR:
        return _OPERATOR_RULES
    if user not in SERVICES:
        raise ConfigError(f"no Redis user {user!r}: there are {', '.join(USERS)}")
    readable = [key for key in TABLE if user in key.readers or any(write.user == user for write in key.writes)]
    commands = dict.fromkeys((*_BASE, *_EXTRA.get(user, ())))
    if any(write.script for key in TABLE for write in key.writes if write.user == user):
        commands |= dict.fromkeys(_SCRIPTS)
    for key in readable:
        commands |= dict.fromkeys(_READ[key.kind])
    patterns = dict.fromkeys(f"%R~{_readable_as(key, user)}" for key in readable)
    return " ".join([*(f"+{command}" for command in commands), *patterns, *_selectors(user)])


def _readable_as(key: Key, user: str) -> str:
    return glob(key) if user in key.readers else glob(key, user)


def _selectors(user: str) -> list[str]:
    """One selector for each script, and one for each set of plain commands."""
    commands: dict[object, dict[str, None]] = {}
    patterns: dict[object, dict[str, None]] = {}
    for key in TABLE:
        for write in key.writes:
            if write.user == user:
                group = write.script or write.commands
                commands.setdefault(group, dict.fromkeys(("evalsha",) if write.script else ())).update(
                    dict.fromkeys(write.commands)
                )
                patterns.setdefault(group, {})[glob(key, user)] = None
    return [
        f"({' '.join([*(f'+{command}' for command in commands[group]), *(f'%RW~{name}' for name in patterns[group])])})"
        for group in commands
    ]


# Nobody can log in as the default user, and still it may do everything: Redis 7.0 replays the append-only file as
# this user, and checks its rights again at each EXEC. A default user without them loses every script of more than one
# write at the next start.
DEFAULT_USER: Final = "user default off resetpass ~* &* +@all"


def acl_file(passwords: Mapping[str, str]) -> str:
    """The text of an ACL file (`aclfile`) for these users; passwords enter it only as hashes.

    A user without a password is left out and cannot log in; the default user is off. Raises ConfigError for
    an unknown user and for an empty password.
    """
    lines = [DEFAULT_USER]
    for user, password in passwords.items():
        if not password:
            raise ConfigError(f"the Redis user {user!r} has an empty password")
        digest = sha256(password.encode()).hexdigest()
        lines.append(f"user {user} on #{digest} resetkeys resetchannels -@all {user_rules(user)}")
    return "\n".join(lines) + "\n"
