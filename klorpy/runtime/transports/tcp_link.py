"""One TCP connection between two processes: bytes to frames, and frames to bytes.

A frame is a length of four bytes, the kind, and what belongs to the kind:

    JOIN, DATA, LEAVE    direction:4  number:8  stamp:8  length of key:1  key  body
    OPEN                 direction:4  [session, source, target]
    CONSUMED, RESEND     direction:4  count:8
    REFUSE               direction:4  [slug, reason, verdict or nil]
    HELLO                [version, identity]
    RESUME               [[session, source, target, received, consumed], …]
    PING, BYE, BYE_TOO   nothing
    OBSERVE, TRACE       see observing.py
    SILENT               the seconds in which nothing was heard; the connection is given up

What the frames mean is the business of the `Home` of the connection (tcp.py). Reading allocates nothing but what is kept:
the bytes come into one buffer, and whoever waits for a message goes on in the same turn of the loop.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import msgspec

from klorpy.core.types import Role
from klorpy.runtime.sessions.channel import DATA, JOIN, LEAVE, Frame, ProtocolError, new_frame
from klorpy.runtime.sessions.node import Node
from klorpy.runtime.sessions.peer import ChannelName, Peer
from klorpy.runtime.sessions.waiting import Waiter
from klorpy.runtime.transports.address import Address
from klorpy.runtime.transports.observing import OBSERVE, TRACE
from klorpy.runtime.transports.tls import handshake_failure

VERSION: Final = 1

OPEN: Final = 4
CONSUMED: Final = 5
RESEND: Final = 6
REFUSE: Final = 7
HELLO: Final = 8
PING: Final = 9
BYE: Final = 10
BYE_TOO: Final = 11
RESUME: Final = 12
SILENT: Final = TRACE + 1

_NUMBERED: Final = struct.Struct(">IBIQQB")
_HEADER: Final = _NUMBERED.size
_AFTER_LENGTH: Final = _HEADER - 4
_pack: Final = _NUMBERED.pack
_unpack: Final = _NUMBERED.unpack_from
_COUNT: Final = struct.Struct(">IBIQ")
_DIRECTED: Final = struct.Struct(">IBI")
_PLAIN: Final = struct.Struct(">IB")
_LENGTH: Final = struct.Struct(">I")

#: What a connection reads at once, in bytes.
_BUFFER: Final = 64 << 10
#: The first two bytes of what a side with TLS says first.
_TLS: Final = 0x1603

_encode: Final = msgspec.msgpack.Encoder().encode


@dataclass(slots=True, eq=False)
class Inbound:
    """A direction in which the other process sends; `peer` is its source as our seat sees it, None while there is no seat."""

    name: ChannelName
    peer: Peer | None = None
    #: The sender has left, before anybody joined here.
    dead: bool = False


@dataclass(slots=True, eq=False)
class Way:
    """The direction `number`, in which we send to the other process; `back` is the number of the opposite one."""

    remote: Remote
    number: int
    back: int | None = None


@dataclass(slots=True, eq=False)
class Remote:
    """Another process."""

    identity: bytes
    #: The roles that its certificate names; None without TLS.
    certified: frozenset[Role] | None
    #: Where it is, as its latest connection shows.
    address: str = ""
    link: Link | None = None
    #: Why it has given up the connection, if it has.
    doubt: str = ""
    #: The roles that it is said to play, by those who connected to it.
    expected: set[Role] = field(default_factory=set)
    ways: dict[int, Peer] = field(default_factory=dict)
    inbound: dict[int, Inbound] = field(default_factory=dict)
    #: The directions of `inbound` for which there is no seat yet.
    parked: dict[ChannelName, int] = field(default_factory=dict)
    left: bool = False
    expiry: asyncio.TimerHandle | None = None
    said_bye: asyncio.Future[None] | None = None
    next_way: int = 1
    #: The largest number of a direction that it has opened.
    opened: int = 0

    @property
    def lacks(self) -> bool:
        """Whether it may lack messages of a session that has not failed."""
        return any(peer.seat.verdict is None and peer.outgoing.undelivered for peer in self.ways.values())


class Home(Protocol):
    """Whose connection it is: what it is told of what comes, and of how it ends. All but `made` may raise ProtocolError."""

    node: Node
    identity: bytes
    #: Connections that are made now come too late.
    stopped: bool

    @property
    def longest(self) -> int:
        """Bytes of a frame that is accepted."""

    def made(self, link: Link) -> None:
        """The connection stands; the other side has not said anything yet."""

    def greeted(self, link: Link, body: bytes) -> None: ...

    def resumed(self, link: Link, remote: Remote, body: bytes) -> None: ...

    def observed(self, link: Link, remote: Remote, body: bytes) -> None: ...

    def directed(self, link: Link, remote: Remote, kind: int, number: int, body: bytes) -> None: ...

    def numbered(self, link: Link, remote: Remote, number: int, frame: Frame) -> None: ...

    def said_bye(self, link: Link, remote: Remote, kind: int) -> None: ...

    def doubted(self, remote: Remote, body: bytes) -> None: ...

    def misbehaved(self, link: Link, error: Exception) -> None: ...

    def note(self, roles: frozenset[Role], text: str) -> None:
        """Remember why `roles` may not be there."""

    def broke(self, link: Link, reason: str) -> None: ...


class Link(asyncio.BufferedProtocol):
    """One connection. `roles` are those that the other side is said to play, None when it is the one that connected."""

    def __init__(self, home: Home, roles: frozenset[Role] | None) -> None:
        self.home = home
        self.roles = roles
        self.remote: Remote | None = None
        loop = asyncio.get_running_loop()
        #: Whether something came since the last look.
        self.heard = True
        self.silence = 0.0
        #: Done when the connection has ended; whether the two sides had come to terms.
        self.closed: asyncio.Future[bool] = loop.create_future()
        #: The connection with the same process that is used in the place of this one.
        self.instead: Link | None = None
        #: What senders wait for while too much is on its way.
        self.full: asyncio.Future[None] | None = None
        self.name = "a connection"
        #: The other end.
        self.address = ""
        self._loop = loop
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._end = 0
        self._reason = "the connection was closed"
        #: Whether it was this side that ended it.
        self.given_up = False
        self._transport: asyncio.Transport
        self._write: Callable[[bytes], None]

    def __str__(self) -> str:
        return self.name

    @property
    def certificate(self) -> Any:
        """The certificate of the other side, as `ssl` describes it."""
        return self._transport.get_extra_info("peercert")

    # --- asyncio's protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # other loops have classes of their own
        self._write = self._transport.write
        if self.home.stopped:  # it was on its way when this process ended
            self._transport.abort()
            return
        self.home.made(self)
        address = transport.get_extra_info("peername")
        if isinstance(address, tuple):
            self.address = str(Address(address[0], address[1]))
            self.name = f"the connection with {self.address}"
        if self.roles is not None:
            self.home.note(self.roles, f"{self.name} stands, but the other side says nothing: is it klorpy?")
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.set_write_buffer_limits(1 << 20)
        self.body(HELLO, _encode((VERSION, self.home.identity)))

    def connection_lost(self, error: Exception | None) -> None:
        self.resume_writing()
        if not self.closed.done():
            self.closed.set_result(self.remote is not None)
        if self.remote is None and self.roles is not None and self.instead is None and not self.given_up:
            if isinstance(error, ssl.SSLError):
                why = handshake_failure(error)
            elif self.certificate:
                why = "does it trust the certificate of this process?"
            else:
                why = str(error or "does one side use TLS, and the other not?")
            self.home.note(self.roles, f"{self} ended before the other side had introduced itself: {why}")
        self.home.broke(self, self._reason if error is None else f"{self._reason} ({error})")

    def pause_writing(self) -> None:
        self._crowd(self._loop.create_future())

    def resume_writing(self) -> None:
        full = self.full
        self._crowd(None)
        if full is not None:
            full.set_result(None)

    def _crowd(self, full: asyncio.Future[None] | None) -> None:
        self.full = full
        if self.remote is not None and self.remote.link is self:
            for peer in self.remote.ways.values():
                peer.crowded = full

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._end == len(self._buffer):  # a frame that is longer than the buffer
            self._grow()
        return self._view[self._end :]

    def buffer_updated(self, count: int) -> None:
        self.heard = True
        self._end += count
        node = self.home.node
        woken: list[Waiter] = []
        node.woken = woken
        try:
            self._read()
        except (ProtocolError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.home.misbehaved(self, error)
            self.abort(f"{error}")
        finally:
            node.woken = None
        for waiter in woken:
            waiter.wake()

    def _grow(self) -> None:
        grown = bytearray(min(2 * len(self._buffer), self.home.longest + 4))
        grown[: self._end] = self._buffer
        self._buffer = grown
        self._view = memoryview(grown)

    # --- Reading ------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Take the frames that are whole. Raises ProtocolError for what is none."""
        buffer, view, end = self._buffer, self._view, self._end
        limit = self.home.longest
        at = 0
        while end - at >= 4:
            (size,) = _LENGTH.unpack_from(buffer, at)
            if size >> 16 == _TLS and self.remote is None:
                raise ProtocolError("it speaks TLS, and this process does not")
            if size > limit or size == 0:
                raise ProtocolError(f"a frame of {size} bytes; at most {limit} are accepted")
            following = at + 4 + size
            if end < following:
                break
            kind = buffer[at + 4]
            if JOIN <= kind <= LEAVE:
                remote = self.remote
                if remote is None or size < _AFTER_LENGTH:
                    raise ProtocolError("a frame is too short, or comes before an introduction")
                _, _, direction, number, stamp, key_size = _unpack(buffer, at)
                start = at + _HEADER
                body = start + key_size
                if body > following:
                    raise ProtocolError("a key is longer than its frame")
                rest = bytes(view[start:following])
                frame = new_frame(Frame, (kind, number, stamp, rest[:key_size], rest[key_size:]))
                inbound = remote.inbound.get(direction)
                if kind == DATA and inbound is not None and inbound.peer is not None:
                    inbound.peer.seat.arrived(inbound.peer, frame)
                else:
                    self.home.numbered(self, remote, direction, frame)
            else:
                self._other(kind, bytes(view[at + 5 : following]))
                if self._transport.is_closing():
                    return
            at = following
        if at:
            # What is left is the beginning of a frame; it moves to the front.
            left = end - at
            if left:
                buffer[:left] = buffer[at:end]
            self._end = left
            if len(buffer) > _BUFFER and left < _BUFFER:
                self._buffer = bytearray(_BUFFER)
                self._buffer[:left] = buffer[:left]
                self._view = memoryview(self._buffer)

    def _other(self, kind: int, body: bytes) -> None:
        remote = self.remote
        if kind == HELLO and remote is None:
            self.home.greeted(self, body)
        elif remote is None:
            raise ProtocolError("it did not introduce itself")
        elif kind == RESUME:
            self.home.resumed(self, remote, body)
        elif kind in (BYE, BYE_TOO):
            self.home.said_bye(self, remote, kind)
        elif kind == SILENT:
            self.home.doubted(remote, body)
        elif kind == OBSERVE:
            self.home.observed(self, remote, body)
        elif kind != PING:
            if len(body) < 4:
                raise ProtocolError("a frame is too short")
            self.home.directed(self, remote, kind, int.from_bytes(body[:4], "big"), body[4:])

    # --- Writing ------------------------------------------------------------------------------------------------------

    def frame(self, direction: int, frame: Frame) -> None:
        kind, number, stamp, key, body = frame
        self._write(_pack(_AFTER_LENGTH + len(key) + len(body), kind, direction, number, stamp, len(key)) + key + body)

    def count(self, kind: int, direction: int, count: int) -> None:
        self._write(_COUNT.pack(_COUNT.size - 4, kind, direction, count))

    def directed(self, kind: int, direction: int, body: bytes) -> None:
        self._write(_DIRECTED.pack(_DIRECTED.size - 4 + len(body), kind, direction) + body)

    def body(self, kind: int, body: bytes) -> None:
        self._write(_PLAIN.pack(1 + len(body), kind) + body)

    def plain(self, kind: int) -> None:
        self._write(_PLAIN.pack(1, kind))

    def crowded(self, limit: int) -> bool:
        return self._transport.get_write_buffer_size() > limit

    def close(self) -> None:
        """End the connection when everything has been written."""
        self._transport.close()

    def give_up(self, seconds: float) -> None:
        """End the connection because the other side was silent, and tell it so, if it ever reads on."""
        if self.remote is not None:
            self.body(SILENT, _encode(seconds))
        self.abort(silent(seconds))

    def abort(self, reason: str) -> None:
        """End the connection at once."""
        self._reason = reason
        self.given_up = True
        self._transport.abort()


def silent(seconds: float) -> str:
    """Why a connection is given up on which nothing was heard for so long."""
    return f"it was silent for {seconds:g} s"
