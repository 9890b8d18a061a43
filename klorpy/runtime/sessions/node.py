"""A process's part in sessions: its seats, and what arrives for them from other processes.

A `Node` holds the seats of one process, several roles and sessions at once, over one `Carrier`. Frames between two seats
of the same node do not leave it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias, runtime_checkable
from weakref import WeakKeyDictionary

import anyio
from anyio.abc import TaskGroup

from klorpy.core.choreography import Choreography, reachable
from klorpy.core.diagnostics import KlorError
from klorpy.core.events import describe_error
from klorpy.core.types import Role
from klorpy.core.values import show
from klorpy.core.verdicts import Verdict
from klorpy.runtime.erasure import check_playable
from klorpy.runtime.limits import LIMITS, Limits
from klorpy.runtime.sessions.arguments import check_order, check_role, check_seconds, check_session
from klorpy.runtime.sessions.channel import Window
from klorpy.runtime.sessions.fingerprint import Fingerprint, SiteKeys, fingerprint
from klorpy.runtime.sessions.peer import ChannelName, Peer, Record
from klorpy.runtime.sessions.seat import Seat
from klorpy.runtime.sessions.waiting import Waiter

log: Final = logging.getLogger("klorpy.session")

#: How long a role waits for its cast unless told otherwise, in seconds.
DEADLINE: Final = 30.0

#: Sessions that are remembered after their end.
_ENDED: Final = 100_000
#: Sessions that are remembered, which others began before anybody here joined them.
_EARLY: Final = 10_000


class Carrier(Protocol):
    """What takes frames from one process to others, at least once, and tells the node of what arrives."""

    async def start(self, node: Node, tasks: TaskGroup) -> None:
        """Begin to work for `node`; long-running parts become `tasks`, which are cancelled at the end."""

    async def stop(self) -> None:
        """See that everything that was posted has arrived, as far as that can be, and let go of what is held."""

    def opened(self, seat: Seat) -> None:
        """A seat was made: find ways to its peers."""

    def released(self, seat: Seat) -> None:
        """A seat is gone."""

    def confirm(self, peer: Peer) -> None:
        """Tell the peer how much of what it sent was consumed."""

    def served(self, role: Role) -> None:
        """From now on a role is played in every session that others begin: tell the node of those (`awaits`)."""


class Roster(Protocol):
    """Who is told which roles are played in the sessions that a node takes part in."""

    def came(self, seat: Seat, role: Role) -> None:
        """`role` of the seat's session is played. Each seat of the node tells it, of itself and of the others."""

    def went(self, seat: Seat, role: Role, verdict: Verdict | None, lost: bool) -> None:
        """It is not any more: it has left, with the verdict or in good order, or there is no way to it."""

    def unreachable(self, host: str) -> None:
        """There is no way any more to the process that the carrier calls so, and to whoever is there."""


@runtime_checkable
class Located(Protocol):
    """A carrier that knows where the peers of its seats are."""

    def where(self, peer: Peer) -> str:
        """The process in which a peer is, as a text; "" when there is no way to it."""


#: Why nobody takes what is sent in a direction: slug, reason, and the verdict when the session has failed.
Refusal: TypeAlias = tuple[str, str, Verdict | None]

#: Plays a role of a session that others began; given its seat.
Server = Callable[[Seat], Awaitable[Any]]


class Node:
    """The sessions of this process. Use it as an asynchronous context manager, on asyncio.

    Leaving the context leaves all sessions that are still open: normally in good order, with an error by failing them.
    `sessions` are all that will ever be joined, when that is known; frames of others are then refused at once.
    `serves` are the roles that will be played, likewise. `limits` are what one value may take, in whatever session.
    """

    def __init__(
        self, carrier: Carrier, *, sessions: Iterable[str] | None = None, window: Window | None = None,
        limits: Limits | None = None, serves: Iterable[Role] | None = None,
    ) -> None:  # fmt: skip
        self.carrier = carrier
        self.window = window or Window()
        self.limits = limits or LIMITS
        self.sessions = None if sessions is None else frozenset(sessions)
        self.serves = None if serves is None else frozenset(serves)
        self.seats: dict[tuple[str, Role], Seat] = {}
        self.observers: list[Callable[[Record], None]] = []
        self.rosters: list[Roster] = []
        #: While a carrier reads, whom it has to wake when it has read: at once, so that a message costs one turn of the loop.
        self.woken: list[Waiter] | None = None
        self._servers: dict[Role, _Service] = {}
        self._known: WeakKeyDictionary[Choreography, tuple[Fingerprint, SiteKeys]] = WeakKeyDictionary()
        #: The latest sessions that were left here: what still comes for them is late, and not the beginning of a new one.
        self._ended: OrderedDict[tuple[str, Role], Verdict | None] = OrderedDict()
        #: The sessions that others began before anybody here joined: a server that comes later plays them, too.
        self._early: OrderedDict[tuple[str, Role], None] = OrderedDict()
        self._stack = contextlib.AsyncExitStack()
        self._tasks: TaskGroup | None = None
        #: Whether no session can be joined any more.
        self.ending = False

    async def __aenter__(self) -> Self:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise KlorError(
                "sessions between processes run on asyncio", slug="bad-argument",
                help="run this with asyncio, or with anyio's asyncio backend",
            ) from None  # fmt: skip
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        try:
            await self.carrier.start(self, self._tasks)
        except BaseException:
            self._tasks.cancel_scope.cancel()
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._tasks is not None
        self.ending = True
        with anyio.CancelScope(shield=True):
            for seat in list(self.seats.values()):
                if error is not None:
                    seat.fail(error)
                await seat.close()
            await self.carrier.stop()
        self._tasks.cancel_scope.cancel()
        await self._stack.aclose()

    # --- Sessions -----------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def join(
        self, chor: Choreography, role: Role, session: str, *, deadline: float | None = DEADLINE, order: str | None = None
    ) -> AsyncIterator[Seat]:
        """The transport of `role` in `session`, when all other roles have joined.

        `order` is the one that the role will be played in; the others need not know of it. Leaving the context leaves the session, with an error by failing it. Raises RolesMissing when the cast is not
        complete after `deadline` seconds (None waits for ever), SessionFailed when the session fails before it began,
        and KlorError `role-not-part`, `role-taken`, `bad-argument` or `not-playable`.
        """
        check_seconds("deadline", deadline, zero=True)
        seat = self.seat(chor, role, session, order)
        try:
            await seat.assembled(deadline)
            yield seat
        except BaseException as error:
            seat.fail(error)
            raise
        else:
            await seat.close()

    def seat(self, chor: Choreography, role: Role, session: str, order: str | None = None) -> Seat:
        """The seat of `role` in `session`, at once: the cast may not be complete. For `join`, and for servers."""
        definition = check_playable(chor)
        role = str(role)
        check_role(chor, role)
        check_session(session)
        check_order(order)
        if self.ending:
            raise KlorError(
                f"the node is closed, so {role} cannot join session {session}", slug="transport-closed",
                help="join inside `async with klorpy.host(…)`",
            )  # fmt: skip
        if (session, role) in self.seats or (session, role) in self._ended:
            raise KlorError(
                f"{role} of session {session} is played, or was played, in this process already", slug="role-taken",
                help="give every run a session name of its own",
            )  # fmt: skip
        mark, keys = self._identify(chor)
        seat = Seat(session, role, definition.roles, mark, keys, self, self.window, self.limits, order)
        self.seats[session, role] = seat
        self._early.pop((session, role), None)
        seat.observer = self._record if self.observers else None
        for peer in seat.peers.values():
            neighbour = self.seats.get((session, peer.role))
            if neighbour is not None:
                _connect(peer, neighbour.peers[role])
                _connect(neighbour.peers[role], peer)
        self.carrier.opened(seat)
        seat.join()
        for peer in seat.peers.values():
            if isinstance(peer.route, Peer):
                for frame in list(peer.route.outgoing.unconfirmed()):
                    seat.arrived(peer, frame)
            elif self.over(name := peer.name):
                seat.refused(peer, *self.ended(name))
        return seat

    def _identify(self, chor: Choreography) -> tuple[Fingerprint, SiteKeys]:
        """The fingerprint and the names of sites; known as long as all definitions are what they were."""
        known = self._known.get(chor)
        definitions = list(reachable(chor, scopes=False).values())
        if known is None or list(map(id, definitions)) != list(map(id, known[0].definitions.values())):
            known = self._known[chor] = fingerprint(chor), SiteKeys(chor)
        return known

    async def serve(
        self, chor: Choreography, role: Role, play: Server, *, limit: int = 100, deadline: float | None = DEADLINE,
        order: str | None = None,
    ) -> None:  # fmt: skip
        """Play `role` in every session that others begin, at most `limit` at once, until cancelled.

        `play` is called with a seat whose cast is complete. A session that fails does not disturb the others; a session
        over the limit begins when another has ended. Raises KlorError `role-taken` when the node serves the role already.
        """
        check_playable(chor)
        check_role(chor, role)
        check_seconds("deadline", deadline, zero=True)
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise KlorError(f"limit is a positive number of sessions, not {limit!r}", slug="bad-argument")
        if not callable(play):
            raise KlorError(
                f"play is a coroutine function of a seat, not {show(play, 40)}", slug="bad-argument",
                help="for example: async def play(seat): await klorpy.play_role({…, \"transport\": seat}, chor)",
            )  # fmt: skip
        if role in self._servers:
            raise KlorError(
                f"{role} is served by this node already", slug="role-taken",
                help="serve it once, with a higher limit; another choreography needs a node of its own",
            )  # fmt: skip
        check_order(order)
        service = _Service(chor, role, play, deadline, order, anyio.Semaphore(limit))
        self._servers[role] = service
        try:
            async with anyio.create_task_group() as tasks:

                def start(session: str) -> None:
                    tasks.start_soon(self._serve, service, session)

                service.start = start
                self.carrier.served(role)
                for session, target in list(self._early):
                    if target == role:
                        self.awaits(ChannelName(session, "", role))
                await anyio.sleep_forever()
        finally:
            del self._servers[role]

    async def _serve(self, service: _Service, session: str) -> None:
        async with service.room:
            service.begun.discard(session)
            try:
                async with self.join(service.chor, service.role, session, deadline=service.deadline, order=service.order) as seat:
                    await service.play(seat)
            except (Exception, SystemExit) as error:
                # The session has this verdict; the server goes on with the others. Another server may have been quicker.
                level = logging.INFO if isinstance(error, KlorError) and error.slug == "role-taken" else logging.WARNING
                log.log(level, "session %s: %s ended: %s", session, service.role, describe_error(error))

    # --- What the carrier reports -------------------------------------------------------------------------------------

    def awaits(self, name: ChannelName) -> bool:
        """Whether a seat for the target of a channel may come; begins to serve the session if that is to be done."""
        service = self._servers.get(name.target)
        if service is not None and service.start is not None:
            if name.session not in service.begun:
                service.begun.add(name.session)
                service.start(name.session)
            return True
        if self.sessions is not None and name.session not in self.sessions:
            return False
        self._early[name.session, name.target] = None
        if len(self._early) > _EARLY:
            self._early.popitem(last=False)
        return True

    def over(self, name: ChannelName) -> bool:
        """Whether the target of a channel has left its session."""
        return (name.session, name.target) in self._ended

    def refusal(self, name: ChannelName) -> Refusal | None:
        """What the source of a channel is told for whose target there will be no seat; None when there may be one.

        Begins to serve the session if that is to be done.
        """
        if self.over(name):
            return self.ended(name)
        seat, service = self.seats.get((name.session, name.target)), self._servers.get(name.target)
        if seat is not None:  # which has no such peer
            return self._other(name, seat.mark.name, seat.roles)
        if service is not None and name.source not in service.chor.roles:
            return self._other(name, service.chor.name, service.chor.roles)
        if self.serves is not None and name.target not in self.serves:
            return "different-choreography", f"the process that {name.source} takes for {name.target} plays {self._served}", None
        if not self.awaits(name):
            return "unknown-session", f"the process of {name.target} plays other sessions, but not {name.session!r}", None
        return None

    def _other(self, name: ChannelName, chor: str, roles: Iterable[Role]) -> Refusal:
        reason = f"{name.target} plays {chor} [{' '.join(roles)}], which has no role {name.source}"
        return "different-choreography", reason, None

    @property
    def _served(self) -> str:
        served = [f"{role} of {service.chor.name}" for role, service in self._servers.items()]
        return " and ".join(served or sorted(self.serves or ())) or "nothing"

    def ended(self, name: ChannelName) -> Refusal:
        """The refusal when the target has left the session."""
        verdict = self._ended[name.session, name.target]
        if verdict is None:
            return "role-taken", f"{name.target} has played in a session of this name already", None
        return "peer-lost", "it has left this session already", verdict

    def cast_of(self, role: Role) -> frozenset[Role] | None:
        """The roles of the choreography in which `role` is served; None when it is not."""
        service = self._servers.get(role)
        return None if service is None else frozenset(service.chor.roles)

    def peer(self, name: ChannelName) -> Peer | None:
        """The source of a channel, as the seat that is its target sees it."""
        seat = self.seats.get((name.session, name.target))
        return None if seat is None else seat.peers.get(name.source)

    # --- For seats ----------------------------------------------------------------------------------------------------

    @property
    def meeting(self) -> str:
        return getattr(self.carrier, "meeting", "see that of each two processes one connects to the other")

    @property
    def turned_away(self) -> tuple[str, ...]:
        return getattr(self.carrier, "turned_away", ())

    def confirm(self, peer: Peer) -> None:
        route = peer.route
        if isinstance(route, Peer):
            route.seat.consumed(route, peer.incoming.told())
        else:
            self.carrier.confirm(peer)

    def wake(self, waiter: Waiter) -> None:
        if self.woken is None:
            waiter.wake_soon()
        else:
            self.woken.append(waiter)

    def closed(self, seat: Seat) -> None:
        self.seats.pop((seat.session, seat.role), None)
        self._ended[seat.session, seat.role] = seat.verdict
        if len(self._ended) > _ENDED:
            self._ended.popitem(last=False)
        self.carrier.released(seat)

    def came(self, seat: Seat, role: Role) -> None:
        for roster in self.rosters:
            roster.came(seat, role)

    def went(self, seat: Seat, role: Role, verdict: Verdict | None, lost: bool = False) -> None:
        for roster in self.rosters:
            roster.went(seat, role, verdict, lost)

    def unreachable(self, host: str) -> None:
        """The carrier has lost the process that it calls `host`."""
        for roster in self.rosters:
            roster.unreachable(host)

    def _record(self, record: Record) -> None:
        for observer in self.observers:
            observer(record)

    def observe(self, observer: Callable[[Record], None]) -> Callable[[], None]:
        """Call `observer` with everything that happens at this node's roles; what is given back ends that."""
        self.observers.append(observer)
        for seat in self.seats.values():
            seat.observer = self._record

        def end() -> None:
            self.observers.remove(observer)
            for seat in self.seats.values():
                seat.observer = self._record if self.observers else None

        return end


def _connect(peer: Peer, other: Peer) -> None:
    """Let `peer`'s frames go to `other`, the same direction as a seat of this node sees it from the other end."""
    peer.route = other
    peer.post = partial(other.seat.arrived, other)


class _Service:
    """A role that is played for whoever asks."""

    def __init__(
        self, chor: Choreography, role: Role, play: Server, deadline: float | None, order: str | None, room: anyio.Semaphore
    ) -> None:
        self.chor = chor
        self.role = role
        self.play = play
        self.deadline = deadline
        self.order = order
        self.room = room
        #: Sessions that others began and that wait for room.
        self.begun: set[str] = set()
        self.start: Callable[[str], None] | None = None
