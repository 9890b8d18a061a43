"""One role's end of one session: a transport for `play_role`, whatever carries the frames.

    send, receive, close          the three verbs of a transport
    assembled(deadline)           the rendezvous: until every other role has joined
    arrived, lost, refused        what the carrier reports

A session has one verdict. The first failure that a seat learns of, its own or another's, ends its part; what was sent
before an orderly departure is received first. Roles may fail at the same time, so the seat then hears what the others
leave with, and of several verdicts the earliest one holds: all that are still there raise the same. A role that has left
in good order learns later, perhaps, that what it sent last is lost: `check` then raises the verdict. A seat never does input or output: it hands
numbered frames to its `Post`, and what is lost or repeated below is made good by the two ends of each channel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from klorpy.core.choreography import Site
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.spans import Source, Span
from klorpy.core.types import Role
from klorpy.core.values import show
from klorpy.core.verdicts import RolesMissing, SessionFailed, Verdict, session_failed, transport_closed
from klorpy.runtime.limits import LIMITS, Limits, WireError
from klorpy.runtime.sessions.channel import DATA, JOIN, LEAVE, Frame, ProtocolError, Window
from klorpy.runtime.sessions.fingerprint import Fingerprint, SiteKeys, departure, differences
from klorpy.runtime.sessions.mail import Mail, at_site, has_token, keys_differ
from klorpy.runtime.sessions.peer import SHOWN, Peer, Post, Record, wake
from klorpy.runtime.sessions.waiting import Waiter
from klorpy.runtime.wire import decode, encode

log: Final = logging.getLogger("klorpy.session")

#: Seconds that a role which has failed waits for what the others leave with. Only who computes without a pause takes long.
_HEARING: Final = 0.25

_encode: Final = msgspec.msgpack.Encoder().encode
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
_decode_join: Final = msgspec.msgpack.Decoder(tuple[str, str, dict[str, bytes], _Count, _Count, bool]).decode
#: A verdict as it is sent.
Told: TypeAlias = tuple[str, str, int | None, str, str, Annotated[int, msgspec.Meta(ge=0)]]
_decode_leave: Final = msgspec.msgpack.Decoder(Told | None).decode


class Seat:
    """The end of `role` in a session of the choreography that `mark` identifies. Made by a node's `join`.

    `keys` names the sites of the choreography alike in every process. `order` is the one that the role is played in,
    None when it is left to the definitions, and to the others.
    """

    def __init__(
        self, session: str, role: Role, roles: Iterable[Role], mark: Fingerprint, keys: SiteKeys, post: Post,
        window: Window | None = None, limits: Limits = LIMITS, order: str | None = None,
    ) -> None:  # fmt: skip
        self.session = session
        self.limits = limits
        self.role = role
        self.roles = tuple(roles)
        self.mark = mark
        self.order = order
        self.verdict: Verdict | None = None
        #: Whether the verdict is final: the role may raise it.
        self.decided = False
        self.closed = False
        #: Messages sent and received.
        self.step = 0
        #: Lamport's clock (1978): larger than the stamp of everything that happened before.
        self.clock = 0
        self.observer: Callable[[Record], None] | None = None
        #: What is known about roles that are not there, for the error.
        self.notes: dict[Role, str] = {}
        #: The roles whose processes say that they do not play this session.
        self.unknown: set[Role] = set()
        self.window = window or Window()
        self.peers = {other: Peer(self, other, self.window) for other in self.roles if other != role}
        self._introduction = _encode(
            (mark.name, mark.signature, dict(mark.parts), self.window.frames, self.window.size, order is not None)
        )
        self._keys = keys
        self._post = post
        self._watchers: list[Callable[[], object]] = []
        self._loop = asyncio.get_running_loop()
        self._assembled: asyncio.Future[None] | None = None
        self._decision = asyncio.Event()
        #: Whether the session has failed after the role had left in good order.
        self._late = False
        #: How many wait for the decision, and when it is made at the latest.
        self._hearing = 0
        self._latest: asyncio.TimerHandle | None = None
        #: Where the text that is played here begins to differ from another role's.
        self._departure: tuple[Source, Span] | None = None
        #: Where the role waits.
        self._at: tuple[Peer, Site] | None = None

    def join(self) -> None:
        """Tell the others that the role is played here."""
        log.info("session %s: %s joins, to play %s", self.session, self.role, self.mark.name)
        self._post.came(self, self.role)
        for peer in self.peers.values():
            self._push(peer, JOIN, self._introduction)
        if self.observer is not None:
            self.observer(self._record("joined", text=self._title))

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
            await self.heard()
            raise self.error()
        if missing := self.missing:
            raise self._missing(missing, deadline)
        log.info("session %s: %s begins", self.session, self.role)

    @property
    def _name(self) -> str:
        return f"session {self.session} of {self.mark.name}"

    @property
    def missing(self) -> tuple[Role, ...]:
        """The roles that have not joined yet."""
        return tuple(peer.role for peer in self.peers.values() if not peer.joined)

    # --- The three verbs ----------------------------------------------------------------------------------------------

    async def send(self, target: Role, value: Any, site: Site) -> None:
        peer = self.peers.get(target) or self.stranger(target, site)
        if self.verdict is not None or self.closed or peer.left:
            raise await self._unable(peer, site)
        try:
            body = encode(value, self.limits)
        except KlorError as error:
            raise at_site(error, site) from None
        if peer.crowded is not None or not peer.outgoing.open:
            await self._room(peer, site)
        self.step += 1
        self.clock += 1
        peer.post(peer.outgoing.push(DATA, self.clock, self._keys[site], body))
        if self.observer is not None:
            self.report("sent", peer, peer.outgoing.next - 1, self._keys[site], value)

    async def receive(self, source: Role, site: Site) -> Any:
        peer = self.peers.get(source) or self.stranger(source, site)
        while self.verdict is not None or not peer.messages:
            if self.verdict is not None or self.closed or peer.left:
                raise await self._unable(peer, site)
            await self._message(peer, site)
        self._at = None
        frame = peer.messages.popleft()
        if peer.incoming.consume(len(frame.body)):
            self._post.confirm(peer)
        self.step += 1
        self.clock = max(self.clock, frame.stamp) + 1
        if frame.key != self._keys[site]:
            raise self._mismatch(frame, source, site)
        try:
            value = decode(frame.body, self.limits)
        except WireError as error:
            raise at_site(error, site) from None
        if self.observer is not None:
            self.report("received", peer, frame.number, frame.key, value)
        return value

    @property
    def keyed(self) -> bool:
        """Whether some role has said an order when it joined, so that all of them tell messages apart by their keys."""
        return self.order is not None or any(peer.keyed for peer in self.peers.values())

    def mail(self) -> Mail:
        """The messages of this seat with their keys, for a role that takes them in another order than they come in."""
        return Mail(self, self._keys, self._post)

    async def close(self) -> None:
        """Leave in good order: the others still receive what was sent."""
        if not self.closed and self.verdict is None:
            log.info("session %s: %s leaves", self.session, self.role)
            self._leave(None)

    async def settle(self) -> None:
        """The role's program has ended. Raises SessionFailed when the session is known to have failed.

        Waits only while the connection is broken over which something was sent that nobody has confirmed.
        """
        for peer in self.peers.values():
            while peer.away and peer.outgoing.undelivered and not (self.closed or peer.left):
                peer.room = self._loop.create_future()
                try:
                    await peer.room
                finally:
                    peer.room = None
        if self.verdict is not None:
            await self.heard()
            raise self.error()

    @property
    def at(self) -> str:
        """Where the role waits for another one, "" when it does not."""
        return str(self._at[1]) if self._at else ""

    def check(self) -> None:
        """For a role that has left in good order. Raises SessionFailed when what it sent last is known to be lost."""
        if self._late:
            raise self.error()

    def fail(self, error: BaseException, place: str = "") -> None:
        """Leave because the role failed, at `place` of the text: the session has failed, for everybody."""
        if not self.closed:
            self._fail(Verdict.of(self.role, error, self.step, place))
        if self.verdict is not None:
            self._decide()  # the role raises what it raises

    def watch(self, cancel: Callable[[], object]) -> None:
        """Call `cancel` when the session fails while its role does something else than to wait for a message."""
        self._watchers.append(cancel)
        if self.decided:
            cancel()

    def error(self) -> SessionFailed:
        """The error of a session that has failed, for its role."""
        assert self.verdict is not None
        peer, site = self._at or (None, None)
        notes = (f"{self.role} had done its part, but what it sent last has not arrived",) if self._late else ()
        error = session_failed(self._name, self.verdict, self.role, peer.role if peer else None, site, notes)
        if self._departure is not None and site is None:
            source, span = self._departure
            found = replace(error.diagnostic, span=span, source=source, label="the texts differ from here on")
            error = SessionFailed(found, self.verdict)
        return error

    # --- Waiting ------------------------------------------------------------------------------------------------------

    def _message(self, peer: Peer, site: Site) -> Waiter:
        """What to await for a message of the peer, or for whatever says that none will come."""
        waiter = peer.waiter
        if waiter is not None and not waiter.done():
            raise KlorError(site.diagnostic(
                "bad-config", f"{self.role} waits for {peer.role} at {site}, and another task does so over the same transport",
                "a transport serves one run of its role: join once for every run",
            ))  # fmt: skip
        self._at = (peer, site)
        if waiter is None or not waiter.again():
            waiter = peer.waiter = Waiter(self._loop)
        return waiter

    async def _room(self, peer: Peer, site: Site) -> None:
        """Wait until the window has room for a message, and the connection, too."""
        self._at = (peer, site)
        while (crowded := peer.crowded) is not None or not peer.outgoing.open:
            if crowded is not None:
                await asyncio.wait((crowded,))
            else:
                peer.room = asyncio.get_running_loop().create_future()
                try:
                    await peer.room
                finally:
                    peer.room = None
            if self.verdict is not None or self.closed or peer.left:
                raise await self._unable(peer, site)
        self._at = None

    # --- What the carrier reports -------------------------------------------------------------------------------------

    def arrived(self, peer: Peer, frame: Frame) -> None:
        """A frame of the peer arrived, perhaps again, perhaps too early."""
        incoming = peer.incoming
        if (
            frame[0] == DATA and frame[1] == incoming.expected and peer.joined and not (self.closed or incoming.early)
            and incoming.room > 0 and frame[1] <= incoming.limit
        ):  # fmt: skip
            # What nearly always happens, without a detour.
            incoming.expected += 1
            incoming.room -= len(frame[4])
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
        wake(peer.room)

    def lost(self, peer: Peer, reason: str, slug: str = "peer-lost", *, here: bool = False) -> None:
        """There is no way to the peer any more, and there will be none to the process that it was in.

        With `here` it is the peer that has given up this role.
        """
        if peer.left:
            return
        verdict = Verdict(self.role if here else peer.role, reason, slug=slug)
        if self.closed:
            self._heard_late(peer, verdict)
        elif peer.joined:
            self._post.went(self, peer.role, verdict, lost=True)
            self._fail(verdict)
        else:
            # It may still come, from another process perhaps, which knows of nothing that went there.
            peer.start_again(self.window)
            self._push(peer, JOIN, self._introduction)

    def refused(self, peer: Peer, slug: str, reason: str, verdict: Verdict | None = None) -> None:
        """The peer's process does not let this role in; `verdict` is that of the session if it has ended there."""
        if peer.left:
            return
        if self.closed:
            peer.left = True  # there is nobody who would say more
            self._heard_late(peer, verdict)
        elif slug == "unknown-session":
            self.unknown.add(peer.role)
            self.notes[peer.role] = reason
            log.warning("session %s: %s", self.session, reason)
        else:
            peer.left = True
            self._fail(verdict or Verdict(peer.role if slug == "peer-lost" else self.role, reason, slug=slug))

    def _take(self, peer: Peer, frame: Frame) -> None:
        if self.closed:
            # Nobody will receive it; the sender need not keep it.
            if frame.kind == LEAVE and not peer.left:
                verdict = _verdict_in(frame.body)
                peer.left = True
                self._post.went(self, peer.role, verdict)
                self._heard_late(peer, verdict)
            peer.incoming.consume(len(frame.body) if frame.kind == DATA else 0)
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
        peer.incoming.consume(0)
        if frame.kind == JOIN:
            self._joined(peer, frame.body)
        else:
            self._left(peer, frame.body)
        self._post.confirm(peer)

    def _joined(self, peer: Peer, body: bytes) -> None:
        name, signature, parts, frames, size, keyed = _decode_join(body)
        theirs = Fingerprint(name, signature, parts)
        peer.joined, peer.keyed = True, keyed
        self._post.came(self, peer.role)
        peer.agree(self.window.smaller(Window(frames, size)))
        if found := differences({self.role: self.mark, peer.role: theirs}):
            # Both sides find the same, in the same words: so there is one verdict.
            first, second = sorted((self.role, peer.role))
            cause = f"{first} and {second} play different choreographies: {'; '.join(found)}"
            self._departure = departure(self.mark, theirs)
            self._fail(Verdict(first, cause, slug="different-choreography"))
        elif not self.missing:
            wake(self._assembled)

    def _left(self, peer: Peer, body: bytes) -> None:
        verdict = _verdict_in(body)
        peer.left = True
        self._post.went(self, peer.role, verdict)
        if verdict is not None:
            self._fail(verdict)
        wake(peer.waiter)
        wake(peer.room)

    # --- Leaving ------------------------------------------------------------------------------------------------------

    def _fail(self, verdict: Verdict) -> None:
        if self.verdict is not None or self.closed:
            return
        self.verdict = verdict = verdict if verdict.stamp else replace(verdict, stamp=self.clock)
        log.info("session %s: %s fails: %s", self.session, self.role, verdict)
        self._leave(verdict)
        self._latest = self._loop.call_later(_HEARING, self._decide)
        self._decide_in_time()

    def _heard_late(self, peer: Peer, verdict: Verdict | None) -> None:
        """The peer has left, with the verdict or in good order, or is lost, after this role had left."""
        if self.verdict is not None:
            if verdict is not None and peer.left and not self.decided:
                self.verdict = min(self.verdict, verdict, key=Verdict.order)
            self._decide_in_time()
        elif verdict is not None and peer.outgoing.undelivered:
            # While its process ends, there is somebody to `check`.
            level = logging.INFO if self._post.ending else logging.WARNING
            log.log(level, "session %s: what %s sent last is lost: %s", self.session, self.role, verdict)
            self.verdict, self._late = verdict, True
            self._post.closed(self)

    def _decide_in_time(self) -> None:
        """Decide when everybody who can still speak has said why it left."""
        if all(peer.left or peer.away or not peer.joined for peer in self.peers.values()):
            self._decide()

    def _decide(self) -> None:
        """The verdict is final: tell the role, and whoever looks on."""
        if self.decided:
            return
        self.decided = True
        if self._latest is not None:
            self._latest.cancel()
        self._decision.set()
        self._post.closed(self)
        self._depart()
        if not (self._wake_all() or self._hearing):
            for cancel in self._watchers:
                cancel()

    async def heard(self) -> None:
        """Wait until the verdict is final."""
        self._hearing += 1
        try:
            await self._decision.wait()
        finally:
            self._hearing -= 1

    def _wake_all(self) -> bool:
        """Wake whoever waits in this seat; whether somebody did."""
        woken = wake(self._assembled)
        for peer in self.peers.values():
            woken = any((wake(peer.waiter), wake(peer.room), woken))
        return woken

    def _leave(self, verdict: Verdict | None) -> None:
        self.closed = True
        body = _encode(verdict and as_tuple(verdict))
        for peer in self.peers.values():
            peer.incoming.drop()
            self._post.confirm(peer)
            self._push(peer, LEAVE, body)
        self._post.closed(self)
        if verdict is None:
            self._depart()

    def _depart(self) -> None:
        """Tell whoever looks on that the role has left."""
        verdict = self.verdict
        self._post.went(self, self.role, verdict)
        if self.observer is not None:
            role, cause = (verdict.role, verdict.cause) if verdict else ("", "")
            self.observer(Record(self.session, self.role, self.clock, "left", role, text=cause))

    def _push(self, peer: Peer, kind: int, body: bytes) -> None:
        self.clock += 1
        peer.post(peer.outgoing.push(kind, self.clock, b"", body))

    # --- For observers ------------------------------------------------------------------------------------------------

    def site(self, key: bytes) -> Site | None:
        """The site that a key names."""
        return self._keys.site(key)

    def report(self, kind: str, peer: Peer, number: int, key: bytes, value: Any) -> None:
        """Tell the observer of a message."""
        if self.observer is not None:
            self.observer(self._record(kind, peer, number, key, show(value, SHOWN)))

    def present(self) -> list[Record]:
        """Where the role is, for an observer who was not there from the beginning."""
        return [
            self._record("joined", text=self._title),
            *(self._record("present", peer, peer.outgoing.next) for peer in self.peers.values()),
        ]

    @property
    def _title(self) -> str:
        return f"{self.mark.name} [{' '.join(self.roles)}]"

    def _record(self, kind: str, peer: Peer | None = None, number: int = 0, key: bytes = b"", text: str = "") -> Record:
        return Record(self.session, self.role, self.clock, kind, peer.role if peer else "", number, key, text)

    # --- Errors -------------------------------------------------------------------------------------------------------

    def unable(self, peer: Peer, site: Site) -> KlorError:
        """Why an operation with `peer` cannot be done; makes it the verdict when there is none yet."""
        if self.verdict is None and self.closed:
            return transport_closed(self.role, self._name, site)
        if self.verdict is None:
            self._fail(Verdict(peer.role, f"it left while {self.role} still needs it", None, str(site), "peer-lost"))
        self._at = (peer, site)
        return self.error()

    async def _unable(self, peer: Peer, site: Site) -> KlorError:
        """The same when the verdict is final."""
        error = self.unable(peer, site)
        if self.verdict is not None:
            await self.heard()
            error = self.error()
        return error

    def _missing(self, missing: tuple[Role, ...], deadline: float | None) -> RolesMissing:
        what = f"{', '.join(missing)} did not come within {deadline:g} s"
        self._fail(Verdict(self.role, what, slug="roles-missing"))
        self._decide()
        message = f"{self._name} did not begin: {what}"
        notes = (*dict.fromkeys(self.notes[role] for role in missing if role in self.notes), *self._post.turned_away)
        if self.unknown.issuperset(missing):
            help = "do all roles name the same session?"
            return RolesMissing(Diagnostic("unknown-session", message, notes=notes, help=help), missing)
        help = f"start them with the same session name, and {self._post.meeting}"
        return RolesMissing(Diagnostic("roles-missing", message, notes=notes, help=help), missing)

    def stranger(self, role: Role, site: Site) -> Peer:
        raise KlorError(
            site.diagnostic(
                "role-not-part",
                f"{self.role} meets {role} at {site}, but session {self.session} has no such role",
                help="join the session of this choreography, or of one with the same roles",
            )
        )

    def _mismatch(self, frame: Frame, source: Role, site: Site) -> KlorError:
        if has_token(frame.key):
            return keys_differ(source, self.role, site)
        sent_at = self.site(frame.key) or "an unknown place"
        return KlorError(
            site.diagnostic(
                "protocol-mismatch",
                f"{self.role} waits at {site}, but {source} sent a message of {sent_at}",
                help="the roles took different ways: look for an agreement that does not hold, with sanitize=True",
            )
        )


def as_tuple(verdict: Verdict) -> Told:
    """A verdict as it is sent."""
    return verdict.role, verdict.cause, verdict.step, verdict.place, verdict.slug, verdict.stamp


def _verdict_in(body: bytes) -> Verdict | None:
    """What a LEAVE says. Raises msgspec's DecodeError."""
    verdict = _decode_leave(body)
    return None if verdict is None else Verdict(*verdict)
