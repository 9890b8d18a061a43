"""One role's end of one session: a transport for `play_role`, whatever carries the frames.

    send, receive, close          the three verbs of a transport
    assembled(deadline)           the rendezvous: until every other role has joined
    arrived, lost, refused        what the carrier reports

A session has one verdict. The first failure that a seat learns of, its own or another's, ends every operation of its
role at once; what was sent before an orderly departure is received first. A seat never does input or output: it hands
numbered frames to its `Post`, and what is lost or repeated below is made good by the two ends of each channel.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from klorpy.core.choreography import Site
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.types import Role
from klorpy.core.values import show
from klorpy.core.verdicts import RolesMissing, SessionFailed, Verdict, session_failed
from klorpy.runtime.limits import WireError
from klorpy.runtime.sessions.channel import DATA, JOIN, LEAVE, Frame, Incoming, Outgoing, ProtocolError, Window
from klorpy.runtime.sessions.fingerprint import Fingerprint, differences
from klorpy.runtime.sessions.waiting import Waiter
from klorpy.runtime.wire import decode, encode

log: Final = logging.getLogger("klorpy.session")

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_mark: Final = msgspec.msgpack.Decoder(tuple[str, str, dict[str, bytes]]).decode
_decode_leave: Final = msgspec.msgpack.Decoder(tuple[str, str, int | None, str, str] | None).decode


class ChannelName(NamedTuple):
    """A direction of two roles of a session."""

    session: str
    source: Role
    target: Role

    @property
    def reverse(self) -> ChannelName:
        return ChannelName(self.session, self.target, self.source)


class Post(Protocol):
    """What carries the frames of seats; the frames themselves go to `Peer.post`."""

    def confirm(self, peer: Peer) -> None:
        """Tell the peer how much of what it sent was consumed."""

    def wake(self, waiter: Waiter) -> None:
        """Wake the task of a role for which a message has arrived."""

    def closed(self, seat: Seat) -> None:
        """The seat has sent its last frame."""


@dataclass(frozen=True, slots=True)
class Record:
    """Something that happened at a role, for whoever observes the session.

    `kind` is one of joined, sent, received and left; `stamp` the role's Lamport clock; `peer` the other role; `number`
    counts the messages of the channel; `text` is the value as it is shown, or why the role left.
    """

    session: str
    role: Role
    stamp: int
    kind: str
    peer: Role = ""
    number: int = 0
    key: bytes = b""
    text: str = ""


class Peer:
    """Another role, as a seat sees it."""

    __slots__ = (
        "crowded", "incoming", "joined", "left", "messages", "name", "outgoing", "post", "role", "room", "route", "seat",
        "waiter",
    )  # fmt: skip

    def __init__(self, seat: Seat, role: Role, window: Window) -> None:
        self.seat = seat
        self.role = role
        #: The direction in which the seat sends.
        self.name = ChannelName(seat.session, seat.role, role)
        self.outgoing = Outgoing(window)
        self.incoming = Incoming(window)
        #: What arrived and was not received yet.
        self.messages: deque[Frame] = deque()
        self.joined = False
        self.left = False
        #: Who waits for a message, and who for room in the window.
        self.waiter: Waiter | None = None
        self.room: asyncio.Future[None] | None = None
        #: The carrier's own: how to reach the peer; and what sends a frame there, at least once. While there is no way, the
        #: frames are kept, and sent when there is one.
        self.route: Any = None
        self.post: Callable[[Frame], object] = _keep
        #: What senders wait for while too much is on its way to the peer's process.
        self.crowded: asyncio.Future[None] | None = None


class Seat:
    """The end of `role` in a session of the choreography that `mark` identifies. Made by a node's `join`.

    `keys` names the sites of the choreography alike in every process.
    """

    def __init__(
        self, session: str, role: Role, roles: Iterable[Role], mark: Fingerprint, keys: Mapping[Site, bytes], post: Post,
        window: Window | None = None,
    ) -> None:  # fmt: skip
        self.session = session
        self.role = role
        self.mark = mark
        self.verdict: Verdict | None = None
        self.closed = False
        #: Messages sent and received.
        self.step = 0
        #: Lamport's clock (1978): larger than the stamp of everything that happened before.
        self.clock = 0
        self.observer: Callable[[Record], None] | None = None
        #: What is known about roles that are not there, for the error.
        self.notes: list[str] = []
        self.peers = {other: Peer(self, other, window or Window()) for other in roles if other != role}
        self._keys = keys
        self._post = post
        self._watchers: list[Callable[[], object]] = []
        self._loop = asyncio.get_running_loop()
        self._assembled: asyncio.Future[None] | None = None
        #: Where the role waits.
        self._at: tuple[Peer, Site] | None = None

    def join(self) -> None:
        """Tell the others that the role is played here."""
        body = _encode((self.mark.name, self.mark.signature, dict(self.mark.parts)))
        for peer in self.peers.values():
            self._push(peer, JOIN, body)
        self._observe("joined")

    async def assembled(self, deadline: float | None) -> None:
        """Wait until all roles have joined, at most `deadline` seconds. Raises RolesMissing, or SessionFailed."""
        while self.verdict is None and self.missing:
            self._assembled = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(deadline):
                    await self._assembled
            except TimeoutError:
                break
            finally:
                self._assembled = None
        if self.verdict is not None:
            raise self.error()
        if missing := self.missing:
            raise self._missing(missing, deadline)

    @property
    def missing(self) -> tuple[Role, ...]:
        """The roles that have not joined yet."""
        return tuple(peer.role for peer in self.peers.values() if not peer.joined)

    # --- The three verbs ----------------------------------------------------------------------------------------------

    async def send(self, target: Role, value: Any, site: Site) -> None:
        peer = self.peers.get(target) or self._stranger(target, site)
        if self.verdict is not None or self.closed or peer.left:
            raise self._unable(peer, site)
        try:
            body = encode(value)
        except KlorError as error:
            raise _at_site(error, site) from None
        if not peer.outgoing.open:
            await self._room(peer, site)
        if peer.crowded is not None:
            await peer.crowded
        self.step += 1
        self.clock += 1
        peer.post(peer.outgoing.push(DATA, self.clock, self._keys.get(site, b""), body))
        if self.observer is not None:
            self._observe("sent", peer, site, value)

    async def receive(self, source: Role, site: Site) -> Any:
        peer = self.peers.get(source) or self._stranger(source, site)
        if self.verdict is not None or not peer.messages:
            await self._message(peer, site)
        frame = peer.messages.popleft()
        if peer.incoming.consume():
            self._post.confirm(peer)
        self.step += 1
        self.clock = max(self.clock, frame.stamp) + 1
        if frame.key != self._keys.get(site, b""):
            raise KlorError(self._mismatch(frame, source, site))
        try:
            value = decode(frame.body)
        except WireError as error:
            raise _at_site(error, site) from None
        if self.observer is not None:
            self._observe("received", peer, site, value)
        return value

    async def close(self) -> None:
        """Leave in good order: the others still receive what was sent."""
        if not self.closed and self.verdict is None:
            self._leave(None)

    def fail(self, error: BaseException, place: str = "") -> None:
        """Leave because the role failed, at `place` of the text: the session has failed, for everybody."""
        if not self.closed:
            self._fail(Verdict.of(self.role, error, self.step, place))

    def watch(self, cancel: Callable[[], object]) -> None:
        """Call `cancel` when the session fails while its role does something else than to wait for a message."""
        self._watchers.append(cancel)

    def error(self) -> SessionFailed:
        """The error of a session that has failed, for its role."""
        assert self.verdict is not None
        peer, site = self._at or (None, None)
        return session_failed(self.session, self.mark.name, self.verdict, self.role, peer.role if peer else None, site)

    # --- Waiting ------------------------------------------------------------------------------------------------------

    async def _message(self, peer: Peer, site: Site) -> None:
        self._at = (peer, site)
        while True:
            if self.verdict is not None or self.closed:
                raise self._unable(peer, site)
            if peer.messages:
                break
            if peer.left:
                raise self._unable(peer, site)
            peer.waiter = Waiter(self._loop)
            try:
                await peer.waiter
            finally:
                peer.waiter = None
        self._at = None

    async def _room(self, peer: Peer, site: Site) -> None:
        self._at = (peer, site)
        while not peer.outgoing.open:
            peer.room = asyncio.get_running_loop().create_future()
            try:
                await peer.room
            finally:
                peer.room = None
            if self.verdict is not None or peer.left:
                raise self._unable(peer, site)
        self._at = None

    # --- What the carrier reports -------------------------------------------------------------------------------------

    def arrived(self, peer: Peer, frame: Frame) -> None:
        """A frame of the peer arrived, perhaps again, perhaps too early."""
        incoming = peer.incoming
        if frame[0] == DATA and frame[1] == incoming.expected and peer.joined and not (self.closed or incoming.early):
            # What nearly always happens, without a detour.
            incoming.expected += 1
            peer.messages.append(frame)
            if peer.waiter is not None:
                self._post.wake(peer.waiter)
            return
        try:
            for ready in peer.incoming.arrived(frame):
                self._take(peer, ready)
        except (ProtocolError, WireError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("session %s: %s sent to %s what is not allowed: %s", self.session, peer.role, self.role, error)
            self._fail(Verdict(peer.role, f"it sent {self.role} what is not allowed: {error}", slug="protocol-error"))

    def consumed(self, peer: Peer, count: int) -> None:
        """The peer has consumed the first `count` frames."""
        try:
            peer.outgoing.consumed(count)
        except ProtocolError as error:
            self._fail(Verdict(peer.role, str(error), slug="protocol-error"))
        _wake(peer.room)

    def lost(self, peer: Peer, reason: str) -> None:
        """There is no way to the peer any more, and there will be none."""
        if not peer.left:
            self._fail(Verdict(peer.role, reason, slug="peer-lost"))

    def refused(self, peer: Peer, slug: str, reason: str) -> None:
        """The peer's process does not let this role in."""
        if slug == "unknown-session":
            self.notes.append(reason)
        else:
            self._fail(Verdict(self.role, reason, slug=slug))

    def _take(self, peer: Peer, frame: Frame) -> None:
        if self.closed:
            # Nobody will receive it; the sender need not keep it.
            peer.left = peer.left or frame.kind == LEAVE
            peer.incoming.consume()
            self._post.confirm(peer)
            return
        if not peer.joined and frame.kind != JOIN:
            raise ProtocolError("its first frame does not join")
        if frame.kind == DATA:
            peer.messages.append(frame)
            if peer.waiter is not None:
                self._post.wake(peer.waiter)
            return
        self.clock = max(self.clock, frame.stamp)
        peer.incoming.consume()
        if frame.kind == JOIN:
            self._joined(peer, frame.body)
        else:
            self._left(peer, frame.body)
        self._post.confirm(peer)

    def _joined(self, peer: Peer, body: bytes) -> None:
        theirs = Fingerprint(*_decode_mark(body))
        peer.joined = True
        if found := differences(self.mark, theirs):
            cause = f"{peer.role} and {self.role} play different choreographies: {'; '.join(found)}"
            self._fail(Verdict(peer.role, cause, slug="different-choreography"))
        elif not self.missing:
            _wake(self._assembled)

    def _left(self, peer: Peer, body: bytes) -> None:
        verdict = _decode_leave(body)
        peer.left = True
        if verdict is not None:
            self._fail(Verdict(*verdict))
        if peer.waiter is not None:
            peer.waiter.wake_soon()
        _wake(peer.room)

    # --- Leaving ------------------------------------------------------------------------------------------------------

    def _fail(self, verdict: Verdict) -> None:
        if self.verdict is not None or self.closed:
            return
        self.verdict = verdict
        log.info("session %s: %s ends: %s", self.session, self.role, verdict)
        self._leave(verdict)
        if not self._wake_all():
            for cancel in self._watchers:
                cancel()

    def _wake_all(self) -> bool:
        """Wake whoever waits in this seat; whether somebody did."""
        woken = _wake(self._assembled)
        for peer in self.peers.values():
            if peer.waiter is not None:
                woken = True
                peer.waiter.wake_soon()
            woken = any((_wake(peer.room), woken))
        return woken

    def _leave(self, verdict: Verdict | None) -> None:
        self.closed = True
        body = _encode(
            None if verdict is None else (verdict.role, verdict.cause, verdict.step, verdict.place, verdict.slug)
        )
        for peer in self.peers.values():
            peer.incoming.drop()
            self._post.confirm(peer)
            self._push(peer, LEAVE, body)
        self._observe("left", text=str(verdict or ""))
        self._post.closed(self)

    def _push(self, peer: Peer, kind: int, body: bytes) -> None:
        self.clock += 1
        peer.post(peer.outgoing.push(kind, self.clock, b"", body))

    def _observe(self, kind: str, peer: Peer | None = None, site: Site | None = None, value: Any = None, text: str = "") -> None:
        if self.observer is None:
            return
        from_peer = kind == "received"
        number = 0 if peer is None else peer.incoming.consumed - 1 if from_peer else peer.outgoing.next - 1
        key = b"" if site is None else self._keys.get(site, b"")
        if peer is not None:
            text = show(value, 200)
        self.observer(Record(self.session, self.role, self.clock, kind, peer.role if peer else "", number, key, text))

    # --- Errors -------------------------------------------------------------------------------------------------------

    def _unable(self, peer: Peer, site: Site) -> KlorError:
        """Why an operation with `peer` cannot be done; makes it the verdict when there is none yet."""
        if self.verdict is None and self.closed:
            return KlorError(site.diagnostic(
                "peer-closed", f"{self.role} has left session {self.session}, but is at {site}",
                "the transport of a role is used up when its session has been closed",
            ))  # fmt: skip
        if self.verdict is None:
            self._fail(Verdict(peer.role, f"it left while {self.role} still needs it", None, str(site), "peer-lost"))
        self._at = (peer, site)
        return self.error()

    def _missing(self, missing: tuple[Role, ...], deadline: float | None) -> RolesMissing:
        what = f"{', '.join(missing)} did not come"
        self._fail(Verdict(self.role, f"{what} within {deadline:g} s", slug="roles-missing"))
        return RolesMissing(
            Diagnostic(
                "roles-missing", f"session {self.session} of {self.mark.name} did not begin: {what} within {deadline:g} s",
                notes=tuple(self.notes),
                help="start them with the same session name, and see that of each two processes one connects to the other",
            ),
            missing,
        )  # fmt: skip

    def _stranger(self, role: Role, site: Site) -> Peer:
        raise KlorError(
            site.diagnostic(
                "role-not-part",
                f"{self.role} meets {role} at {site}, but session {self.session} has no such role",
                help="join the session of this choreography, or of one with the same roles",
            )
        )

    def _mismatch(self, frame: Frame, source: Role, site: Site) -> Diagnostic:
        sent_at = next((str(other) for other, key in self._keys.items() if key == frame.key), "an unknown place")
        return site.diagnostic(
            "protocol-mismatch",
            f"{self.role} waits at {site}, but {source} sent a message of {sent_at}",
            help="the roles took different ways: look for an agreement that does not hold, with sanitize=True",
        )


def _keep(frame: Frame) -> None:
    """There is no way to the peer yet."""


def _wake(waiter: asyncio.Future[None] | None) -> bool:
    if waiter is None or waiter.done():
        return False
    waiter.set_result(None)
    return True


def _at_site(error: KlorError, site: Site) -> KlorError:
    """The error with the place where it happened."""
    found = error.diagnostic
    placed = Diagnostic(found.slug, f"{site.text}: {found.message}", site.span, "", found.notes, found.help, site.source)
    return type(error)(placed)
