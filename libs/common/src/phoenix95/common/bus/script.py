"""Lua scripts by their hash: loaded when the server does not know them, then called again.

A script that is called again must be harmless when the first call was applied after all; each one says why.
"""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError

from phoenix95.common.bus.client import Connection, execute, translated

Argument = str | bytes | int


class Script:
    """One script. Holds no connection, so that it can be a constant of its module."""

    __slots__ = ("sha", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def call(self, redis: Connection, what: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run it once. Raises what `translated` raises; after a TransientError it may have been applied."""
        with translated(what):
            try:
                return await execute(redis, "EVALSHA", self.sha, len(keys), *keys, *args)
            except NoScriptError:
                await execute(redis, "SCRIPT LOAD", self.source)
                return await execute(redis, "EVALSHA", self.sha, len(keys), *keys, *args)

    async def call_each(
        self, redis: Connection, what: str, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]
    ) -> list[Any]:
        """Run it once for each (keys, args), in one round trip. Raises the first error after all have run."""
        if len(calls) == 1:
            return [await self.call(redis, what, *calls[0])]
        with translated(what):
            replies = await self._send(redis, calls)
            if any(isinstance(reply, NoScriptError) for reply in replies):
                await execute(redis, "SCRIPT LOAD", self.source)
                again = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
                for at, reply in zip(again, await self._send(redis, [calls[at] for at in again]), strict=True):
                    replies[at] = reply
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return replies

    async def _send(self, redis: Connection, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]) -> list[Any]:
        async with redis.pipeline(transaction=False) as pipe:
            for keys, args in calls:
                pipe.execute_command("EVALSHA", self.sha, len(keys), *keys, *args)
            return await pipe.execute(raise_on_error=False)
