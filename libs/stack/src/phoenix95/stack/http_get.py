"""One GET to a service of this machine. HTTP/1.0, because then the end of the body is the end of the stream."""

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple

from phoenix95.common.errors import TransientError
from phoenix95.stack.address import LOOPBACK

BODY_BYTES_MAX: Final = 8_000_000


class Answer(NamedTuple):
    """Status and body."""

    status: int
    body: bytes


async def get(port: int, path: str, *, timeout_seconds: float, headers: Mapping[str, str] | None = None) -> Answer:
    """Ask 127.0.0.1. Raises TransientError when nobody answers, or not in time, or not in HTTP."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _get(port, path, headers or {})
    except (OSError, TimeoutError, ValueError, IndexError) as error:
        raise TransientError(f"http://{LOOPBACK}:{port}{path}: {error or 'no answer in time'}") from error


async def _get(port: int, path: str, headers: Mapping[str, str]) -> Answer:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        lines = [f"GET {path} HTTP/1.0", f"Host: {LOOPBACK}:{port}", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head, _, body = (await _read_all(reader)).partition(b"\r\n\r\n")
        return Answer(int(head.split(b" ", 2)[1]), body)
    finally:
        writer.close()


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    whole = b""
    while part := await reader.read(65536):
        whole += part
        if len(whole) > BODY_BYTES_MAX:
            raise ValueError("the answer is too long")
    return whole
