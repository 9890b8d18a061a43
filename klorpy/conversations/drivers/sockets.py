"""Sockets at an address: those that listen for connections, and those for datagrams, and how they are waited for.

As for connections, the names in requests and descriptors are data, and the sockets are resources of the ground.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import anyio
import anyio.abc
import anyio.lowlevel

from klorpy.conversations.drivers.connections import UNREACHABLE, Changing, Conn, Connection
from klorpy.conversations.ground import Failure, Ground, Request, Source
from klorpy.core.events import describe_error

#: How many datagrams and connections wait to be asked for; more datagrams are dropped.
BACKLOG: Final = 256
LAST_PORT: Final = 65535


class Listening:
    """A listening socket, and the connection that was accepted and not taken yet."""

    def __init__(self, host: str, port: int) -> None:
        self.address: tuple[str, int] | None = None
        self.error = ""
        self.accepted: socket.socket | None = None
        self.sock: socket.socket | None = None
        try:
            self.sock = _listen(host, port)
            self.address = self.sock.getsockname()[:2]
        except UNREACHABLE as error:
            self.error = describe_error(error)

    async def accept(self) -> None:
        while self.accepted is None:
            if self.sock is None:
                await anyio.sleep_forever()
                return
            await anyio.wait_readable(self.sock)
            # Who came may be gone again.
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self.accepted = self.sock.accept()[0]
                self.accepted.setblocking(False)

    async def aclose(self) -> None:
        for sock in (self.sock, self.accepted):
            if sock is not None:
                anyio.notify_closing(sock)
                sock.close()
        self.sock = self.accepted = None


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; socket.create_server leaves one open when the port is out of range."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _listening(ground: Ground, name: Any) -> Listening:
    found = ground.resources.get(name)
    if not isinstance(found, Listening):
        raise LookupError(f"{name!r} is not open")
    return found


@dataclass(frozen=True, slots=True)
class Listen(Request):
    """Open a listening socket; `Bound` tells how that went."""

    name: Any
    host: str
    port: int

    def perform(self, ground: Ground) -> None:
        ground.resources[self.name] = Listening(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Bound(Source):
    """A socket is open: the value is its host and port; or it cannot be opened: a Failure."""

    name: Any

    async def ready(self, ground: Ground) -> None:
        made = ground.resources[self.name]
        if isinstance(made, Datagrams):
            await made.until(lambda: made.address or made.error)

    def take(self, ground: Ground) -> Any:
        made = ground.resources[self.name]
        assert isinstance(made, (Listening, Datagrams))
        return made.address or Failure(made.error)


@dataclass(frozen=True, slots=True)
class Accept(Source):
    """A connection: its name, and the host and port that it comes from."""

    name: Any

    async def ready(self, ground: Ground) -> None:
        await _listening(ground, self.name).accept()

    def take(self, ground: Ground) -> tuple[Conn, str, int]:
        listening = _listening(ground, self.name)
        sock, listening.accepted = listening.accepted, None
        assert sock is not None
        made = Connection(sock)
        name = Conn(ground.number("connection"))
        ground.resources[name] = made
        ground.start(made.run)
        try:
            address = sock.getpeername()
        except OSError:  # the peer is gone already
            address = ("", 0)
        return name, str(address[0]), int(address[1])


# --- Datagrams --------------------------------------------------------------------------------------------------------


class Datagrams(Changing):
    """A datagram socket and what has arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.address: tuple[str, int] | None = None
        self.error = ""
        self.arrived: deque[tuple[bytes, str, int]] = deque()
        self._outgoing: deque[tuple[bytes, str, int]] = deque()
        self._scope = anyio.CancelScope()

    async def run(self, host: str, port: int) -> None:
        with self._scope:
            try:
                if not 0 <= port <= LAST_PORT:
                    # The system would take another one, modulo 65536.
                    raise OverflowError(f"{port} is not a port")
                async with await anyio.create_udp_socket(local_host=host, local_port=port) as sock:
                    self.address = sock.extra(anyio.abc.SocketAttribute.local_address)[:2]  # type: ignore[assignment]
                    self.change()
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(self._send, sock)
                        while True:
                            data, (source, source_port) = await self._receive(sock)
                            if len(self.arrived) < BACKLOG:
                                self.arrived.append((data, source, source_port))
                                self.change()
            except UNREACHABLE as error:
                self.error = describe_error(error)
                self.change()

    async def _receive(self, sock: anyio.abc.UDPSocket) -> tuple[bytes, tuple[str, int]]:
        return await sock.receive()

    async def _send(self, sock: anyio.abc.UDPSocket) -> None:
        while True:
            await self.until(lambda: self._outgoing)
            data, host, port = self._outgoing.popleft()
            # A datagram may be lost, also here.
            with contextlib.suppress(*UNREACHABLE):
                await sock.sendto(data, host, port)

    def send(self, data: bytes, host: str, port: int) -> None:
        self._outgoing.append((data, host, port))
        self.change()

    async def aclose(self) -> None:
        self._scope.cancel()


@dataclass(frozen=True, slots=True)
class Bind(Request):
    """Open a datagram socket; `Bound` tells how that went."""

    name: Any
    host: str
    port: int

    def perform(self, ground: Ground) -> None:
        made = Datagrams()
        ground.resources[self.name] = made
        ground.start(made.run, self.host, self.port)


@dataclass(frozen=True, slots=True)
class Receive(Source):
    """A datagram: its bytes, and the host and port that it comes from."""

    name: Any

    async def ready(self, ground: Ground) -> None:
        made = ground.resources[self.name]
        assert isinstance(made, Datagrams)
        await made.until(lambda: made.arrived)

    def take(self, ground: Ground) -> tuple[bytes, str, int]:
        made = ground.resources[self.name]
        assert isinstance(made, Datagrams)
        return made.arrived.popleft()


@dataclass(frozen=True, slots=True)
class Transmit(Request):
    """Send a datagram."""

    name: Any
    data: bytes
    host: str
    port: int

    def perform(self, ground: Ground) -> None:
        made = ground.resources.get(self.name)
        if isinstance(made, Datagrams):
            made.send(self.data, self.host, self.port)
