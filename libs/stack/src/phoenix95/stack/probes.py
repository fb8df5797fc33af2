"""Asking a child how it is, without ever holding up the loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from phoenix95.common.errors import TransientError
from phoenix95.stack.address import LOOPBACK, Address
from phoenix95.stack.http_get import get

LIVE_TIMEOUT_SECONDS: Final = 2.0
# The Postgres protocol's question whether it speaks TLS: answered by one letter, and leaves no line in the log.
_SSL_REQUEST: Final = bytes.fromhex("0000000804d2162f")

Probe = Callable[[], Awaitable[str | None]]  # why not, or None when all is well


def http_probe(port: int, path: str) -> Probe:
    """Well when the path answers 200. A /readyz that is not says which check speaks against it."""

    async def ask() -> str | None:
        try:
            answer = await get(port, path, timeout_seconds=LIVE_TIMEOUT_SECONDS)
        except TransientError as error:
            return str(error)
        return None if answer.status == 200 else _reason(answer.body) or f"{path} answered {answer.status}"

    return ask


def redis_ready(address: Address) -> Probe:
    """Well when it answers PING, even by asking for a password; not while it loads its data."""
    return _exchange(address, b"PING\r\n", (b"+PONG", b"-NOAUTH"))


def redis_live(address: Address) -> Probe:
    """Well when it answers at all: loading, or busy in a script, is alive."""
    return _exchange(address, b"PING\r\n", (b"+", b"-"))


def postgres_live(address: Address, socket_name: str) -> Probe:
    """Well when it accepts a connection and speaks the protocol."""
    if address.path is not None:
        address = Address(path=address.path / socket_name)
    return _exchange(address, _SSL_REQUEST, (b"N", b"S"))


def _exchange(address: Address, question: bytes, good: tuple[bytes, ...]) -> Probe:
    async def ask() -> str | None:
        try:
            async with asyncio.timeout(LIVE_TIMEOUT_SECONDS):
                answer = await _ask(address, question)
        except (OSError, TimeoutError) as error:
            return f"{address}: {error or 'no answer in time'}"
        return None if answer.startswith(good) else answer.decode(errors="replace").strip() or "closed the connection"

    return ask


async def _ask(address: Address, question: bytes) -> bytes:
    if address.path is not None:
        reader, writer = await asyncio.open_unix_connection(str(address.path))
    else:
        reader, writer = await asyncio.open_connection(LOOPBACK, address.port)
    try:
        writer.write(question)
        return await reader.read(256)
    finally:
        writer.close()


def _reason(body: bytes) -> str | None:
    """The checks of a /readyz that are not ok, as one line; None when the body is something else."""
    try:
        found = msgspec.json.decode(body)
        bad = [f"{name}: {why}" for name, why in found["checks"].items() if why != "ok"]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return None
    return "; ".join(bad) or None
