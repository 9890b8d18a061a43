"""Asynchronous functions as processes.

    task(function) = the action that spawns the process whose body is `await function(actor)`

The process is there as long as the function runs: when it returns, the process quits with "done"; when it raises, with
the exception; and when the process is ended by others, the function is cancelled. In between the function lets the
process act, `actor.perform(…)`, and reads what its endpoints are told, `await actor.next()`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio

from klorpy.conversations.actions import Absence, Add, Endpoint, Message, Presence, Quit, Role, Send, Spawn, subscriber
from klorpy.conversations.ground import Failure, Ground, Request, Source
from klorpy.conversations.pattern import ANY, Sealed


class Actor:
    """What the function of a task has in its hand."""

    def __init__(self, ground: Ground, token: Token) -> None:
        self._ground = ground
        self._token = token
        self._events: deque[tuple[Any, Presence | Absence | Message]] = deque()
        self._arrived = anyio.Event()

    def perform(self, *actions: Any) -> None:
        """Let the process perform actions, now if nothing else is under way."""
        self._ground.inject((self._token, list(actions)))

    def join(self, name: Any, role: Role) -> None:
        """Take part; what the endpoint is told, `next` gives."""
        tell = Tell(self._token, name)
        self.perform(Add(Endpoint(name, role, tell, tell, tell)))

    async def next(self) -> tuple[Any, Presence | Absence | Message]:
        """The next thing that an endpoint was told, with the endpoint's name."""
        while not self._events:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._events.popleft()

    def put(self, name: Any, event: Presence | Absence | Message) -> None:
        self._events.append((name, event))
        self._arrived.set()


Body = Callable[[Actor], Awaitable[Any]]


class Token:
    """Names one task; a token is equal to itself alone."""

    __slots__ = ()

    def __deepcopy__(self, memo: Any) -> Token:
        return self


@dataclass(frozen=True, slots=True)
class Running(Source):
    """The end of a task. Demanding it runs the task."""

    token: Token
    body: Body

    async def ready(self, ground: Ground) -> None:
        actor = Actor(ground, self.token)
        ground.resources[self.token] = _Listening(actor)
        try:
            await self.body(actor)
        except Exception as error:
            ground.resources[self.token] = _Listening(actor, error)

    def take(self, ground: Ground) -> Any:
        resource = ground.resources.pop(self.token)
        assert isinstance(resource, _Listening)
        return "done" if resource.error is None else resource.error


@dataclass(frozen=True, slots=True)
class _Listening:
    actor: Actor
    error: Exception | None = None

    def put(self, name: Any, event: Any) -> None:
        self.actor.put(name, event)

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class Put(Request):
    """Give an event to a task."""

    token: Token
    name: Any
    #: Sealed, since the topic of a presence has wildcards, which no message may have.
    event: Sealed

    def perform(self, ground: Ground) -> None:
        resource: Any = ground.resources.get(self.token)
        if resource is not None:
            resource.put(self.name, self.event.value)


@dataclass(frozen=True, slots=True)
class Tell:
    """The handler of an endpoint whose events a task reads."""

    token: Token
    name: Any

    def __call__(self, event: Any, state: Any) -> Send:
        return Send(("ground", Put(self.token, self.name, Sealed(event))))


def task(function: Body, name: str = "") -> Spawn:
    """The action that spawns a process which is an asynchronous function.

    >>> from klorpy.conversations import Ground, VirtualClock, ground_vm, publisher
    >>> async def watch(actor):
    ...     actor.join("in", subscriber(("chat", ANY)))
    ...     name, event = await actor.next()
    ...     print(event.body)
    >>> async def speak(actor):
    ...     actor.perform(Send(("chat", "hello")))
    >>> ground = ground_vm([task(watch), task(speak)], VirtualClock())
    ('chat', 'hello')
    """
    token = Token()

    def boot() -> list[Add]:
        return [
            Add(Endpoint("act", subscriber((token, ANY)), on_message=lambda event, state: event.body[1])),
            Add(Endpoint("body", subscriber((Running(token, function), ANY)), on_message=_ended)),
        ]

    return Spawn(boot, name or getattr(function, "__name__", ""))


def _ended(event: Message, state: Any) -> Quit:
    value = event.body[1]
    return Quit(value if not isinstance(value, Failure) else value.text)
