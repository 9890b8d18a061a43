"""A bridge between a world and the sessions of a node: choreographies between processes, as presence.

    async with World() as world, host(listen="127.0.0.1:4000", grace=0) as node, Bridge(world, node) as bridge:
        async with bridge.session(buy_book, "c1") as session:
            async with session.role("Seller", timeout=5) as me:
                await klorpy.play_role({"role": "Seller", "transport": me}, buy_book, catalogue)

There is one mechanism for messages and verdicts: the node's. The bridge shows in the world what the node knows, at the
moment when it learns of it: who plays which role where, who has left and why, and, while somebody asks for it, what the
roles here say and hear. For each process that is connected there is a relay in the world; when the connection is lost,
the relay goes, and with it all roles that it stood for, for the reason `("unreachable", host, since)`.

Across processes absence is suspicion: within the node's grace period and heartbeat two sides may disagree about who is
there. They never disagree about the verdict of a session that both play in, once they have one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar

from klorpy.conversations.actions import PUB, Absence, Add, Endpoint, Interest, Pid, Presence, Quit
from klorpy.conversations.actions import Role as Endpoints
from klorpy.conversations.pattern import ANY
from klorpy.conversations.player import Mailbox
from klorpy.conversations.players import DONE, Minutes, message_topic, minutes_endpoint
from klorpy.conversations.presence import World, together
from klorpy.conversations.projecting import HERE, Projection
from klorpy.conversations.tasks import Tell
from klorpy.core.choreography import Choreography
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.core.verdicts import SessionFailed, Verdict
from klorpy.runtime.sessions.fingerprint import sites_by_key
from klorpy.runtime.sessions.merging import Merge
from klorpy.runtime.sessions.node import DEADLINE, Located, Node
from klorpy.runtime.sessions.peer import Record
from klorpy.runtime.sessions.seat import Seat
from klorpy.runtime.transports.observer import Detached, Observation, Place, Seen, Sight

T = TypeVar("T")


class Bridge:
    """Shows in `world` the sessions that `node` takes part in, from all its roles, however they were joined.

    Use it as an asynchronous context manager, inside of those of the world and the node.

    >>> import anyio, klorpy
    >>> ns = klorpy.evaluate("(defchor ask [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))")
    >>> async def main():
    ...     async with World() as world, klorpy.host() as node, Bridge(world, node) as bridge:
    ...         async with bridge.session(ns.ask, "s1") as session:
    ...             async def play(me, *args):
    ...                 return await klorpy.play_role({"role": me.role, "transport": me}, ns.ask, *args)
    ...             return await session.run({"B": lambda me: play(me), "A": lambda me: play(me, 21)})
    >>> anyio.run(main)
    {'B': noop, 'A': 42}
    """

    def __init__(self, world: World, node: Node) -> None:
        self.world = world
        self.node = node
        self._shown = Projection(world)
        self._sessions: dict[str, BridgedSession] = {}
        self._demand = 0
        self._end_of_trace: Callable[[], None] | None = None
        self._mailbox = Mailbox(world.ground, self._demanded)
        self._pid: Pid | None = None

    async def __aenter__(self) -> Self:
        self.node.rosters.append(self)
        for seat in self.node.seats.values():
            self.came(seat, seat.role)
            for peer in seat.peers.values():
                if peer.joined and not peer.left:
                    self.came(seat, peer.role)
        # Values are made into text only while somebody asks for the messages of some session.
        tell = Tell(self._mailbox.token, "demand")
        asked = Endpoints(PUB, message_topic(ANY, ANY), Interest.EVERYTHING)
        self._pid = self.world.start(Add(Endpoint("demand", asked, tell, tell)), name="bridge")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.node.rosters.remove(self)
        if self._end_of_trace is not None:
            self._end_of_trace()
        assert self._pid is not None
        self.world.perform(self._pid, Quit(DONE))
        self._mailbox.close()
        self._shown.close()

    # --- Sessions -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def session(self, chor: Choreography, name: str) -> AsyncIterator[BridgedSession]:
        """A session of `chor` with other processes, as this one sees it.

        Leaving it leaves all roles that are played here. Raises KlorError `bad-argument` when this process is in a
        session of that name already.
        """
        if name in self._sessions:
            raise KlorError(
                f"there is a session {name} already", slug="bad-argument", help="give each session a name of its own"
            )
        session = self._sessions[name] = BridgedSession(self, chor, name)
        try:
            yield session
        finally:
            session.close()
            del self._sessions[name]

    async def restarting(
        self,
        chor: Choreography,
        name: str,
        play: Callable[[BridgedSession], Awaitable[T]],
        *,
        max_restarts: int = 3,
        within: float = 60,
    ) -> T:
        """Play a session, and when it fails the whole of it again, as session `name/2` and so on.

        This side demands: it says which session there is. The others supply, with `node.serve`: they play their roles
        in every session that is demanded of them. Raises what the last session raised when that was one too many:
        `max_restarts` within so many seconds.
        """
        restarts: deque[float] = deque()
        for attempt in count(1):
            try:
                async with self.session(chor, f"{name}/{attempt}") as session:
                    return await play(session)
            except (SessionFailed, ExceptionGroup) as error:
                now = self.world.ground.clock.now()
                while restarts and restarts[0] <= now - within:
                    restarts.popleft()
                if len(restarts) >= max_restarts or not _is_failure(error):
                    raise
                restarts.append(now)
        raise AssertionError("there is always another number")

    # --- What the node tells ------------------------------------------------------------------------------------------

    def came(self, seat: Seat, role: Role) -> None:
        self._shown.came(seat.mark.name, seat.session, role, self._host(seat, role))

    def _host(self, seat: Seat, role: Role) -> str:
        if (seat.session, role) in self.node.seats:
            return HERE
        carrier = self.node.carrier
        return (carrier.where(seat.peers[role]) if isinstance(carrier, Located) else "") or "elsewhere"

    def went(self, seat: Seat, role: Role, verdict: Verdict | None, lost: bool) -> None:
        host = self._shown.host_of(seat.session, role)
        if role == seat.role:
            session = self._sessions.get(seat.session)
            if session is not None and verdict is not None and session.failure is None:
                session.failure = verdict
        elif host is None or host == HERE:
            return  # its own seat says when it leaves
        reason: Any = DONE if verdict is None else verdict
        if lost and host is not None and verdict is not None and verdict.slug == "peer-lost":
            reason = self._shown.since(host)
        self._shown.went(seat.session, role, reason)

    def unreachable(self, host: str) -> None:
        self._shown.unreachable(host)

    def _demanded(self, event: Any) -> None:
        match event:
            case Presence():
                self._demand += 1
            case Absence():
                self._demand -= 1
        if self._demand and self._end_of_trace is None:
            self._end_of_trace = self.node.observe(self._record)
        elif not self._demand and self._end_of_trace is not None:
            self._end_of_trace()
            self._end_of_trace = None

    def _record(self, record: Record) -> None:
        """What a role here says, and what it hears from elsewhere."""
        if record.kind == "sent":
            source, target = record.role, record.peer
        elif record.kind == "received" and (record.session, record.peer) not in self.node.seats:
            source, target = record.peer, record.role
        else:
            return
        seat = self.node.seats[record.session, record.role]
        site = seat.site(record.key)
        self._shown.said(seat.mark.name, record.session, source, target, record.stamp, site, record.text)


class BridgedSession:
    """One session, as this process sees it."""

    def __init__(self, bridge: Bridge, chor: Choreography, name: str) -> None:
        self.world = bridge.world
        self.chor = chor
        self.name = name
        self.failure: Verdict | None = None
        self._node = bridge.node
        self._seats: list[Seat] = []
        self._minutes = self.world.start(
            Add(minutes_endpoint(chor.name, name)), name=f"session {name}", state=Minutes()
        )

    @property
    def minutes(self) -> Minutes:
        found = self.world.ground.kernel.state_of(self._minutes)
        return found if isinstance(found, Minutes) else Minutes()

    @property
    def verdict(self) -> Verdict | None:
        """Why the session failed, and at whom: the same in all processes. None when it did not."""
        return self.failure or self.minutes.verdict

    def population(self) -> tuple[Role, ...]:
        """The roles that are played now, here or elsewhere. Known while a role is played here."""
        return tuple(sorted({role for role, _ in self.minutes.population}))

    def where(self) -> dict[Role, str]:
        """Where each role is played: a host, or "here"."""
        return {role: instance[0] for role, instance in sorted(self.minutes.population)}  # type: ignore[index]

    def events(self) -> Any:
        """Who comes and goes, as an asynchronous iterator within `async with`."""
        return self.world.observe(minutes_endpoint(self.chor.name, self.name).role)

    @asynccontextmanager
    async def role(self, role: Role, timeout: float | None = DEADLINE) -> AsyncIterator[Seat]:
        """Play a role: the body begins when the cast is complete, wherever the others are. See `Node.join`."""
        async with AsyncExitStack() as stack:
            seat = await stack.enter_async_context(self._node.join(self.chor, role, self.name, deadline=timeout))
            self._seats.append(seat)
            yield seat

    async def run(
        self, bodies: Mapping[Role, Callable[[Seat], Awaitable[Any]]], timeout: float | None = DEADLINE
    ) -> dict[Role, Any]:
        """Play several roles here; see `Session.run`."""
        title = f"session {self.name} of {self.chor.name}"
        return await together(title, bodies, lambda role: self.role(role, timeout), lambda: self.verdict)

    def close(self) -> None:
        for seat in self._seats:
            if not seat.closed:
                seat.fail(KlorError("the session was closed", slug="session-failed"))
        self.world.perform(self._minutes, Quit(DONE))


def _is_failure(error: BaseException) -> bool:
    """Whether it is a session that failed, and not only somebody's group of errors."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(_is_failure, error.exceptions))
    return isinstance(error, SessionFailed)


# --- Sessions in which this process has no part -----------------------------------------------------------------------


class Onlooker:
    """Shows in `world` what an observation of nodes tells: the roles that they play, and what these say.

    `choreographies` are those whose sites are to be known. Messages are told in an order in which each comes after what
    caused it.

        async with observe(["127.0.0.1:4000", "127.0.0.1:4001"]) as observation:
            await Onlooker(world, [buy_book]).follow(observation)
    """

    def __init__(self, world: World, choreographies: list[Choreography] | None = None) -> None:
        self._shown = Projection(world)
        self._sites = {chor.name: sites_by_key(chor) for chor in choreographies or ()}
        self._chors: dict[str, str] = {}
        self._merges: dict[str, Merge] = {}
        self._roles: dict[Place, set[tuple[str, Role]]] = {}

    async def follow(self, observation: Observation) -> None:
        """Show what comes, until all nodes have ended."""
        try:
            while (sight := await observation.next()) is not None:
                self.see(sight)
        finally:
            self._shown.close()

    def see(self, sight: Sight) -> None:
        """Show one thing."""
        match sight:
            case Seen(address, record):
                self._roles.setdefault(address, set()).add((record.session, record.role))
                merge = self._merges.setdefault(record.session, Merge())
                for ready in merge.add(record):
                    self._tell(ready, str(address))
            case Detached(address, reason):
                for session, role in self._roles.pop(address, ()):
                    for ready in self._merges[session].without(role):
                        self._tell(ready, str(address))
                if reason:
                    self._shown.unreachable(str(address))
            case _:
                pass

    def _tell(self, record: Record, host: str) -> None:
        session = record.session
        match record.kind:
            case "joined":
                chor = self._chors[session] = record.text.partition(" ")[0]
                self._shown.came(chor, session, record.role, host)
            case "left":
                self._shown.went(session, record.role, Verdict(record.peer, record.text) if record.peer else DONE)
            case "sent":
                chor = self._chors.get(session, "")
                site = self._sites.get(chor, {}).get(record.key)
                self._shown.said(chor, session, record.role, record.peer, record.stamp, site, record.text)
            case _:
                pass
