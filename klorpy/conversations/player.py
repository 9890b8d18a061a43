"""Who plays a role of a session: a transport, and the session that `play_role` knows.

    await me.send(target, value, site)      await me.receive(source, site)      await me.close()

A player is told by its process who has come, who has left and what has arrived. What was sent before a failure is
received before it; then every operation raises what the session's verdict is. A failure also cancels the player where it
does something else than to wait for a message.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import anyio

from klorpy.conversations.actions import Add, Pid, Quit, Send, Spawn, Transition
from klorpy.conversations.ground import Ground
from klorpy.conversations.pattern import Sealed
from klorpy.conversations.players import (
    DONE,
    HANDED_OVER,
    Arrived,
    Cast,
    Left,
    Lost,
    Missing,
    Started,
    deadline,
    player_endpoints,
    verdict_of,
)
from klorpy.conversations.tasks import Token
from klorpy.core.choreography import Site
from klorpy.core.diagnostics import Diagnostic, KlorError
from klorpy.core.types import Role as RoleName
from klorpy.core.values import NotCopyable, isolate
from klorpy.core.verdicts import RolesMissing, SessionFailed, Verdict, session_failed, transport_closed

if TYPE_CHECKING:
    from klorpy.conversations.presence import Session


class Mailbox:
    """What a process tells a task, in order. It is a resource of the ground, under the token that the process knows."""

    def __init__(self, ground: Ground, on_item: Callable[[Any], object]) -> None:
        self.token = Token()
        self.on_item = on_item
        self._ground = ground
        ground.resources[self.token] = self

    def put(self, name: Any, item: Any) -> None:
        self.on_item(item)

    def close(self) -> None:
        self._ground.resources.pop(self.token, None)

    async def aclose(self) -> None:
        """Nothing is open."""


class Player:
    """Who plays a role: a transport for `klorpy.play_role`."""

    def __init__(self, session: Session, role: RoleName, mailbox: Mailbox | None = None) -> None:
        self.session = session
        self.role = role
        self.verdict: Verdict | None = None
        self.steps = 0
        self._world = session.world
        self._mailbox = mailbox or Mailbox(self._world.ground, self._told)
        self._mailbox.on_item = self._told
        self._inbox: dict[RoleName, deque[tuple[Site | None, Any]]] = {}
        self._gone: set[RoleName] = set()
        self._started = False
        self._missing: tuple[RoleName, ...] | None = None
        self._site: Site | None = None
        self._peer: RoleName | None = None
        self._waiting = 0
        self._closed = False
        self._scope = anyio.CancelScope()
        self._cancel: Callable[[], object] = self._scope.cancel
        self._pid: Pid | None = None
        self._changed = anyio.Event()

    # --- Coming and going ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Player:
        self.session._players.add(self)
        self._scope.__enter__()
        if self._pid is None:
            self._join()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.leave(DONE if error is None else self._cause(error))
        cancelled = bool(self._scope.__exit__(kind, error, trace))
        if cancelled and self.verdict is not None:
            raise self._failure() from None
        return cancelled

    def _join(self) -> None:
        session = self.session
        verdict = session.verdict
        if verdict is not None:
            self._fail(verdict)
            return
        session._instances[self.role] += 1
        cast = Cast(self._mailbox.token, session.chor, session.name, self.role, session.roles, session.complete)
        endpoints = [Add(endpoint) for endpoint in player_endpoints(cast, session._instances[self.role])]
        self._pid = self._world.start(*endpoints, name=f"{self.role} of {session.name}", state=cast)

    async def begin(self, timeout: float | None = None) -> None:
        """Wait until the cast is complete."""
        if timeout is not None and not self._started and self._pid is not None:
            self._world.perform(self._pid, deadline(self._world.ground.clock.now() + timeout))
        await self._until(lambda: self._started or self._missing is not None)
        if self._missing is not None and not self._started:
            names = " and ".join(self._missing) or "nobody"
            error = RolesMissing(
                Diagnostic(
                    "roles-missing",
                    f"{self.session.title} could not begin: {names} did not come within {timeout:g} s",
                    help=f"start who plays {names}, or give more time",
                ),
                self._missing,
            )
            error.verdict = self.session.verdict
            raise error

    def leave(self, reason: Any) -> None:
        """Play no more. Anything but "done" fails the session."""
        if self._closed:
            return
        self._closed = True
        self._mailbox.close()
        self.session._players.discard(self)
        if self._pid is not None:
            self._world.perform(self._pid, Quit(reason))
        if reason not in (DONE, HANDED_OVER) and self.verdict is None:
            # Somebody may have been first.
            self.verdict = self.session.verdict or verdict_of(self.role, reason)
        self._change()

    async def close(self) -> None:
        """Leave: the part is done, or, called while an exception is handled as `play_role` does, it failed with that."""
        error = sys.exception()
        self.leave(DONE if error is None else self._cause(error))

    def fail(self, error: BaseException, place: str = "") -> None:
        """This role has failed with `error`, at `place` of the text."""
        self.leave(self._cause(error, place))

    def watch(self, cancel: Callable[[], object]) -> None:
        """Call `cancel` when the session fails while the role does something else than to wait for a message."""
        self._cancel = cancel
        if self.verdict is not None:
            cancel()

    async def settle(self) -> None:
        """Nothing is on its way: a world tells its players at once."""

    def error(self) -> BaseException:
        """What the role raises when it was cancelled because the session has failed."""
        return self._failure()

    def hand_over(self) -> Player:
        """Let another one play on, who is used in `async with` as this one was; nobody misses the role.

        What was received and not taken yet goes along.
        """
        successor = Player(self.session, self.role, self._mailbox)
        successor._inbox, successor._gone, successor._started = self._inbox, self._gone, self._started
        successor.steps = self.steps
        self.session._instances[self.role] += 1
        instance = self.session._instances[self.role]
        kernel = self._world.ground.kernel
        assert self._pid is not None
        cast: Cast = kernel.state_of(self._pid)
        name = f"{self.role} of {self.session.name}, {instance}"
        endpoints = player_endpoints(cast, instance)
        self._world.perform(
            self._pid,
            Spawn(lambda: Transition(replace(cast, population=frozenset())), name, endpoints=endpoints),
            Quit(HANDED_OVER),
        )
        successor._pid = kernel.find(name)
        self._closed = True
        self.session._players.discard(self)
        return successor

    # --- The transport ------------------------------------------------------------------------------------------------

    async def send(self, target: RoleName, value: Any, site: Site | None = None) -> None:
        """Give `value` to another role; what arrives is a copy. Raises SessionFailed."""
        self._at(target, site)
        self._check(site)
        if target in self._gone:
            raise self._left_early(target)
        try:
            copy = isolate(value)
        except NotCopyable as error:
            message = f"{self.role} sends a {error.args[0]}, which cannot be copied to another role"
            raise KlorError(_diagnostic(site, "not-copyable", message)) from None
        session = self.session
        assert self._pid is not None
        self.steps += 1
        body = ("msg", session.chor, session.name, self.role, target, self.steps, Sealed((site, copy)))
        self._world.perform(self._pid, Send(body))

    async def receive(self, source: RoleName, site: Site | None = None) -> Any:
        """The next value from another role. Raises SessionFailed: what was sent before a failure is received first."""
        self._at(source, site)
        inbox = self._inbox.setdefault(source, deque())
        await self._until(lambda: inbox or source in self._gone, site)
        if not inbox:
            raise self._left_early(source)
        sent_at, value = inbox.popleft()
        self.steps += 1
        if sent_at is not site:
            message = f"{self.role} waits at {site}, but {source} sent a message of {sent_at}"
            help = "the roles took different ways: look for an agreement that does not hold, with sanitize=True"
            raise KlorError(_diagnostic(site, "protocol-mismatch", message, help))
        return value

    async def recv(self, source: RoleName) -> Any:
        """The next value from another role."""
        return await self.receive(source)

    # --- What its process tells ---------------------------------------------------------------------------------------

    def _told(self, news: Any) -> None:
        match news:
            case Started():
                self._started = True
            case Missing(roles):
                self._missing = roles
            case Left(role):
                self._gone.add(role)
            case Arrived(source, payload):
                self._inbox.setdefault(source, deque()).append(payload.value)
            case Lost(verdict):
                self._fail(verdict)
        self._change()

    def _fail(self, verdict: Verdict) -> None:
        self.verdict = verdict
        if not self._waiting:
            # It does something else, which is of no use any more.
            self._cancel()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _until(self, condition: Callable[[], Any], site: Site | None = None) -> None:
        """Wait until something holds, or the session has failed. Several tasks may wait at once."""
        while not condition():
            self._check(site)
            self._waiting += 1
            try:
                await self._changed.wait()
            finally:
                self._waiting -= 1

    def _check(self, site: Site | None) -> None:
        if self.verdict is not None:
            raise self._failure()
        if self._closed and site is not None:
            raise transport_closed(self.role, self.session.title, site)
        if self._closed:
            message = f"{self.role} has left {self.session.title}"
            raise KlorError(message, slug="transport-closed", help="play within `async with session.role(…)`")

    def _at(self, peer: RoleName, site: Site | None) -> None:
        self._peer, self._site = peer, site

    def _failure(self) -> SessionFailed:
        assert self.verdict is not None
        return session_failed(self.session.title, self.verdict, self.role, self._peer, self._site)

    def _left_early(self, role: RoleName) -> SessionFailed:
        """A role has left, and this one is not done with it: that fails the session, for everybody."""
        self.leave(Verdict(role, f"left before {self.role} was done with it", slug="peer-lost"))
        assert self.verdict is not None
        return self._failure()

    def _cause(self, error: BaseException, place: str = "") -> Verdict:
        """The verdict when the role ends with an exception."""
        if self.verdict is not None:
            return self.verdict
        if isinstance(error, BaseExceptionGroup):
            return self._cause(error.exceptions[0], place)
        if not isinstance(error, Exception):
            return verdict_of(self.role, "it was cancelled")
        if not place and self._site is not None:
            place = f"{self._site.filename}:{self._site.span}"
        return Verdict.of(self.role, error, self.steps, place)


def _diagnostic(site: Site | None, slug: str, message: str, help: str = "") -> Diagnostic:
    if site is None:
        return Diagnostic(slug, message, help=help)
    return site.diagnostic(slug, message, help)
