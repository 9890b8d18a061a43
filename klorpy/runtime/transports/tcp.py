"""Sessions over TCP: connections between processes, each of which carries all sessions of the two.

Of each two processes one listens and the other connects; either may come first. A connection begins with a HELLO of each
side: the version of the protocol and an identity of the process. Then each side says how far it has received what the
other sent (RESUME), names the directions of roles that it sends in (OPEN) and sends numbered frames in them. When a
connection breaks, it is made again within the grace period, and both sides send what the other lacks; after it, the
roles of the other process are lost. They are lost at once when it sends what the protocol does not allow.

A frame is a length of four bytes, the kind, and what belongs to the kind:

    JOIN, DATA, LEAVE    direction:4  number:8  stamp:8  length of key:1  key  body
    OPEN                 direction:4  [session, source, target]
    CONSUMED, RESEND     direction:4  count:8
    REFUSE               direction:4  [slug, reason, verdict or nil]
    HELLO                [version, identity]
    RESUME               [[session, source, target, received, consumed], …]
    PING, BYE, BYE_TOO   nothing
    OBSERVE, TRACE       see observing.py

With TLS both sides show a certificate, and a process may speak only for the roles that its certificate names.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Final, TypeAlias, cast

import anyio
import msgspec
from anyio.abc import TaskGroup

from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.core.verdicts import Verdict
from klorpy.runtime.limits import LIMITS
from klorpy.runtime.sessions.channel import DATA, JOIN, LEAVE, Frame, ProtocolError
from klorpy.runtime.sessions.node import Node
from klorpy.runtime.sessions.seat import ChannelName, Peer, Seat, as_tuple
from klorpy.runtime.sessions.waiting import Waiter
from klorpy.runtime.transports.observing import OBSERVE, OBSERVER, Observers
from klorpy.runtime.transports.tls import Identity, certified_roles

log: Final = logging.getLogger("klorpy.tcp")

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

_NUMBERED: Final = struct.Struct(">IBIQQB")
_HEADER: Final = _NUMBERED.size
_AFTER_LENGTH: Final = _HEADER - 4
_pack: Final = _NUMBERED.pack
_unpack: Final = _NUMBERED.unpack_from
_COUNT: Final = struct.Struct(">IBIQ")
_DIRECTED: Final = struct.Struct(">IBI")
_PLAIN: Final = struct.Struct(">IB")
_LENGTH: Final = struct.Struct(">I")

#: Bytes of a frame around a value, at most.
AROUND: Final = 1024

#: What a connection reads at once, in bytes.
_BUFFER: Final = 64 << 10
#: The first two bytes of what a side with TLS says first.
_TLS: Final = 0x1603
#: Directions of sessions that nobody here has joined yet, of one process.
_PARKED: Final = 10_000
#: Seconds that the end waits for the other side to have everything.
_LINGER: Final = 5.0

_encode: Final = msgspec.msgpack.Encoder().encode
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
_decode_hello: Final = msgspec.msgpack.Decoder(tuple[int, Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]]).decode
_decode_version: Final = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_number: Final = msgspec.msgpack.Decoder(int).decode
_decode_positions: Final = msgspec.msgpack.Decoder(list[tuple[str, str, str, _Count, _Count]]).decode
_decode_name: Final = msgspec.msgpack.Decoder(tuple[str, str, str]).decode
_decode_refusal: Final = msgspec.msgpack.Decoder(tuple[str, str, tuple[str, str, int | None, str, str] | None]).decode


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str | tuple[str, int] | Address) -> Address:
        """An address from `host:port` or a pair; `:port` is loopback. Raises KlorError `bad-argument`.

        >>> Address.parse("[::1]:4000"), Address.parse(":0")
        (Address(host='::1', port=4000), Address(host='127.0.0.1', port=0))
        """
        if isinstance(text, Address):
            return text
        host, _, port = text.rpartition(":") if isinstance(text, str) else (str(text[0]), ":", str(text[1]))
        host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
        if not port.isdecimal() or int(port) > 65535:
            raise KlorError(
                f"{text!r} is not an address", slug="bad-argument", help="write host:port, for example 127.0.0.1:4000"
            )
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TcpOptions:
    """How connections are kept, in seconds and bytes.

    A connection that is silent for `heartbeat` is given up; one that broke may come back within `grace`. `frame` is the
    longest frame that is accepted.
    """

    heartbeat: float = 10.0
    grace: float = 0.5
    frame: int = LIMITS.frame + AROUND


@dataclass(slots=True, eq=False)
class _Inbound:
    """A direction in which the other process sends; `peer` is its source as our seat sees it, None while there is no seat."""

    name: ChannelName
    peer: Peer | None = None
    #: The sender has left, before anybody joined here.
    dead: bool = False


@dataclass(slots=True, eq=False)
class _Way:
    """The direction `number`, in which we send to the other process; `back` is the number of the opposite one."""

    remote: _Remote
    number: int
    back: int | None = None


@dataclass(slots=True, eq=False)
class _Remote:
    """Another process."""

    identity: bytes
    #: The roles that its certificate names; None without TLS.
    certified: frozenset[Role] | None
    #: Where it is, as its latest connection shows.
    address: str = ""
    link: Link | None = None
    #: The roles that it is said to play, by those who connected to it.
    expected: set[Role] = field(default_factory=set)
    ways: dict[int, Peer] = field(default_factory=dict)
    inbound: dict[int, _Inbound] = field(default_factory=dict)
    #: The directions of `inbound` for which there is no seat yet.
    parked: dict[ChannelName, int] = field(default_factory=dict)
    left: bool = False
    expiry: asyncio.TimerHandle | None = None
    said_bye: asyncio.Future[None] | None = None
    next_way: int = 1
    #: The largest number of a direction that it has opened.
    opened: int = 0


class Tcp:
    """The carrier over TCP: listens at `listen`, and connects to the processes that play the roles of `connect`.

    `listen` may be a socket that listens already, for those who must know the port before there is a process. With
    `observers`, connections may ask to be told what happens here; under TLS, those with a certificate for the role
    `observer`. `ports` are the ports that it listens on, once it has started.
    """

    def __init__(
        self, *, listen: str | Address | socket.socket | None = None, connect: Mapping[Role, str | Address] | None = None,
        identity: Identity | None = None, options: TcpOptions | None = None, observers: bool = False,
    ) -> None:  # fmt: skip
        self.options = options or TcpOptions()
        self.listen = listen if listen is None or isinstance(listen, socket.socket) else Address.parse(listen)
        self.identity = secrets.token_bytes(16)
        self.ports: tuple[int, ...] = ()
        self.remotes: dict[bytes, _Remote] = {}
        self._targets: dict[Address, set[Role]] = {}
        for role, address in (connect or {}).items():
            self._targets.setdefault(Address.parse(address), set()).add(str(role))
        self._tls = identity
        self._observable = observers
        self._observers: Observers | None = None
        self._links: set[Link] = set()
        self._server: asyncio.Server | None = None
        self._stopping = False
        self.stopped = False
        #: What is known of roles that we connect to, for the error when they do not come.
        self._trouble: dict[Role, str] = {}
        #: What was said of connections that we made and that came to nothing.
        self._told: set[str] = set()
        self.node: Node

    # --- The carrier --------------------------------------------------------------------------------------------------

    async def start(self, node: Node, tasks: TaskGroup) -> None:
        self.node = node
        if self._observable:
            self._observers = Observers(node)
        if self.listen is not None:
            context = self._tls.server() if self._tls else None
            loop = asyncio.get_running_loop()
            try:
                if isinstance(self.listen, socket.socket):
                    self._server = await loop.create_server(lambda: Link(self, None), sock=self.listen, ssl=context)
                else:
                    self._server = await loop.create_server(
                        lambda: Link(self, None), self.listen.host, self.listen.port, ssl=context
                    )
            except OSError as error:
                unknown = isinstance(error, socket.gaierror)
                raise KlorError(
                    f"cannot listen at {self.listen}: {_reason(error)}", slug="bad-argument",
                    help="give a name or an address of this machine" if unknown
                    else "is another process listening there? Port 0 takes any that is free",
                ) from None  # fmt: skip
            self.ports = tuple(sock.getsockname()[1] for sock in self._server.sockets)
        for address, roles in self._targets.items():
            tasks.start_soon(self._dial, address, frozenset(roles))
        tasks.start_soon(self._beat)

    async def stop(self) -> None:
        if self._observers is not None and self._server is not None:
            await self._observers.wait()
        self._stopping = True
        if self._server is not None:
            self._server.close()
        loop = asyncio.get_running_loop()
        farewells = []
        for remote in self.remotes.values():
            link = remote.link
            if link is not None and self._observers is not None and link in self._observers:
                # It is told everything, but nobody waits for it.
                link.plain(BYE)
            elif not remote.left:
                remote.said_bye = loop.create_future()
                farewells.append(remote.said_bye)
                if link is not None:
                    link.plain(BYE)
        if farewells:
            await asyncio.wait(farewells, timeout=_LINGER)
        for remote in self.remotes.values():
            if remote.expiry is not None:
                remote.expiry.cancel()
        self.stopped = True
        links = list(self._links)
        for link in links:
            link.close()
        if links:
            await asyncio.wait([link.closed for link in links], timeout=_LINGER)

    def opened(self, seat: Seat) -> None:
        connected = {role for roles in self._targets.values() for role in roles}
        for peer in seat.peers.values():
            if peer.route is not None:
                continue
            if peer.role in self._trouble:
                seat.notes[peer.role] = self._trouble[peer.role]
            elif peer.role not in connected:
                seat.notes[peer.role] = (
                    f"no process with {peer.role} has connected to this one" if self.ports
                    else f"this process has no address of {peer.role}, and does not listen itself"
                )  # fmt: skip
            remote = self._remote_of(peer)
            if remote is not None:
                self._bind(remote, peer)

    def _remote_of(self, peer: Peer) -> _Remote | None:
        """The process that plays the peer: the one that says so, or the one that is said to."""
        for remote in self.remotes.values():
            if peer.name.reverse in remote.parked:
                return remote
        return next((remote for remote in self.remotes.values() if peer.role in remote.expected and remote.link), None)

    def released(self, seat: Seat) -> None:
        for peer in seat.peers.values():
            if isinstance(peer.route, _Way):
                self._tidy(peer)

    def where(self, peer: Peer) -> str:
        return peer.route.remote.address if isinstance(peer.route, _Way) else ""

    def confirm(self, peer: Peer) -> None:
        way = peer.route
        if way is not None and way.back is not None and (link := way.remote.link) is not None:
            link.count(CONSUMED, way.back, peer.incoming.told())

    def served(self, role: Role) -> None:
        """Others tell of their sessions of themselves."""

    # --- Other processes ----------------------------------------------------------------------------------------------

    async def _dial(self, address: Address, roles: frozenset[Role]) -> None:
        """Keep a connection to `address`, where `roles` are played."""
        loop = asyncio.get_running_loop()
        pause = 0.02
        told = False
        while not self._stopping:
            try:
                context = self._tls.client() if self._tls else None
                _, link = await loop.create_connection(
                    lambda: Link(self, roles), address.host, address.port, ssl=context,
                    server_hostname="" if context else None,
                )  # fmt: skip
            except OSError as error:  # also a refused certificate
                self._note(roles, f"cannot connect to {address}: {_reason(error)}")
                if not told:
                    log.info("cannot connect to %s yet: %s", address, error)
                    told = True
            else:
                told = False
                if await link.closed:
                    pause = 0.02
                elif link.instead is not None:
                    await asyncio.shield(link.instead.closed)
            await anyio.sleep(pause)
            pause = min(2 * pause, 1.0)

    def _note(self, roles: frozenset[Role], text: str) -> None:
        """Remember why `roles` may not be there, for the error."""
        self._trouble |= dict.fromkeys(roles, text)
        for seat in self.node.seats.values():
            seat.notes |= dict.fromkeys(roles - seat.unknown, text)

    async def _beat(self) -> None:
        """Give up connections that are silent, and do not be silent."""
        limit = self.options.heartbeat
        while True:
            await anyio.sleep(limit / 3)
            for link in list(self._links):
                link.silence = 0.0 if link.heard else link.silence + limit / 3
                link.heard = False
                if link.silence >= limit:
                    link.abort(f"it was silent for {limit:g} s")
                elif link.remote is not None:
                    link.plain(PING)

    def greeted(self, link: Link, body: bytes) -> None:
        """The HELLO of the other side. Raises ProtocolError when we cannot work together."""
        version = next(map(_decode_number, _decode_version(body)), None)
        if version != VERSION:
            raise ProtocolError(f"it speaks version {version} of the protocol, not {VERSION}")
        _, identity = _decode_hello(body)
        if identity == self.identity:
            raise ProtocolError("this process is connected to itself")
        certified = certified_roles(link.certificate) if self._tls else None
        if link.roles is not None and certified is not None and not link.roles <= certified:
            raise ProtocolError(f"its certificate is not for {', '.join(sorted(link.roles - certified))}")
        remote = self.remotes.get(identity)
        if remote is None:
            remote = self.remotes[identity] = _Remote(identity, certified)
        elif remote.certified != certified:
            raise ProtocolError("it claims the identity of another process")
        elif remote.link is not None and not self._prefers(link, remote.link, identity):
            # Both connected to each other. This connection goes; whoever made it need not try again while the other lasts.
            remote.expected |= link.roles or set()
            link.instead = remote.link
            link.close()
            return
        before, remote.link = remote.link, link
        if before is not None:
            before.abort("there is a newer connection")
            self._pause(remote)
        link.remote = remote
        remote.address = link.address
        if link.roles is not None:
            remote.expected |= link.roles
            self._note(link.roles, f"{link} stands, but it has not joined this session")
        if remote.expiry is not None:
            remote.expiry.cancel()
            remote.expiry = None
        log.info("%s is made", link)
        link.body(RESUME, _encode(self._positions(remote)))
        for seat in list(self.node.seats.values()):
            for peer in seat.peers.values():
                if peer.route is None and peer.role in remote.expected:
                    self._bind(remote, peer)
        if remote.said_bye is not None:
            link.plain(BYE)

    def _prefers(self, link: Link, before: Link, identity: bytes) -> bool:
        """Of two connections between two processes both keep the later one, or the one that the smaller identity made."""
        if (link.roles is None) == (before.roles is None):
            return True
        return (link.roles is not None) == (self.identity < identity)

    def _positions(self, remote: _Remote) -> list[tuple[str, str, str, int, int]]:
        """How far this process has received what `remote` sent."""
        return [
            (*inbound.name, inbound.peer.incoming.expected, inbound.peer.incoming.told())
            for inbound in remote.inbound.values()
            if inbound.peer is not None
        ]

    def resumed(self, link: Link, remote: _Remote, body: bytes) -> None:
        """The other side has said how far it has received: send it what it lacks."""
        reached = {ChannelName(*name): (received, consumed) for *name, received, consumed in _decode_positions(body)}
        for number, peer in list(remote.ways.items()):
            if peer.post is not _keep:
                continue  # it was opened after the connection was made
            received, consumed = reached.get(peer.name, (0, 0))
            peer.seat.consumed(peer, consumed)
            self._introduce(link, number, peer, received)
            self._tidy(peer)

    def _bind(self, remote: _Remote, peer: Peer) -> None:
        """Reach a peer through `remote` from now on."""
        number, remote.next_way = remote.next_way, remote.next_way + 1
        back = remote.parked.pop(peer.name.reverse, None)
        peer.route = _Way(remote, number, back)
        remote.ways[number] = peer
        link = remote.link
        if back is not None:
            remote.inbound[back].peer = peer
            if link is not None:  # what came before there was a seat was dropped
                link.count(RESEND, back, 0)
        if link is not None:
            self._introduce(link, number, peer, 0)

    def _introduce(self, link: Link, number: int, peer: Peer, received: int) -> None:
        peer.post = partial(link.frame, number)
        peer.crowded = link.full
        link.directed(OPEN, number, _encode(tuple(peer.name)))
        for frame in peer.outgoing.unconfirmed(received):
            link.frame(number, frame)

    def _tidy(self, peer: Peer) -> None:
        """Forget the directions of a peer that are not needed any more."""
        way = peer.route
        if peer.outgoing.settled:
            way.remote.ways.pop(way.number, None)
        if peer.left and peer.seat.closed and way.back is not None:
            way.remote.inbound.pop(way.back, None)

    def broke(self, link: Link, reason: str) -> None:
        """A connection has ended."""
        self._links.discard(link)
        if self._observers is not None:
            self._observers.remove(link)
        remote = link.remote
        if remote is None or remote.link is not link:
            return
        remote.link = None
        self._pause(remote)
        grace = self.options.grace
        log.info("%s has ended: %s", link, reason)
        if remote.left or remote.said_bye is not None:
            self._lose(remote, reason)
            return
        # What the operating system calls it differs from process to process; the verdict should not.
        if not link.given_up:
            reason = "the connection broke" + (f", and did not come back within {grace:g} s" if grace > 0 else "")
        if grace <= 0:
            self._lose(remote, reason)
        else:
            remote.expiry = asyncio.get_running_loop().call_later(grace, self._lose, remote, reason)

    def _pause(self, remote: _Remote) -> None:
        """There is no way to the other process at the moment."""
        for peer in remote.ways.values():
            peer.post = _keep
            peer.crowded = None

    def _lose(self, remote: _Remote, reason: str, slug: str = "peer-lost") -> None:
        self.remotes.pop(remote.identity, None)
        remote.link = None
        if remote.said_bye is not None and not remote.said_bye.done():
            remote.said_bye.set_result(None)
        peers = list(remote.ways.values())
        remote.ways.clear()
        for peer in peers:
            peer.post = _keep
            peer.crowded = None
            peer.seat.lost(peer, reason, slug)
        self.node.unreachable(remote.address)

    def misbehaved(self, link: Link, error: Exception) -> None:
        """A connection on which came what the protocol does not allow. Its process is not listened to any more."""
        remote, text = link.remote, str(error)
        if link.roles is not None and remote is None:
            # We try again, as the process there may be replaced by a better one; once is enough to say so.
            self._note(link.roles, f"{link}: {text}")
            if text in self._told:
                return
            self._told.add(text)
        log.warning("%s is given up: %s", link, text)
        if remote is not None and remote.link is link:
            self._lose(remote, f"it sent what is not allowed: {text}", "protocol-error")

    # --- Frames -------------------------------------------------------------------------------------------------------

    def observed(self, link: Link, remote: _Remote, body: bytes) -> None:
        """Somebody asks to observe."""
        if self._observers is None:
            refusal = ("bad-argument", "this process does not let itself be observed", None)
        elif remote.certified is not None and OBSERVER not in remote.certified:
            refusal = ("not-certified", f"the certificate is not for the role {OBSERVER}", None)
        else:
            self._observers.add(link, body)
            return
        log.warning("%s is refused: %s", link, refusal[1])
        link.directed(REFUSE, 0, _encode(refusal))

    def directed(self, link: Link, remote: _Remote, kind: int, number: int, body: bytes) -> None:
        """A frame about a direction. Raises ProtocolError."""
        if kind == OPEN:
            self._open(link, remote, number, ChannelName(*_decode_name(body)))
        elif kind == REFUSE:
            peer = remote.ways.get(number)
            slug, reason, verdict = _decode_refusal(body)
            if peer is not None and not (peer.seat.closed or peer.left):
                log.info("refused: %s", reason)
                peer.seat.refused(peer, slug, reason, verdict and Verdict(*verdict))
        elif kind in (CONSUMED, RESEND) and len(body) == 8:
            peer = remote.ways.get(number)
            count = int.from_bytes(body, "big")
            if peer is None:
                return
            if kind == RESEND:
                for frame in list(peer.outgoing.unconfirmed(count)):
                    link.frame(number, frame)
                return
            peer.seat.consumed(peer, count)
            self._tidy(peer)
        else:
            raise ProtocolError(f"a frame of the unknown kind {kind}")

    def _open(self, link: Link, remote: _Remote, number: int, name: ChannelName) -> None:
        known = remote.inbound.get(number)
        if known is not None:
            if known.name != name:
                raise ProtocolError(f"direction {number} has two meanings")
            return
        inbound = remote.inbound[number] = _Inbound(name)
        remote.opened = max(remote.opened, number)
        if remote.certified is not None and name.source not in remote.certified:
            log.warning("%s is refused: its certificate is not for the role %s", link, name.source)
            self._refuse(link, remote, number, "not-certified", f"its certificate is not for the role {name.source}")
        elif (peer := self.node.peer(name)) is not None:
            self._claim(link, remote, number, inbound, peer)
        elif self.node.over(name):
            self._refuse(link, remote, number, *self.node.ended(name))
        elif not self.node.awaits(name):
            text = f"the process of {name.target} plays other sessions, but not {name.session!r}"
            self._refuse(link, remote, number, "unknown-session", text)
        else:
            self._park(remote, name, number)

    def _park(self, remote: _Remote, name: ChannelName, number: int) -> None:
        """Remember a direction until somebody joins here. Those whose sender has left again make room when it is scarce."""
        if len(remote.parked) >= _PARKED:
            other = next((other for other, at in remote.parked.items() if remote.inbound[at].dead), None)
            if other is None:
                raise ProtocolError(f"it began more than {_PARKED} sessions that nobody joined")
            del remote.inbound[remote.parked.pop(other)]
        remote.parked[name] = number

    def _claim(self, link: Link, remote: _Remote, number: int, inbound: _Inbound, peer: Peer) -> None:
        """The other process says that it plays `peer`."""
        way = peer.route
        if way is None:
            remote.parked[inbound.name] = number
            self._bind(remote, peer)
        elif isinstance(way, _Way) and way.remote is remote:
            inbound.peer = peer
            way.back = number
            self.confirm(peer)
        else:
            text = f"{inbound.name.source} of session {inbound.name.session!r} is played by another process"
            log.warning("%s is refused: %s", link, text)
            self._refuse(link, remote, number, "role-taken", text)

    def _refuse(
        self, link: Link, remote: _Remote, number: int, slug: str, reason: str, verdict: Verdict | None = None
    ) -> None:
        """Nobody will take what comes in a direction: it is forgotten."""
        remote.inbound.pop(number, None)
        link.directed(REFUSE, number, _encode((slug, reason, verdict and as_tuple(verdict))))

    def numbered(self, link: Link, remote: _Remote, number: int, frame: Frame) -> None:
        """A frame of a direction. Raises ProtocolError."""
        inbound = remote.inbound.get(number)
        if inbound is None:
            if number > remote.opened:
                raise ProtocolError(f"direction {number} was never opened")
            # The session is over here, or never was: the sender need not keep it.
            link.count(CONSUMED, number, frame.number + 1)
        elif inbound.peer is not None:
            peer = inbound.peer
            peer.seat.arrived(peer, frame)
            if frame[0] == LEAVE:
                self._tidy(peer)
        elif frame.kind == LEAVE:
            inbound.dead = True

    def said_bye(self, link: Link, remote: _Remote, kind: int) -> None:
        """The other process ends in good order, or has heard that this one does."""
        if kind == BYE:
            remote.left = True
            link.plain(BYE_TOO)
        if remote.said_bye is not None and not remote.said_bye.done():
            remote.said_bye.set_result(None)

def _reason(error: OSError) -> str:
    """What the operating system, or TLS, says; asyncio adds the address to it."""
    if isinstance(error, socket.gaierror):  # its numbers are not those of other errors
        return error.strerror or str(error)
    return str(error) if isinstance(error, ssl.SSLError) or not error.errno else os.strerror(error.errno)


def _keep(frame: Frame) -> None:
    """There is no way to a peer at the moment."""


class Link(asyncio.BufferedProtocol):
    """One connection. `roles` are those that the other side is said to play, None when it is the one that connected."""

    def __init__(self, tcp: Tcp, roles: frozenset[Role] | None) -> None:
        self.tcp = tcp
        self.roles = roles
        self.remote: _Remote | None = None
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
        if self.tcp.stopped:  # it was on its way when this process ended
            self._transport.abort()
            return
        self.tcp._links.add(self)
        address = transport.get_extra_info("peername")
        if isinstance(address, tuple):
            self.address = str(Address(address[0], address[1]))
            self.name = f"the connection with {self.address}"
        if self.roles is not None:
            self.tcp._note(self.roles, f"{self.name} stands, but the other side says nothing: is it klorpy?")
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.set_write_buffer_limits(1 << 20)
        self.body(HELLO, _encode((VERSION, self.tcp.identity)))

    def connection_lost(self, error: Exception | None) -> None:
        self.resume_writing()
        if not self.closed.done():
            self.closed.set_result(self.remote is not None)
        if self.remote is None and self.roles is not None and self.instead is None and not self.given_up:
            why = error or "does one side use TLS, and the other not?"
            self.tcp._note(self.roles, f"{self} ended before the other side had introduced itself: {why}")
        self.tcp.broke(self, self._reason if error is None else f"{self._reason} ({error})")

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
        node = self.tcp.node
        woken: list[Waiter] = []
        node.woken = woken
        try:
            self._read()
        except (ProtocolError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.tcp.misbehaved(self, error)
            self.abort(f"{error}")
        finally:
            node.woken = None
        for waiter in woken:
            waiter.wake()

    def _grow(self) -> None:
        grown = bytearray(min(2 * len(self._buffer), self.tcp.options.frame + 4))
        grown[: self._end] = self._buffer
        self._buffer = grown
        self._view = memoryview(grown)

    # --- Reading ------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Take the frames that are whole. Raises ProtocolError for what is none."""
        buffer, view, end = self._buffer, self._view, self._end
        limit = self.tcp.options.frame
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
                frame = Frame(kind, number, stamp, bytes(view[start:body]), bytes(view[body:following]))
                inbound = remote.inbound.get(direction)
                if kind == DATA and inbound is not None and inbound.peer is not None:
                    inbound.peer.seat.arrived(inbound.peer, frame)
                else:
                    self.tcp.numbered(self, remote, direction, frame)
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
            self.tcp.greeted(self, body)
        elif remote is None:
            raise ProtocolError("it did not introduce itself")
        elif kind == RESUME:
            self.tcp.resumed(self, remote, body)
        elif kind in (BYE, BYE_TOO):
            self.tcp.said_bye(self, remote, kind)
        elif kind == OBSERVE:
            self.tcp.observed(self, remote, body)
        elif kind != PING:
            if len(body) < 4:
                raise ProtocolError("a frame is too short")
            self.tcp.directed(self, remote, kind, int.from_bytes(body[:4], "big"), body[4:])

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

    def abort(self, reason: str) -> None:
        """End the connection at once."""
        self._reason = reason
        self.given_up = True
        self._transport.abort()
