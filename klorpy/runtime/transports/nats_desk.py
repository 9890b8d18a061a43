"""What a seat has at a NATS server: its name in the cast, a consumer, and ways to the other roles.

    enter     the cast takes the name of the first who plays a role; then the consumer brings what is for the role
    leave     when the server has all that the role sent; the last to leave removes what the session left
    contest   a name in the cast whose process is not there any more is of a session that was never ended: it is removed
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio

from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.runtime.sessions.channel import ProtocolError
from klorpy.runtime.sessions.seat import Seat
from klorpy.runtime.transports.nats_link import Link, Unanswered, place
from klorpy.runtime.transports.nats_names import HERE, NOW, Names, token
from klorpy.runtime.transports.nats_outbox import ServerError
from klorpy.runtime.transports.nats_packets import HERE as YES
from klorpy.runtime.transports.nats_packets import WHO, Cast, Unpacker, is_ours, pack_cast, unpack_cast, unpack_state
from klorpy.runtime.transports.nats_way import Way, gone

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

log: Final = logging.getLogger("klorpy.nats")

#: Seconds until the server is asked again, and for the answer of another role.
_PAUSE: Final = 0.1
_PATIENCE: Final = 2.0
#: How often another role is asked in this time.
_ASKED: Final = 8
#: Nanoseconds after which the server forgets a consumer to which nobody listens.
_INACTIVE: Final = 3600 * 10**9
#: Messages that were read, after which the server need not keep them.
_TRIM: Final = 1000

#: Characters of the cause of a failure that observers are told.
_SAID: Final = 1000

#: The server's numbers for: this is not the last of its subject; there is no such consumer.
_NOT_LAST: Final = 10071
_NO_CONSUMER: Final = 10014


class Desk:
    """The desk of a seat. `run` works for it from its beginning to its end."""

    def __init__(self, seat: Seat, link: Link, names: Names, identity: bytes, patience: float) -> None:
        self.seat = seat
        self.ways: dict[Role, Way] = {}
        #: Done when nothing more is to be done.
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._link = link
        self._names = names
        self._identity = identity
        self._patience = patience
        self._roles = list(seat.roles)
        self._peers = {token(role): peer for role, peer in seat.peers.items()}
        #: For directions that have no way: of roles that came to this process only later.
        self._unpackers: dict[Role, Unpacker] = {}
        self._listening: Subscription | None = None
        self._reading: Subscription | None = None
        self._generation = 0
        #: The sequence number of the last message that was read, and of the last that the server need not keep.
        self._last = 0
        self._trimmed = 0
        self._in_cast = False
        self._reread = False
        self._changed = asyncio.Event()
        self._probes: dict[str, asyncio.Future[bool]] = {}

    async def run(self) -> None:
        """Enter, read, and leave. Does not raise: the seat learns what is wrong."""
        try:
            try:
                await self._enter()
                while not self.seat.closed:
                    await self._changed.wait()
                    self._changed.clear()
                    if self._reread and self._link.connected and not self.seat.closed:
                        self._reread = False
                        await self._read()
            except KlorError as error:
                self.seat.refused(next(iter(self.seat.peers.values())), error.slug, error.message)
            if self._in_cast:
                await self._leave()
        except KlorError as error:
            log.warning("session %s: %s leaves something behind: %s", self.seat.session, self.seat.role, error.message)
        finally:
            for way in self.ways.values():
                way.close()
            if not self.done.done():
                self.done.set_result(None)

    # --- What the carrier says ----------------------------------------------------------------------------------------

    def released(self) -> None:
        """The seat is gone."""
        self._changed.set()

    def gone(self, error: KlorError) -> None:
        """The server will not be there again."""
        self.seat.fail(error)
        for way in self.ways.values():
            if way.busy:
                self.seat.lost(way.peer, error.message, error.slug, here=True)

    async def lost(self) -> None:
        """The connection broke: what comes by the old consumer afterwards may have gaps."""
        await self._stop_reading()

    def back(self) -> None:
        """The connection is there again."""
        for way in self.ways.values():
            way.again()
            if way.needed:
                way.tell(asks=True)
        self.read_again()

    def beat(self, period: float, limit: float) -> None:
        """See who is there, and say that we are."""
        for way in list(self.ways.values()):
            if way.needed:
                way.listen(period, limit)

    async def trim(self) -> None:
        """Let the server forget what was read."""
        if self._last - self._trimmed < _TRIM or self.seat.closed:
            return
        self._trimmed = self._last
        await self._purge(self._names.inbox(self.seat.session, self.seat.role), self._last + 1)

    def read_again(self) -> None:
        self._reread = True
        self._changed.set()

    # --- Entering -----------------------------------------------------------------------------------------------------

    async def _enter(self) -> None:
        """Take the role and find ways to the others. Raises KlorError."""
        await self._take_role()
        self._in_cast = True
        seat, names = self.seat, self._names
        said = names.said(seat.session, "*", seat.role, "*")
        self._listening = await self._link.listen(said, self._told)
        await self._read()
        self._link.check_heard(said)
        for peer in seat.peers.values():
            if peer.route is None:
                way = Way(peer, self._link, names, self._identity.hex()[:8], self._patience, self.read_again)
                self.ways[peer.role] = way
                peer.route, peer.post = way, way.post
                for frame in list(peer.outgoing.unconfirmed()):
                    way.post(frame)

    async def _take_role(self) -> None:
        while not await self._taken():
            await self._contest()

    async def _taken(self) -> bool:
        """Store the role in the cast; whether nobody had."""
        seat = self.seat
        try:
            await self._insist(
                self._link.confirmed, self._names.cast(seat.session, seat.role),
                self._cast(left=False), id=self._id("here"),
                Nats_Expected_Last_Subject_Sequence="0",
            )  # fmt: skip
        except ServerError as error:
            if error.number != _NOT_LAST:
                raise self._link.no_server("does not let the role in", error) from None
            return False
        return True

    def _cast(self, left: bool) -> bytes:
        """What the cast says of the role."""
        seat, verdict = self.seat, self.seat.verdict
        failed = (verdict.role, verdict.cause[:_SAID]) if left and verdict is not None else None
        return pack_cast(Cast(left, self._identity, self._roles, seat.mark.name, seat.clock, failed))

    def _id(self, what: str) -> str:
        return f"{token(self.seat.session)}/{token(self.seat.role)}/={what}@{self._identity.hex()[:8]}"

    async def _contest(self) -> None:
        """Somebody has the role. Raises KlorError `role-taken` when anybody of the session is there; else removes it."""
        seat, link = self.seat, self._link
        listening = await link.listen(self._names.said(seat.session, "*", seat.role, HERE), self._told)
        try:
            # What comes after this is of whoever begins the session anew, as we do.
            end = None
            async with asyncio.timeout(link.grace):
                while not await self._anybody():
                    end = end or await self._latest() + 1
                    await anyio.sleep(_PAUSE)
            raise KlorError(
                f"{seat.role} of session {seat.session!r} is played by another process, or was", slug="role-taken",
                help="give every run a session name of its own",
            )  # fmt: skip
        except TimeoutError:
            if end is not None:
                log.info("session %s was never ended; what it left is removed", seat.session)
                # Consumers may be those of roles that have begun the session anew before us.
                await self._purge(self._names.session(seat.session), end)
        finally:
            await link.deaf(listening)

    async def _anybody(self) -> bool:
        for role in self._roles:
            if await self._present(role):
                # The session may have been removed, and begun anew, while we looked.
                part, _ = await self._part(self.seat.role)
                return part is not None
        return False

    async def _latest(self) -> int:
        """The number of the last message of the stream."""
        name = f"latest=={self._identity.hex()}=={token(self.seat.session)}"[:200]
        answer = await self._make_consumer(name, self._link.new_inbox(), {"deliver_policy": "new"})
        await self._delete_consumer(name)
        return int(answer["delivered"]["stream_seq"])

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Have brought what is for the role, from what was read last."""
        await self._stop_reading()
        generation, deliver = self._generation, self._link.new_inbox()
        self._reading = await self._link.listen(deliver, partial(self._brought, generation))
        start = {"deliver_policy": "by_start_sequence", "opt_start_seq": self._last + 1} if self._last else {"deliver_policy": "all"}
        await self._make_consumer(self._consumer(self.seat.role), deliver, start)

    def _consumer(self, role: Role) -> str:
        return self._names.consumer(self.seat.session, role)

    async def _stop_reading(self) -> None:
        self._generation += 1
        reading, self._reading = self._reading, None
        if reading is not None:
            await self._link.deaf(reading)

    async def _make_consumer(self, name: str, deliver: str, start: dict[str, Any]) -> dict[str, Any]:
        """Make a consumer of what is for the role, in the place of one that is there."""
        names = self._names
        subject = names.inbox(self.seat.session, self.seat.role)
        config = {
            "name": name, "durable_name": name, "filter_subject": subject, "deliver_subject": deliver, "ack_policy": "none",
            "replay_policy": "instant", "mem_storage": True, "inactive_threshold": _INACTIVE, **start,
        }  # fmt: skip
        what = f"CONSUMER.CREATE.{names.stream}.{name}.{subject}"
        await self._delete_consumer(name)
        try:
            answer: dict[str, Any] = await self._insist(self._link.api, what, {"stream_name": names.stream, "config": config})
            return answer
        except ServerError as error:
            raise self._link.no_server("makes no consumer", error) from None

    async def _delete_consumer(self, name: str) -> None:
        try:
            await self._insist(self._link.api, f"CONSUMER.DELETE.{self._names.stream}.{name}", {})
        except ServerError as error:
            if error.number != _NO_CONSUMER:
                raise self._link.no_server("removes no consumer", error) from None

    async def _brought(self, generation: int, message: Msg) -> None:
        """The consumer brings a message."""
        found = place(message)
        if generation != self._generation or found is None:
            return
        self._last, _ = found
        peer = self._peers.get(message.subject.split(".")[-2])
        if peer is None or not is_ours(message.data):
            log.warning("session %s: something at %s that is not of a role is ignored", self.seat.session, message.subject)
            return
        way = self.ways.get(peer.role)
        if way is not None:
            way.here()
        fresh = Unpacker(self.seat.limits.frame)
        unpacker = way.unpacker if way is not None else self._unpackers.setdefault(peer.role, fresh)
        try:
            frames = unpacker.feed(message.data, peer.incoming.expected)
        except ProtocolError as error:
            self.seat.lost(peer, f"it sent {self.seat.role} what is not allowed: {error}", "protocol-error")
            return
        for frame in frames:
            self.seat.arrived(peer, frame)

    # --- Saying -------------------------------------------------------------------------------------------------------

    async def _told(self, message: Msg) -> None:
        """Something was said to the role."""
        *_, source, _, what = message.subject.split(".")
        if message.reply.startswith("$JS.") or not is_ours(message.data):
            return
        if what == HERE:
            probe = self._probes.get(source)
            if probe is not None and not probe.done():
                probe.set_result(True)
        elif message.data == WHO:
            subject = message.subject.split(".")
            subject[-3:] = [token(self.seat.role), source, HERE]
            self._link.outbox.say(".".join(subject), YES)
        elif (state := unpack_state(message.data)) is not None and (peer := self._peers.get(source)) is not None:
            way = self.ways.get(peer.role)
            if way is not None and way.told(state):
                self.read_again()

    async def _present(self, role: Role) -> bool:
        """Whether anybody plays a role: whether anybody listens for it."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def nobody(message: Msg) -> None:
            if not answer.done():
                answer.set_result(False)

        name, reply = token(role), self._link.token(nobody)
        self._probes[name] = answer
        try:
            for _ in range(_ASKED):  # one that is about to leave hears the question, and does not answer it
                self._link.outbox.say(self._names.said(self.seat.session, self.seat.role, role, NOW), WHO, reply)
                await asyncio.wait([answer], timeout=_PATIENCE / _ASKED)
                if answer.done():
                    return answer.result()
            return True
        finally:
            del self._probes[name]
            self._link.forget(reply)

    # --- Leaving ------------------------------------------------------------------------------------------------------

    async def _leave(self) -> None:
        """Leave, when the server has everything. Raises KlorError."""
        seat = self.seat
        # What the others had said by then is brought before the server says that it has everything.
        for way in self.ways.values():
            await way.idle()
        await self._stop_reading()
        await self._delete_consumer(self._consumer(seat.role))
        try:
            left = await self._insist(
                self._link.confirmed, self._names.cast(seat.session, seat.role),
                self._cast(left=True), id=self._id("left"),
            )  # fmt: skip
        except ServerError as error:
            raise self._link.no_server("does not let the role leave", error) from None
        end = await self._end(left["seq"])
        if end is not None:
            await self._erase(end + 1)
        if self._listening is not None:
            await self._link.deaf(self._listening)

    async def _end(self, end: int) -> int | None:
        """The number of the last message of the session, if all others have left, or are gone, or never came."""
        seat = self.seat
        for role, peer in seat.peers.items():
            part, number = await self._part(role)
            if part is None and ((await self._part(self.seat.role))[0] is None or await self._present(role)):
                return None  # it was removed already, or is played still
            if part is not None and not part.left:
                if not await self._is_gone(role):
                    return None
                seat.lost(peer, gone(self._link.grace))
            end = max(end, number)
        return end

    async def _is_gone(self, role: Role) -> bool:
        """Whether the process of a role is not there, also after the time in which it may come back."""
        loop, way = asyncio.get_running_loop(), self.ways.get(role)
        since = loop.time() if way is None or way.absent is None else way.absent
        while not await self._present(role):
            if loop.time() - since >= self._link.grace:
                return True
            await anyio.sleep(_PAUSE)
        return False

    async def _part(self, role: Role) -> tuple[Cast | None, int]:
        """What the cast says of a role, and the number of that message."""
        subject = self._names.cast(self.seat.session, role)
        message = await self._insist(self._link.request, f"$JS.API.DIRECT.GET.{self._names.stream}.{subject}", b"")
        return unpack_cast(message.data), int((message.headers or {}).get("Nats-Sequence", 0))

    async def _erase(self, end: int) -> None:
        """Remove what the server has of the session, but messages from number `end` on."""
        # The casts go last: as long as they are there, nobody begins the session anew.
        for role in self._roles:
            if role != self.seat.role:
                await self._delete_consumer(self._consumer(role))
        await self._purge(self._names.session(self.seat.session), end)

    async def _purge(self, subject: str, end: int) -> None:
        try:
            await self._insist(self._link.api, f"STREAM.PURGE.{self._names.stream}", {"filter": subject, "seq": end})
        except ServerError as error:
            raise self._link.no_server("removes no messages", error) from None

    async def _insist(self, request: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        """Ask until there is an answer: the connection may be away, and JetStream begins later than the server."""
        while True:
            try:
                return await request(*args, **options)
            except (TimeoutError, Unanswered):
                pass
            except ServerError as error:
                if error.code != 503:
                    raise
            await anyio.sleep(_PAUSE)

