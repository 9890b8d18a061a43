"""A ground that serves while a test is its client, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc

from klorpy.conversations import ANY, Ground, Presence, role, subscriber
from klorpy.conversations.drivers import Listener, Listening

#: Seconds after which a test that talks over the network has failed.
LIMIT = 5


@asynccontextmanager
async def serving(*program: Any, clock: Any = None, logging: bool = True) -> AsyncIterator[tuple[Ground, int]]:
    """Run a program, wait until it listens, and give its ground and its port."""
    ground = Ground(clock, logging=logging)
    ports: list[int] = []
    listening = anyio.Event()

    def bound(event: Presence, state: Any) -> None:
        ports.append(event.role.topic.address.port)
        listening.set()

    ground.kernel.start("test", [role("ports", subscriber(Listening(Listener(ANY, ANY), ANY)), bound)])
    ground.kernel.start("boot", list(program))
    before = len(anyio.get_running_tasks())
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ground.run)
            await listening.wait()
            yield ground, ports[0]
            tasks.cancel_scope.cancel()
    assert ground.resources == {}
    assert ground._running == {}
    assert len(anyio.get_running_tasks()) == before


class Client:
    """A client that speaks lines."""

    def __init__(self, stream: anyio.abc.SocketStream) -> None:
        self.stream = stream
        self.buffer = b""

    async def say(self, line: str) -> None:
        await self.stream.send(line.encode() + b"\n")

    async def line(self) -> str:
        while b"\n" not in self.buffer:
            self.buffer += await self.stream.receive()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode()

    async def end(self) -> bytes:
        """All that comes until the other side closes."""
        try:
            while True:
                self.buffer += await self.stream.receive()
        except anyio.EndOfStream:
            return self.buffer


@asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield Client(stream)


async def until(ground: Ground, condition: Any) -> None:
    """Wait until something holds that the ground's processes bring about."""
    while not condition():
        await anyio.lowlevel.checkpoint()


def process_names(ground: Ground) -> list[str]:
    return [str(process.pid) for process in ground.kernel.processes.values()]
