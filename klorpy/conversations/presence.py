"""Presence for choreographies: the roles of a session find each other, and fail together.

    async with World() as world:
        async with world.session(buy_book, "c1") as session:
            async with session.role("B", timeout=5) as me:         # when the cast is complete; or RolesMissing
                await klorpy.play_role({"role": "B", "transport": me}, buy_book, order)

There is no order in which roles have to start. Who plays a role is a transport for `play_role`. A session has one
verdict: when a role leaves before its part is done, every other one that still needs the session fails with what the
first one said, at once where it waits for a message, and at its next wait where it does something else.

Source: rendezvous by presence after os2 (T. Garnock-Jones, 2012); one verdict per session after the two-phase failure
reports of Erlang's supervisors, without their trees.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import count
from types import TracebackType
from typing import Any, Protocol, TypeVar

import anyio
import anyio.abc
import anyio.lowlevel

from klorpy.conversations.actions import (
    Absence,
    Add,
    Endpoint,
    Orientation,
    Peer,
    Pid,
    Presence,
    Quit,
    Role,
    Spawn,
)
from klorpy.conversations.clock import Clock
from klorpy.conversations.ground import Ground
from klorpy.conversations.pattern import Topic
from klorpy.conversations.player import Mailbox, Player
from klorpy.conversations.players import (
    DONE,
    Complete,
    Minutes,
    minutes_endpoint,
)
from klorpy.conversations.snapshot import Snapshot, snapshot
from klorpy.conversations.supervise import supervisor
from klorpy.conversations.tasks import Tell
from klorpy.core.choreography import Choreography, Definition
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role as RoleName
from klorpy.core.verdicts import SessionFailed, Verdict

T = TypeVar("T")
P = TypeVar("P")


class Named(Protocol):
    """What a session is one of: a choreography."""

    @property
    def name(self) -> str: ...

    @property
    def roles(self) -> tuple[RoleName, ...]: ...


class World:
    """A ground VM in which sessions take place, in one process.

    >>> import klorpy
    >>> ns = klorpy.evaluate("(defchor ask [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))")
    >>> async def main():
    ...     async with World() as world, world.session(ns.ask, "s1") as session:
    ...         async def play(me, *args):
    ...             return await klorpy.play_role({"role": me.role, "transport": me}, ns.ask, *args)
    ...         return await session.run({"B": lambda me: play(me), "A": lambda me: play(me, 21)})
    >>> anyio.run(main)
    {'B': noop, 'A': 42}
    """

    def __init__(self, clock: Clock | None = None, *, logging: bool = False) -> None:
        self.ground = Ground(clock, logging=logging)
        self.sessions: dict[tuple[str, Any], Session] = {}
        #: Those that `join` has opened, and how many are in them.
        self._joined: dict[tuple[str, Any], tuple[Session | None, int, AsyncExitStack]] = {}
        self._tasks: anyio.abc.TaskGroup | None = None

    async def __aenter__(self) -> World:
        self._tasks = await anyio.create_task_group().__aenter__()
        self.ground.kept_alive += 1
        self._tasks.start_soon(self.ground.run)
        # Requests can be performed only while the ground runs.
        await anyio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        if isinstance(error, Exception):
            # What the body raised is raised as it is, not in a group.
            await self._tasks.__aexit__(None, None, None)
            return None
        return await self._tasks.__aexit__(kind, error, trace)

    # --- Processes ----------------------------------------------------------------------------------------------------

    def start(self, *actions: Any, name: str = "", state: Any = None) -> Pid:
        """Start a process with these actions, which are performed before this returns."""
        pid = self.ground.kernel.start(name, list(actions), state)
        self._settle()
        return pid

    def perform(self, process: Pid, *actions: Any) -> None:
        """Let a process perform actions; a dead one does nothing."""
        self.ground.kernel.enqueue(process, list(actions))
        self._settle()

    def _settle(self) -> None:
        self.ground.pump()
        self.ground.wake()

    def query(self, orientation: Orientation, topic: Topic) -> tuple[tuple[Peer, Topic], ...]:
        """The participants that meet a topic now, each with the topic in common."""
        return self.ground.kernel.query(orientation, topic)

    def snapshot(self) -> Snapshot:
        """Processes, endpoints, and who sees whom, now."""
        return snapshot(self.ground.kernel)

    @asynccontextmanager
    async def observe(self, role: Role) -> AsyncIterator[AsyncIterator[Presence | Absence | Any]]:
        """Take part in conversations and iterate over what happens there.

        `world.observe(observe_publishers(("role", ANY, ANY, ANY, ANY)))` is the roster of all sessions, and
        `world.observe(subscriber(("msg", ANY, "c1", ANY, ANY, ANY, ANY)))` the trace of one.
        """
        items: deque[Any] = deque()
        changed = anyio.Event()

        def put(item: Any) -> None:
            items.append(item)
            changed.set()

        mailbox = Mailbox(self.ground, put)
        tell = Tell(mailbox.token, "observed")
        pid = self.start(Add(Endpoint("observed", role, tell, tell, tell)), name="observer")

        async def events() -> AsyncGenerator[Any, None]:
            nonlocal changed
            while True:
                while not items:
                    changed = anyio.Event()
                    await changed.wait()
                yield items.popleft()

        iterator = events()
        try:
            yield iterator
        finally:
            await iterator.aclose()
            self.perform(pid, Quit(DONE))
            mailbox.close()

    # --- Sessions -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def session(
        self, chor: Named | str, name: Any, roles: Iterable[RoleName] = (), complete: Complete | None = None
    ) -> AsyncIterator[Session]:
        """A session of a choreography, or of anything that has a name and roles; leaving it withdraws all its roles.

        A session that failed is over: who plays in it later fails with its verdict. Another run is another session.
        The cast is complete when every role is played, or when `complete(roles that are played)` is true. Raises
        KlorError `bad-argument` when there is a session of that name already, or the world is not open.
        """
        if self._tasks is None:
            raise KlorError(
                "the world is not open", slug="bad-argument", help="write `async with World() as world:` around sessions"
            )
        title = chor if isinstance(chor, str) else chor.name
        cast = tuple(roles) if isinstance(chor, str) else tuple(chor.roles)
        if (title, name) in self.sessions:
            raise KlorError(
                f"there is a session {name} of {title} already",
                slug="bad-argument",
                help="give each session a name of its own",
            )
        session = Session(self, title, name, cast, complete or frozenset(cast).issubset)
        self.sessions[title, name] = session
        try:
            yield session
        finally:
            session.close()
            del self.sessions[title, name]

    @asynccontextmanager
    async def join(
        self, chor: Choreography, role: RoleName, session: str, *, deadline: float | None = None
    ) -> AsyncIterator[Player]:
        """Play a role in a session that is there as long as anybody plays in it; see `Session.role`.

        Who comes with another text of the choreography than the first one fails the session.
        """
        key = (chor.name, session)
        found, count, stack = self._joined.get(key, (None, 0, AsyncExitStack()))
        if found is None:
            found = await stack.enter_async_context(self.session(chor, session))
            found.definition = chor.defined()
        self._joined[key] = (found, count + 1, stack)
        try:
            async with found._playing(role, deadline, chor.defined()) as player:
                # Only who plays is cancelled when the session fails, not what is around it.
                player.watch(_nothing)
                yield player
        finally:
            _, count, _ = self._joined[key]
            self._joined[key] = (found, count - 1, stack)
            if count == 1:
                del self._joined[key]
                await stack.aclose()

    async def restarting(
        self,
        chor: Named | str,
        name: Any,
        play: Callable[[Session], Awaitable[T]],
        *,
        roles: Iterable[RoleName] = (),
        max_restarts: int = 3,
        within: float = 60,
    ) -> T:
        """Play a session, and when it fails the whole of it again, as session `(name, 2)` and so on.

        A role is never restarted alone: the others are in the middle of something with the one that failed. Raises what
        the last session raised when that was the one too many: `max_restarts` within so many seconds.
        """
        restarts: deque[float] = deque()
        for attempt in count(1):
            try:
                async with self.session(chor, (name, attempt), roles) as session:
                    return await play(session)
            except (SessionFailed, ExceptionGroup):
                now = self.ground.clock.now()
                while restarts and restarts[0] <= now - within:
                    restarts.popleft()
                if len(restarts) >= max_restarts:
                    raise
                restarts.append(now)
        raise AssertionError("there is always another number")

    def supervise(
        self,
        demand: Role,
        supply: Role,
        start: Callable[[Topic], Spawn],
        *,
        max_restarts: int = 3,
        within: float | None = None,
    ) -> Pid:
        """Keep one supplier for each topic that is demanded; see `supervisor`. Killing the process ends that."""
        name = f"supervisor {self.ground.number('supervisor')}"
        self.start(supervisor(demand, supply, start, max_restarts=max_restarts, within=within, name=name))
        pid = self.ground.kernel.find(name)
        assert pid is not None
        return pid


class Session:
    """One run of a choreography, by whoever plays its roles."""

    def __init__(self, world: World, chor: str, name: Any, roles: tuple[RoleName, ...], complete: Complete) -> None:
        self.world = world
        self.chor = chor
        self.name = name
        self.roles = roles
        self.complete = complete
        #: What is played, when that is known.
        self.definition: Definition | None = None
        self._instances: Counter[RoleName] = Counter()
        self._players: set[Player] = set()
        self._minutes = world.start(Add(minutes_endpoint(chor, name)), name=f"session {name}", state=Minutes())

    @property
    def title(self) -> str:
        name = "/".join(map(str, self.name)) if isinstance(self.name, tuple) else str(self.name)
        return f"session {name} of {self.chor}"

    @property
    def minutes(self) -> Minutes:
        found = self.world.ground.kernel.state_of(self._minutes)
        return found if isinstance(found, Minutes) else Minutes()

    @property
    def verdict(self) -> Verdict | None:
        """Why the session failed, and at whom; None when it did not."""
        return self.minutes.verdict

    def population(self) -> tuple[RoleName, ...]:
        """The roles that are played now."""
        return tuple(sorted({role for role, _ in self.minutes.population}))

    @asynccontextmanager
    async def role(self, role: RoleName, timeout: float | None = None) -> AsyncIterator[Player]:
        """Play a role: the body begins when the cast is complete.

        When it ends, the role has done its part; when it raises, the session fails. Raises RolesMissing when the cast
        is not complete after `timeout` seconds, SessionFailed when the session fails meanwhile, and KlorError
        `role-not-part` for another role, and `role-taken` for one that is played already.
        """
        async with self._playing(role, timeout, None) as player:
            yield player

    @asynccontextmanager
    async def _playing(
        self, role: RoleName, timeout: float | None, definition: Definition | None
    ) -> AsyncIterator[Player]:
        player = self._player(role)
        async with player:
            if definition is not None and self.definition is not None and not _same(definition, self.definition):
                player.leave(Verdict(role, f"the text of {self.chor} differs", slug="different-choreography"))
                raise player.error()
            await player.begin(timeout)
            yield player

    async def run(
        self, bodies: Mapping[RoleName, Callable[[Player], Awaitable[Any]]], timeout: float | None = None
    ) -> dict[RoleName, Any]:
        """Play several roles here, each by a coroutine function of its player, and give what they return.

        Roles that are left out are played by others: without `timeout` they are waited for as long as it takes.
        When one fails, the others are waited for. Raises an exception group then: first the error of the role that
        the verdict names, if it is played here, then what the others raised.
        """
        return await together(self.title, bodies, lambda role: self.role(role, timeout), lambda: self.verdict)

    @asynccontextmanager
    async def session(self, chor: Named | str, call: Any, roles: Iterable[RoleName] = ()) -> AsyncIterator[Session]:
        """A session within this one, named by the call that it is: what happens there is seen here by its result only."""
        path = self.name if isinstance(self.name, tuple) else (self.name,)
        async with self.world.session(chor, (*path, call), roles) as inner:
            yield inner

    def events(self) -> Any:
        """Who comes and goes, as an asynchronous iterator within `async with`."""
        from_here = minutes_endpoint(self.chor, self.name).role
        return self.world.observe(from_here)

    def close(self) -> None:
        """Withdraw all roles; those that are played still fail."""
        for player in list(self._players):
            player.leave("the session was closed")
        self.world.perform(self._minutes, Quit(DONE))

    def _player(self, role: RoleName) -> Player:
        if role not in self.roles:
            raise KlorError(
                f"{role} is not a role of {self.chor}",
                slug="role-not-part",
                help=f"its roles are [{' '.join(self.roles)}]",
            )
        if any(player.role == role for player in self._players):
            raise KlorError(
                f"{role} of session {self.name} is played already",
                slug="role-taken",
                help="hand the role over, or start another session",
            )
        return Player(self, role)


def _nothing() -> None:
    """Cancel nothing."""


def _same(one: Definition, other: Definition) -> bool:
    """Whether two definitions have the same text."""
    return one is other or (
        one.signature == other.signature
        and [(site.kind, site.text) for site in one.sites] == [(site.kind, site.text) for site in other.sites]
    )


async def together(
    title: str,
    bodies: Mapping[RoleName, Callable[[P], Awaitable[Any]]],
    enter: Callable[[RoleName], AbstractAsyncContextManager[P]],
    verdict_now: Callable[[], Verdict | None],
) -> dict[RoleName, Any]:
    """Play several roles of one session at once; see `Session.run`."""
    results: dict[RoleName, Any] = {}
    errors: dict[RoleName, Exception] = {}

    async def play(role: RoleName, body: Callable[[P], Awaitable[Any]]) -> None:
        try:
            async with enter(role) as me:
                results[role] = await body(me)
        except Exception as error:
            # All are collected: the session is to be told of by its verdict, not by who noticed first.
            errors[role] = error

    async with anyio.create_task_group() as tasks:
        for role, body in bodies.items():
            tasks.start_soon(play, role, body)
    if errors:
        verdict = verdict_now()
        guilty = verdict.role if verdict is not None else None
        ordered = sorted(errors, key=lambda role: role != guilty)
        raise ExceptionGroup(f"{title} failed: {verdict}", [errors[role] for role in ordered])
    return {role: results[role] for role in bodies}
