"""Sessions over TCP: connections between processes, each of which carries all sessions of the two.

Of each two processes one listens and the other connects; either may come first. A connection begins with a HELLO of each
side: the version of the protocol and an identity of the process. Then each side says how far it has received what the
other sent (RESUME), names the directions of roles that it sends in (OPEN) and sends numbered frames in them. When a
connection breaks, it is made again within the grace period, and both sides send what the other lacks; after it, the
roles of the other process are lost. They are lost at once when it sends what the protocol does not allow.

What frames there are, and how they are written, is in tcp_link.py.

With TLS both sides show a certificate, and a process may speak only for the roles that its certificate names.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, TypeAlias

import anyio
import msgspec
from anyio.abc import TaskGroup

from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.core.verdicts import Verdict
from klorpy.runtime.limits import LIMITS
from klorpy.runtime.sessions.channel import LEAVE, Frame, ProtocolError
from klorpy.runtime.sessions.node import Node
from klorpy.runtime.sessions.peer import ChannelName, Peer, keep
from klorpy.runtime.sessions.seat import Seat, Told, as_tuple
from klorpy.runtime.transports.address import Address
from klorpy.runtime.transports.door import Door
from klorpy.runtime.transports.observing import OBSERVER, Observers
from klorpy.runtime.transports.tcp_link import (
    BYE,
    BYE_TOO,
    CONSUMED,
    OPEN,
    PING,
    REFUSE,
    RESEND,
    RESUME,
    VERSION,
    Inbound,
    Link,
    Remote,
    Way,
    silent,
)
from klorpy.runtime.transports.tls import Identity, certified_roles, handshake_failure

log: Final = logging.getLogger("klorpy.tcp")

#: Bytes of a frame around a value, at most.
AROUND: Final = 1024

#: Directions of sessions that nobody here has joined yet, of one process.
_PARKED: Final = 10_000
#: Seconds that the end waits for the other side to have everything.
_LINGER: Final = 5.0

_encode: Final = msgspec.msgpack.Encoder().encode
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
_decode_hello: Final = msgspec.msgpack.Decoder(tuple[int, Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]]).decode
_decode_version: Final = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_number: Final = msgspec.msgpack.Decoder(int).decode
_decode_seconds: Final = msgspec.msgpack.Decoder(float).decode
_decode_positions: Final = msgspec.msgpack.Decoder(list[tuple[str, str, str, _Count, _Count]]).decode
_decode_name: Final = msgspec.msgpack.Decoder(tuple[str, str, str]).decode
_decode_refusal: Final = msgspec.msgpack.Decoder(tuple[str, str, Told | None]).decode


@dataclass(frozen=True, slots=True)
class TcpOptions:
    """How connections are kept, in seconds and bytes.

    A connection that is silent for `heartbeat` is given up; one that broke may come back within `grace`. `frame` is the
    longest frame that is accepted.
    """

    heartbeat: float = 10.0
    grace: float = 0.5
    frame: int = LIMITS.frame + AROUND


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
        self.remotes: dict[bytes, Remote] = {}
        self._targets: dict[Address, set[Role]] = {}
        for role, address in (connect or {}).items():
            self._targets.setdefault(Address.parse(address), set()).add(str(role))
        self._tls = identity
        self._observable = observers
        self._observers: Observers | None = None
        self._links: set[Link] = set()
        self._server: asyncio.Server | None = None
        self._door: Door | None = None
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
        context = self._tls.client() if self._tls else None
        if self._observable:
            self._observers = Observers(node)
        if self.listen is not None:
            self._door = door = Door(lambda: Link(self, None), self._tls.server() if self._tls else None, tasks)
            loop = asyncio.get_running_loop()
            try:
                if isinstance(self.listen, socket.socket):
                    self._server = await loop.create_server(door, sock=self.listen)
                else:
                    self._server = await loop.create_server(door, self.listen.host, self.listen.port)
            except OSError as error:
                unknown = isinstance(error, socket.gaierror)
                raise KlorError(
                    f"cannot listen at {self.listen}: {_reason(error)}", slug="bad-argument",
                    help="give a name or an address of this machine" if unknown
                    else "is another process listening there? Port 0 takes any that is free",
                ) from None  # fmt: skip
            self.ports = tuple(sock.getsockname()[1] for sock in self._server.sockets)
        for address, roles in self._targets.items():
            tasks.start_soon(self._dial, address, frozenset(roles), context)
        tasks.start_soon(self._beat)

    async def stop(self) -> None:
        if self._observers is not None and self._server is not None:
            await self._observers.wait()
        self._stopping = True
        loop = asyncio.get_running_loop()
        farewells = []
        for remote in self.remotes.values():
            link = remote.link
            if link is not None and self._observers is not None and link in self._observers:
                # It is told everything, but nobody waits for it.
                link.plain(BYE)
            elif not remote.left and (link is not None or remote.lacks):
                # A connection that is broken may come back meanwhile.
                remote.said_bye = loop.create_future()
                farewells.append(remote.said_bye)
                if link is not None:
                    link.plain(BYE)
        if farewells:
            await asyncio.wait(farewells, timeout=_LINGER)
        self.stopped = True
        if self._server is not None:
            self._server.close()
        for remote in list(self.remotes.values()):
            if remote.link is None:
                self._lose(remote, "the connection broke")
            elif remote.lacks and not remote.left:
                log.warning("%s: it is not known whether the last messages have arrived; nothing was heard for %g s", remote.link, _LINGER)
            if remote.expiry is not None:
                remote.expiry.cancel()
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

    def _remote_of(self, peer: Peer) -> Remote | None:
        """The process that plays the peer: the one that says so, or the one that is said to."""
        for remote in self.remotes.values():
            if peer.name.reverse in remote.parked:
                return remote
        return next((remote for remote in self.remotes.values() if peer.role in remote.expected and remote.link), None)

    def released(self, seat: Seat) -> None:
        for peer in seat.peers.values():
            if isinstance(peer.route, Way):
                self._tidy(peer)

    def where(self, peer: Peer) -> str:
        return peer.route.remote.address if isinstance(peer.route, Way) else ""

    def confirm(self, peer: Peer) -> None:
        way = peer.route
        if way is not None and way.back is not None and (link := way.remote.link) is not None:
            link.count(CONSUMED, way.back, peer.incoming.told())

    def served(self, role: Role) -> None:
        """Others tell of their sessions of themselves."""

    @property
    def turned_away(self) -> tuple[str, ...]:
        """Who was refused, and may be one of those that are waited for."""
        return self._door.turned_away if self._door is not None else ()


    # --- Other processes ----------------------------------------------------------------------------------------------

    async def _dial(self, address: Address, roles: frozenset[Role], context: ssl.SSLContext | None) -> None:
        """Keep a connection to `address`, where `roles` are played."""
        loop = asyncio.get_running_loop()
        pause = 0.02
        told = False
        while not self._stopping or any(remote.lacks and roles & remote.expected for remote in self.remotes.values()):
            try:
                _, link = await loop.create_connection(
                    lambda: Link(self, roles), address.host, address.port, ssl=context,
                    server_hostname="" if context else None,
                )  # fmt: skip
            except OSError as error:  # also a refused certificate
                self.note(roles, f"cannot connect to {address}: {_reason(error)}")
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

    def note(self, roles: frozenset[Role], text: str) -> None:
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
                    link.give_up(limit)
                elif link.remote is not None:
                    link.plain(PING)

    @property
    def longest(self) -> int:
        return self.options.frame

    def made(self, link: Link) -> None:
        self._links.add(link)

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
            remote = self.remotes[identity] = Remote(identity, certified)
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
        remote.address, remote.doubt = link.address, ""
        if link.roles is not None:
            remote.expected |= link.roles
            self.note(link.roles, f"{link} stands, but it has not joined this session")
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

    def _positions(self, remote: Remote) -> list[tuple[str, str, str, int, int]]:
        """How far this process has received what `remote` sent."""
        return [
            (*inbound.name, inbound.peer.incoming.expected, inbound.peer.incoming.told())
            for inbound in remote.inbound.values()
            if inbound.peer is not None
        ]

    def resumed(self, link: Link, remote: Remote, body: bytes) -> None:
        """The other side has said how far it has received: send it what it lacks."""
        reached = {ChannelName(*name): (received, consumed) for *name, received, consumed in _decode_positions(body)}
        for number, peer in list(remote.ways.items()):
            if not peer.away:
                continue  # it was opened after the connection was made
            received, consumed = reached.get(peer.name, (0, 0))
            peer.seat.consumed(peer, consumed)
            self._introduce(link, number, peer, received)
            self._tidy(peer)

    def _bind(self, remote: Remote, peer: Peer) -> None:
        """Reach a peer through `remote` from now on."""
        number, remote.next_way = remote.next_way, remote.next_way + 1
        back = remote.parked.pop(peer.name.reverse, None)
        peer.route = Way(remote, number, back)
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
        if remote.left or (remote.said_bye is not None and not remote.lacks):
            self._lose(remote, reason)
            return
        # What the operating system calls it differs from process to process; the verdict should not.
        if remote.doubt:
            reason = remote.doubt
        elif not link.given_up:
            reason = "the connection broke" + (f", and did not come back within {grace:g} s" if grace > 0 else "")
        if grace <= 0:
            self._lose(remote, reason)
        else:
            remote.expiry = asyncio.get_running_loop().call_later(grace, self._lose, remote, reason)

    def _pause(self, remote: Remote) -> None:
        """There is no way to the other process at the moment."""
        for peer in remote.ways.values():
            peer.post = keep
            peer.crowded = None

    def _lose(self, remote: Remote, reason: str, slug: str = "peer-lost") -> None:
        self.remotes.pop(remote.identity, None)
        remote.link = None
        if remote.said_bye is not None and not remote.said_bye.done():
            remote.said_bye.set_result(None)
        peers = list(remote.ways.values())
        remote.ways.clear()
        for peer in peers:
            peer.post = keep
            peer.crowded = None
            peer.seat.lost(peer, reason, slug, here=bool(remote.doubt))
        self.node.unreachable(remote.address)

    def misbehaved(self, link: Link, error: Exception) -> None:
        """A connection on which came what the protocol does not allow. Its process is not listened to any more."""
        remote, text = link.remote, str(error)
        if link.roles is not None and remote is None:
            # We try again, as the process there may be replaced by a better one; once is enough to say so.
            self.note(link.roles, f"{link}: {text}")
            if text in self._told:
                return
            self._told.add(text)
        if remote is None and self._door is not None and link.roles is None:
            self._door.turn_away(link.address.rpartition(":")[0], text)
            return
        log.warning("%s is given up: %s", link, text)
        if remote is not None and remote.link is link:
            self._lose(remote, f"it sent what is not allowed: {text}", "protocol-error")

    # --- Frames -------------------------------------------------------------------------------------------------------

    def observed(self, link: Link, remote: Remote, body: bytes) -> None:
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

    def directed(self, link: Link, remote: Remote, kind: int, number: int, body: bytes) -> None:
        """A frame about a direction. Raises ProtocolError."""
        if kind == OPEN:
            self._open(link, remote, number, ChannelName(*_decode_name(body)))
        elif kind == REFUSE:
            peer = remote.ways.get(number)
            slug, reason, verdict = _decode_refusal(body)
            if peer is not None:
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

    def _open(self, link: Link, remote: Remote, number: int, name: ChannelName) -> None:
        known = remote.inbound.get(number)
        if known is not None:
            if known.name != name:
                raise ProtocolError(f"direction {number} has two meanings")
            return
        inbound = remote.inbound[number] = Inbound(name)
        remote.opened = max(remote.opened, number)
        if remote.certified is not None and name.source not in remote.certified:
            text = f"its certificate is not for the role {name.source}"
            log.warning("%s is refused: %s", link, text)
            if self._door is not None and link.roles is None:
                self._door.turn_away(link.address, text, logged=True)
            self._refuse(link, remote, number, "not-certified", text)
        elif (peer := self.node.peer(name)) is not None:
            self._claim(link, remote, number, inbound, peer)
        elif (refusal := self.node.refusal(name)) is not None:
            if refusal[0] == "different-choreography":
                log.warning("%s is refused: %s", link, refusal[1])
            self._refuse(link, remote, number, *refusal)
        else:
            self._park(remote, name, number)

    def _park(self, remote: Remote, name: ChannelName, number: int) -> None:
        """Remember a direction until somebody joins here. Those whose sender has left again make room when it is scarce."""
        if len(remote.parked) >= _PARKED:
            other = next((other for other, at in remote.parked.items() if remote.inbound[at].dead), None)
            if other is None:
                raise ProtocolError(f"it began more than {_PARKED} sessions that nobody joined")
            del remote.inbound[remote.parked.pop(other)]
        remote.parked[name] = number

    def _claim(self, link: Link, remote: Remote, number: int, inbound: Inbound, peer: Peer) -> None:
        """The other process says that it plays `peer`."""
        way = peer.route
        if way is None:
            remote.parked[inbound.name] = number
            self._bind(remote, peer)
        elif isinstance(way, Way) and way.remote is remote:
            inbound.peer = peer
            way.back = number
            self.confirm(peer)
        else:
            text = f"{inbound.name.source} of session {inbound.name.session!r} is played by another process"
            log.warning("%s is refused: %s", link, text)
            self._refuse(link, remote, number, "role-taken", text)

    def _refuse(
        self, link: Link, remote: Remote, number: int, slug: str, reason: str, verdict: Verdict | None = None
    ) -> None:
        """Nobody will take what comes in a direction: it is forgotten."""
        remote.inbound.pop(number, None)
        link.directed(REFUSE, number, _encode((slug, reason, verdict and as_tuple(verdict))))

    def numbered(self, link: Link, remote: Remote, number: int, frame: Frame) -> None:
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

    def said_bye(self, link: Link, remote: Remote, kind: int) -> None:
        """The other process ends in good order, or has heard that this one does."""
        if kind == BYE:
            remote.left = True
            link.plain(BYE_TOO)
        else:  # it has all that was sent before
            for peer in list(remote.ways.values()):
                peer.seat.consumed(peer, peer.outgoing.next)
                self._tidy(peer)
        if remote.said_bye is not None and not remote.said_bye.done():
            remote.said_bye.set_result(None)

    def doubted(self, remote: Remote, body: bytes) -> None:
        """The other side has heard nothing of this process for too long, and gives up the connection."""
        remote.doubt = silent(_decode_seconds(body))


def _reason(error: OSError) -> str:
    """What the operating system, or TLS, says; asyncio adds the address to it."""
    if isinstance(error, ssl.SSLError):
        return handshake_failure(error)
    if isinstance(error, socket.gaierror):  # its numbers are not those of other errors
        return error.strerror or str(error)
    return os.strerror(error.errno) if error.errno else str(error)
