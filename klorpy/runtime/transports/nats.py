"""Sessions over a NATS server with JetStream: no role needs an address, or has to be there when another begins.

Frames are stored in one stream for each application, under the subject of their direction (`nats_names`), and a consumer
for each role and session brings what is for the role. The stream is where frames wait; that each arrives once and in
order is the two ends' own doing, as over any carrier. Besides, a role tells every other how far it is, which is not
stored: it opens windows, shows that the role is alive, and what is told again makes good what was lost.

A role enters a session by storing its name in the cast, where only the first is taken, and leaves by storing that it has
left; the last to leave removes all that the session left at the server (`nats_desk`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.abc import TaskGroup

from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.runtime.sessions.node import Node
from klorpy.runtime.sessions.peer import ChannelName, Peer
from klorpy.runtime.sessions.seat import Seat
from klorpy.runtime.transports.nats_desk import Desk
from klorpy.runtime.transports.nats_link import Link, Unanswered, place
from klorpy.runtime.transports.nats_names import Names, name_of
from klorpy.runtime.transports.nats_outbox import ServerError
from klorpy.runtime.transports.nats_packets import unpack_cast
from klorpy.runtime.transports.nats_way import Way
from klorpy.runtime.transports.tls import Identity

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

log: Final = logging.getLogger("klorpy.nats")

#: Seconds that the end waits for the server to have everything, and until it is asked again.
_LINGER: Final = 5.0
_PAUSE: Final = 0.1
#: Sessions that are remembered while others may begin to play in them.
_SESSIONS: Final = 100_000
#: Nanoseconds: a session whose messages nobody reads for so long is forgotten, and so is the id of a message.
_WEEK: Final = 7 * 24 * 3600 * 10**9
_REMEMBERED: Final = 120 * 10**9

#: The server's numbers for: there is such a stream, but another; and another has subjects of it.
_OTHER_STREAM: Final = 10058
_OVERLAP: Final = 10065
#: How often the server has to say so before it is believed.
_OVERLAPS: Final = 10


@dataclass(frozen=True, slots=True)
class NatsOptions:
    """How sessions are kept at a server.

    A role that is silent for `heartbeat` seconds is lost, and so is one whose connection with the server is gone for
    `grace`; a role that is without the server for `grace` gives up. `app` keeps applications apart that use one server.
    """

    heartbeat: float = 10.0
    grace: float = 5.0
    app: str = "klorpy"


@dataclass(slots=True, eq=False)
class _Session:
    """A session that others may have begun: its roles, who is there, and for which of our roles we were told to begin."""

    roles: frozenset[Role] = frozenset()
    there: set[Role] = field(default_factory=set)
    begun: set[Role] = field(default_factory=set)


class Nats:
    """The carrier over the NATS server at `url`, or one of several, separated by commas.

    A user and a password are part of the URL: `nats://Buyer:secret@host:4222`. `identity` is the certificate for servers
    that demand TLS.
    """

    meeting: Final = "see that all use this server, and the same application"

    def __init__(self, url: str, *, identity: Identity | None = None, options: NatsOptions | None = None) -> None:
        self.options = options or NatsOptions()
        self.names = Names(self.options.app)
        self.identity = secrets.token_bytes(8)
        self.url = url
        self._identity = identity
        self._desks: dict[Seat, Desk] = {}
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._watching: Subscription | None = None
        self._watch = asyncio.Event()
        self._served: set[Role] = set()
        self._tasks: TaskGroup
        self.link: Link
        self.node: Node

    # --- The carrier --------------------------------------------------------------------------------------------------

    async def start(self, node: Node, tasks: TaskGroup) -> None:
        self.node, self._tasks = node, tasks
        self.link = Link(
            self.url, self._identity, heartbeat=self.options.heartbeat, grace=self.options.grace, lost=self._lost,
            back=self._back, gone=self._gone,
        )  # fmt: skip
        await self.link.open(tasks)
        try:
            await make_stream(self.link, self.names)
        except BaseException:
            await self.link.close()
            raise
        tasks.start_soon(self._beat)
        tasks.start_soon(self._trim)
        tasks.start_soon(self._notice)

    async def stop(self) -> None:
        with anyio.move_on_after(_LINGER + self.options.grace):
            for desk in list(self._desks.values()):
                await asyncio.wait((desk.done, self.link.away), return_when=asyncio.FIRST_COMPLETED)
        if self._watching is not None and self.link.connected:
            with contextlib.suppress(ServerError, Unanswered, TimeoutError, KlorError):
                await self.link.api(f"CONSUMER.DELETE.{self.names.stream}.{self._watcher}", {})
        await self.link.close()

    def opened(self, seat: Seat) -> None:
        if seat.peers:
            desk = self._desks[seat] = Desk(
                seat, self.link, self.names, self.identity, self.options.heartbeat / 2
            )
            self._tasks.start_soon(self._work, desk)

    async def _work(self, desk: Desk) -> None:
        try:
            await desk.run()
        finally:
            del self._desks[desk.seat]

    def released(self, seat: Seat) -> None:
        desk = self._desks.get(seat)
        if desk is not None:
            desk.released()

    def confirm(self, peer: Peer) -> None:
        way = peer.route
        if isinstance(way, Way):
            way.tell()

    def served(self, role: Role) -> None:
        """Notice the sessions in which others wait for `role`."""
        self._served.add(role)
        self._watch.set()

    # --- The connection -----------------------------------------------------------------------------------------------

    async def _lost(self) -> None:
        for desk in list(self._desks.values()):
            await desk.lost()
        if self._watching is not None:
            watching, self._watching = self._watching, None
            await self.link.deaf(watching)

    def _back(self) -> None:
        for desk in self._desks.values():
            desk.back()
        if self._served:
            self._watch.set()

    def _gone(self, error: KlorError) -> None:
        for desk in list(self._desks.values()):
            desk.gone(error)

    async def _beat(self) -> None:
        """Say that we are there, and see who is."""
        limit = self.options.heartbeat
        while True:
            await anyio.sleep(limit / 3)
            if not self.link.connected:
                continue
            for desk in list(self._desks.values()):
                desk.beat(limit / 3, limit)

    async def _trim(self) -> None:
        """Let the server forget what was read."""
        while True:
            await anyio.sleep(self.options.heartbeat / 3)
            for desk in list(self._desks.values()):
                try:
                    await desk.trim()
                except KlorError as error:
                    log.warning("%s", error.message)

    # --- Sessions that others begin -----------------------------------------------------------------------------------

    @property
    def _watcher(self) -> str:
        return f"cast=={self.identity.hex()}"

    async def _notice(self) -> None:
        """While a role is served: have the cast of all sessions brought, from the beginning."""
        while True:
            await self._watch.wait()
            self._watch.clear()
            if self._watching is not None:
                self._begin()
                continue
            deliver = self.link.new_inbox()
            self._sessions.clear()
            self._watching = await self.link.listen(deliver, self._noticed)
            config = {
                "name": self._watcher, "filter_subject": self.names.casts(), "deliver_subject": deliver, "deliver_policy": "all",
                "ack_policy": "none", "replay_policy": "instant", "mem_storage": True,
            }  # fmt: skip
            what = f"{self.names.stream}.{self._watcher}"
            try:
                with contextlib.suppress(ServerError):
                    await self.link.api(f"CONSUMER.DELETE.{what}", {})
                await self.link.api(f"CONSUMER.CREATE.{what}.{self.names.casts()}", {"stream_name": self.names.stream, "config": config})
            except (TimeoutError, Unanswered, ServerError) as error:
                log.info("sessions cannot be noticed yet: %s", error)
                watching, self._watching = self._watching, None
                await self.link.deaf(watching)
                await anyio.sleep(_PAUSE)
                self._watch.set()
            except KlorError as error:
                log.warning("sessions cannot be noticed: %s", error.message)

    async def _noticed(self, message: Msg) -> None:
        """Somebody has come to a session, or has left it."""
        _, _, session_token, role_token, _ = message.subject.split(".")
        cast = unpack_cast(message.data)
        if cast is None:
            return
        name, role = name_of(session_token), name_of(role_token)
        session = self._sessions.setdefault(name, _Session())
        if cast.left:
            session.there.discard(role)
        else:
            session.roles = frozenset(cast.roles)
            session.there.add(role)
        if not session.there:
            del self._sessions[name]
        elif len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        found = place(message)
        if found is not None and found[1] == 0:
            # All that happened was told; what was over before we came is not begun.
            self._begin()

    def _begin(self) -> None:
        """Begin to play in the sessions where we are waited for."""
        for name, session in list(self._sessions.items()):
            for role in (self._served & session.roles) - session.there - session.begun:
                session.begun.add(role)
                if session.roles != self.node.cast_of(role):
                    log.warning("session %s is of another choreography, for %s: %s does not play in it", name, sorted(session.roles), role)
                    continue
                self.node.awaits(ChannelName(name, next(iter(session.there)), role))


async def make_stream(link: Link, names: Names) -> None:
    """See that the stream of the application is there. Raises KlorError `no-server` or `not-permitted`."""
    config: dict[str, Any] = {
        "name": names.stream, "subjects": [names.stored()], "retention": "limits", "storage": "file", "discard": "new",
        "max_age": _WEEK, "duplicate_window": _REMEMBERED, "allow_direct": True, "num_replicas": 1, "max_consumers": -1,
        "max_msgs": -1, "max_bytes": -1,
    }  # fmt: skip
    overlaps: list[ServerError] = []
    try:
        async with asyncio.timeout(max(link.grace, _PAUSE)):
            while True:
                try:
                    await link.api(f"STREAM.CREATE.{names.stream}", config)
                    return
                except (Unanswered, TimeoutError):
                    await anyio.sleep(_PAUSE)
                except ServerError as error:
                    # The server says so also while it makes this very stream for another process.
                    if error.number != _OVERLAP or len(overlaps) == _OVERLAPS:
                        raise
                    overlaps.append(error)
                    await anyio.sleep(_PAUSE)
    except TimeoutError:
        if overlaps:
            raise link.no_server("does not make a stream", overlaps[-1]) from None
        link.check_heard(link.answers)
        raise link.no_server("has no JetStream", None) from None
    except ServerError as error:
        if error.number != _OTHER_STREAM:  # an administrator may have made it to his liking
            raise link.no_server("does not make a stream", error) from None
    except KlorError as error:
        if error.slug != "not-permitted" or not await _there(link, names):
            raise


async def _there(link: Link, names: Names) -> bool:
    """Whether there is a stream already, for a user who may not make it."""
    try:
        await link.request(f"$JS.API.DIRECT.GET.{names.stream}.{names.cast('', '')}", b"")
    except (TimeoutError, Unanswered, KlorError):
        return False
    return True


async def prepare(url: str, app: str = "klorpy", *, identity: Identity | None = None, grace: float = 5.0) -> None:
    """Make the stream of an application, for servers where the users of roles may not. Raises as `make_stream`."""

    async def nothing() -> None:
        return None

    link = Link(
        url, identity, heartbeat=10.0, grace=grace, lost=nothing, back=lambda: None, gone=lambda error: None
    )  # fmt: skip
    failed: KlorError | None = None
    async with anyio.create_task_group() as tasks:
        try:
            await link.open(tasks)
            try:
                await make_stream(link, Names(app))
            finally:
                with anyio.CancelScope(shield=True):
                    await link.close()
        except KlorError as error:
            failed = error
        tasks.cancel_scope.cancel()
    if failed is not None:
        raise failed
