"""A TCP cable between the executor and what it talks to: it listens, tells what passes, and can be cut.

It is also where answers get lost: bytes of the far end can be dropped from a moment on, so that the near end cannot
know whether what it sent was done.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from phoenix95.stack.address import LOOPBACK, Address

CHUNK: Final = 65_536
Sent = Callable[[bytes], None]


class Cable:
    """Relays from a free loopback port to `far`; `on_sent` is told every chunk before it is passed on.

    `mute()` in `on_sent` lets the chunk pass and drops the answer with the connection; `cut()` ends every connection
    and refuses new ones until `mend()`.
    """

    def __init__(self, far: Address, on_sent: Sent | None = None) -> None:
        self._far = far
        self.on_sent = on_sent
        self._server: asyncio.Server | None = None
        self._wires: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self._muted = False
        self.port = 0

    async def open(self) -> "Cable":
        self._server = await asyncio.start_server(self._connected, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def mute(self) -> None:
        """Called from within `on_sent`: this connection's request arrives, its answer does not."""
        self._muted = True

    def cut(self) -> None:
        self._is_cut = True
        for wire in list(self._wires):
            wire.transport.abort()

    def mend(self) -> None:
        self._is_cut = False

    async def close(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._wires.add(writer)
        far_writer: asyncio.StreamWriter | None = None
        try:
            if self._is_cut:
                return
            far_reader, far_writer = await _connect(self._far)
            self._wires.add(far_writer)
            answers = asyncio.create_task(self._pass(far_reader, writer))
            try:
                await self._forward(reader, far_writer, answers)
            finally:
                answers.cancel()
                await asyncio.gather(answers, return_exceptions=True)
        except OSError:
            return  # one of the two ends is gone: so is the other
        finally:
            self._tasks.discard(task)
            for wire in (writer, far_writer):
                if wire is not None:
                    self._wires.discard(wire)
                    wire.close()

    async def _forward(
        self, reader: asyncio.StreamReader, far: asyncio.StreamWriter, answers: "asyncio.Task[None]"
    ) -> None:
        while chunk := await reader.read(CHUNK):
            self._muted = False
            if self.on_sent is not None:
                self.on_sent(chunk)
            if muted := self._muted:
                answers.cancel()
            far.write(chunk)
            await far.drain()
            if muted:
                await asyncio.sleep(0.05)  # it arrives and is done
                return

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.close()


async def _connect(far: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if far.path is not None:
        return await asyncio.open_unix_connection(far.path)
    return await asyncio.open_connection(LOOPBACK, far.port)
