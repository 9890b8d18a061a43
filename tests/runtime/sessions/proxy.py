"""A TCP proxy for tests that cuts, stalls and counts what goes through it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Proxy:
    """Between whoever connects and `port`. `cut_after` are bytes to the server after which each connection is cut."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self.connections = 0
        self.carried = 0
        #: Bytes in either direction after which the next connections are cut, one after the other.
        self.cuts: list[int] = []
        #: Cleared: nothing goes through, and nobody is told.
        self.flows = asyncio.Event()
        self.flows.set()
        #: Whether new connections are accepted.
        self.open = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if not self.open:
                writer.transport.abort()
                return
            self.connections += 1
            left = [self.cuts.pop(0) if self.cuts else 1 << 62]
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
            pair = {writer, there_writer}
            self._writers |= pair
            try:
                await asyncio.wait(
                    [
                        asyncio.ensure_future(self._pump(reader, there_writer, left)),
                        asyncio.ensure_future(self._pump(there_reader, writer, left)),
                    ],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                self._writers -= pair
                for end in pair:
                    end.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int]) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1000):
                await self.flows.wait()
                part = data[: left[0]]
                left[0] -= len(part)
                self.carried += len(part)
                writer.write(part)
                await writer.drain()
                if left[0] <= 0:
                    return  # in the middle of a frame, as like as not

    def cut(self) -> None:
        """End all connections at once."""
        for writer in self._writers:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.flows.set()
        server.close()
        proxy.cut()
        if proxy._tasks:
            await asyncio.wait(proxy._tasks)
