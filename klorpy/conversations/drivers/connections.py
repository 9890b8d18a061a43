"""Connections: bytes that are read ahead and written behind, and how they are waited for.

The names in requests and descriptors are data; the sockets themselves are resources of the ground. A connection reads
ahead, but only so far (`AHEAD`), so that its end is noticed though nobody reads, and memory stays flat though nobody does.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import anyio
import anyio.abc
import anyio.lowlevel

from klorpy.conversations.ground import Failure, Ground, Request, Source
from klorpy.core.events import describe_error

#: How many bytes a connection reads before they are asked for.
AHEAD: Final = 1 << 16
#: The longest line; a longer one is given in pieces.
LONGEST_LINE: Final = 1 << 15
#: What is raised for an address that cannot be used: also a port out of range, and a host that is no name.
UNREACHABLE: Final = (OSError, OverflowError, ValueError)


class Changing:
    """Something whose state is waited for."""

    def __init__(self) -> None:
        self._changed = anyio.Event()

    def change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            await self._changed.wait()


class Connection(Changing):
    """A socket with what was read and is not taken yet, and what is to be written.

    Sockets are used as they are, since a stream of the event loop may read as much as comes before it is asked to.
    """

    def __init__(self, sock: socket.socket | None = None) -> None:
        super().__init__()
        self.sock = sock
        self.buffer = bytearray()
        self.ended = False
        self.error = ""
        self.written = 0
        self.finished = False
        self._outgoing: deque[bytes] = deque()
        self._closing = False
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        """Read and write until the connection is closed."""
        assert self.sock is not None
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._read, self.sock)
                    await self._write(self.sock)
                    tasks.cancel_scope.cancel()
        finally:
            self._shut()

    async def open(self, host: str, port: int) -> None:
        try:
            with self._scope:
                self.sock = await _connect(host, port)
        except UNREACHABLE as error:
            self.error = describe_error(error)
        if self.sock is None:
            self.ended = True
            self._shut()
        else:
            self.change()
            await self.run()

    async def _read(self, sock: socket.socket) -> None:
        try:
            while not self.ended:
                await self.until(lambda: len(self.buffer) < AHEAD)
                await anyio.wait_readable(sock)
                with contextlib.suppress(BlockingIOError):
                    data = sock.recv(AHEAD - len(self.buffer))
                    self.buffer += data
                    self.ended = not data
                self.change()
        except OSError as error:
            self._broken(error)

    async def _write(self, sock: socket.socket) -> None:
        try:
            while True:
                await self.until(lambda: self._outgoing or self._closing)
                if not self._outgoing:
                    break
                data = memoryview(self._outgoing[0])
                while data:
                    try:
                        data = data[sock.send(data) :]
                    except BlockingIOError:
                        await anyio.wait_writable(sock)
                self.written += len(self._outgoing.popleft())
                self.change()
                await anyio.lowlevel.checkpoint()
            sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._broken(error)
            await self.until(lambda: self._closing)

    def _broken(self, error: OSError) -> None:
        self.error = self.error or describe_error(error)
        self.ended = True
        self._outgoing.clear()
        self.change()

    def write(self, data: bytes) -> None:
        if not self._closing and not self.error:
            self._outgoing.append(data)
            self.change()

    def close(self) -> None:
        """Close when all is written."""
        self._closing = True
        self.change()
        if self.sock is None:
            self._scope.cancel()

    def _shut(self) -> None:
        if self.sock is not None and not self.finished:
            with contextlib.suppress(OSError):
                # What came and was not read would let the system throw away what was written.
                while self.sock.recv(AHEAD):
                    pass
            anyio.notify_closing(self.sock)
            self.sock.close()
        self.finished = True
        self.change()

    async def aclose(self) -> None:
        self._scope.cancel()
        self._shut()

    def take(self, size: int) -> bytes:
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        self.change()
        return data

    def line_length(self) -> int:
        """How many bytes of the buffer are the next line, its end included; 0 when it is not there yet."""
        end = self.buffer.find(b"\n", 0, LONGEST_LINE) + 1
        if end:
            return end
        return min(len(self.buffer), LONGEST_LINE) if self.ended or len(self.buffer) >= LONGEST_LINE else 0


async def _connect(host: str, port: int) -> socket.socket:
    """A connected socket. Raises OSError of the last address that was tried."""
    problem: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            if sock.connect_ex(address) not in (0, errno.EISCONN):
                await anyio.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return sock
            problem = OSError(code, os.strerror(code))
            sock.close()
        except BaseException as error:
            sock.close()
            if not isinstance(error, OSError):
                raise
            problem = error
    raise problem


@dataclass(frozen=True, slots=True)
class Conn:
    """The name of a connection."""

    number: int


def connection(ground: Ground, name: Any) -> Connection:
    found = ground.resources.get(name)
    if not isinstance(found, Connection):
        raise LookupError(f"{name!r} is not open")
    return found


def _is_open(ground: Ground, name: Any) -> bool:
    return isinstance(ground.resources.get(name), Connection)


@dataclass(frozen=True, slots=True)
class Connect(Request):
    """Open a connection; `Connected` tells how that went."""

    name: Any
    host: str
    port: int

    def perform(self, ground: Ground) -> None:
        made = Connection()
        ground.resources[self.name] = made
        ground.start(made.open, self.host, self.port)


@dataclass(frozen=True, slots=True)
class Connected(Source):
    """The connection is open: the value is None; or it cannot be opened: a Failure."""

    name: Any

    async def ready(self, ground: Ground) -> None:
        made = connection(ground, self.name)
        await made.until(lambda: made.sock is not None or made.error)

    def take(self, ground: Ground) -> Any:
        made = connection(ground, self.name)
        return None if made.sock is not None else Failure(made.error)


@dataclass(frozen=True, slots=True)
class Read(Source):
    """Some bytes of a connection, at most so many."""

    name: Any
    size: int

    async def ready(self, ground: Ground) -> None:
        made = connection(ground, self.name)
        await made.until(lambda: made.buffer)

    def take(self, ground: Ground) -> bytes:
        return connection(ground, self.name).take(self.size)


@dataclass(frozen=True, slots=True)
class ReadLine(Source):
    """A line of a connection, without its end."""

    name: Any

    async def ready(self, ground: Ground) -> None:
        made = connection(ground, self.name)
        await made.until(made.line_length)

    def take(self, ground: Ground) -> bytes:
        made = connection(ground, self.name)
        return made.take(made.line_length()).removesuffix(b"\n").removesuffix(b"\r")


@dataclass(frozen=True, slots=True)
class Ended(Source):
    """A connection has ended, and all that came was taken; the value is the error that ended it, or "" for none."""

    name: Any

    async def ready(self, ground: Ground) -> None:
        made = connection(ground, self.name)
        await made.until(lambda: made.ended and (made.error or not made.buffer))

    def take(self, ground: Ground) -> str:
        return connection(ground, self.name).error


@dataclass(frozen=True, slots=True)
class Written(Source):
    """So many bytes, counted from the start of the connection, were given to the network."""

    name: Any
    count: int

    async def ready(self, ground: Ground) -> None:
        made = connection(ground, self.name)
        await made.until(lambda: made.written >= self.count)

    def take(self, ground: Ground) -> int:
        return connection(ground, self.name).written


@dataclass(frozen=True, slots=True)
class Write(Request):
    name: Any
    data: bytes

    def perform(self, ground: Ground) -> None:
        if _is_open(ground, self.name):
            connection(ground, self.name).write(self.data)


@dataclass(frozen=True, slots=True)
class Close(Request):
    """Close something: a connection when all is written, anything else at once."""

    name: Any

    def perform(self, ground: Ground) -> None:
        resource = ground.resources.pop(self.name, None)
        if isinstance(resource, Connection):
            resource.close()
            if resource.sock is not None:
                # It is a resource until it is closed, so that the ground closes it when it ends earlier.
                key = (self.name, "closing", ground.number("closing"))
                ground.resources[key] = resource
                ground.kept_alive += 1
                ground.start(_closed, ground, key, resource)
        elif resource is not None:
            ground.start(resource.aclose)


async def _closed(ground: Ground, key: Any, resource: Connection) -> None:
    """Give the peer some time to read what is left, then close all the same."""
    with anyio.move_on_after(GRACE):
        await resource.until(lambda: resource.finished)
    ground.resources.pop(key, None)
    await resource.aclose()
    ground.kept_alive -= 1
    ground.wake()


#: Seconds that a connection which is being closed may take to write what is left.
GRACE: Final = 5
