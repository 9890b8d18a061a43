"""The words of the talk, as functions: the surface for programs in Python, which the macros for Hy expand to as well.

    role("in", subscriber(("chat", ANY)), on_message=heard)      the action that takes part
    observer(publisher(("chat", ANY)))                           the role of who watches publishers, unseen
    transition(state, send(("chat", "hello")), quit("done"))     an answer
    at_meta_level(send(…), …)                                    actions in the container of the VM

Every function gives plain data, an action or a role, which can be looked at and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from klorpy.conversations.actions import (
    Absence,
    Add,
    Delete,
    Endpoint,
    Feedback,
    Handler,
    Interest,
    Kill,
    Message,
    Meta,
    Orientation,
    Pid,
    Presence,
    Query,
    Quit,
    Replace,
    Role,
    Send,
    Spawn,
    Transition,
    Yield,
    endpoints_of,
)
from klorpy.conversations.pattern import Topic

S = TypeVar("S")


def role(
    name: Any,
    plays: Role,
    on_presence: Callable[[Presence, S], Any] | None = None,
    on_absence: Callable[[Absence, S], Any] | None = None,
    on_message: Callable[[Message, S], Any] | None = None,
) -> Add:
    """Take part in conversations, under a name of the process's own.

    >>> from klorpy.conversations import ANY, subscriber
    >>> role("in", subscriber(("chat", ANY))).endpoint.name
    'in'
    """
    return Add(Endpoint(name, plays, on_presence, on_absence, on_message))


def observer(watched: Role) -> Role:
    """Who is told about those that play a role, and is not seen by them.

    >>> from klorpy.conversations import ANY, publisher
    >>> observer(publisher(("chat", ANY))).orientation
    Orientation.SUB
    """
    return Role(watched.orientation.opposite, watched.topic, Interest.OBSERVER)


def everything(watched: Role) -> Role:
    """Who is told about those that play a role and about their observers, too."""
    return replace(observer(watched), interest=Interest.EVERYTHING)


def transition(state: Any, *actions: Any) -> Transition:
    """A new state, and actions."""
    return Transition(state, *actions)


def delete(name: Any, reason: Any = None) -> Delete:
    """Take part no more."""
    return Delete(name, reason)


def replace_topic(name: Any, topic: Topic) -> Replace:
    """Move an endpoint to another topic; what both have in common is not disturbed."""
    return Replace(name, topic)


def send(body: Any) -> Send:
    """A message to subscribers."""
    return Send(body)


def feedback(body: Any) -> Feedback:
    """A message upstream, to publishers."""
    return Feedback(body)


def spawn(
    boot: Callable[[], Any] | Any,
    name: str = "",
    *,
    then: Callable[[Pid, Any], Any] | None = None,
    failed: Callable[[BaseException, Any], Any] | None = None,
    endpoints: Iterable[Endpoint | Add] = (),
    invariant: Callable[[Any], Any] | None = None,
) -> Spawn:
    """Start a process: `boot` is a function that answers as a handler does, or just the answer. See `Spawn`.

    >>> spawn(transition(0, send(("ready",))), "counter").name
    'counter'
    """
    start = boot if callable(boot) else lambda: boot
    return Spawn(start, name, then, endpoints_of(endpoints), failed, invariant)


def quit(reason: Any = None) -> Quit:
    """End this process."""
    return Quit(reason)


def kill(process: Pid | str, reason: Any = None) -> Kill:
    """End another process."""
    return Kill(process, reason)


def yield_turn(then: Callable[[Any], Any]) -> Yield:
    """Let the others have a turn; `then(state)` goes on."""
    return Yield(then)


def query(orientation: Orientation, topic: Topic, then: Handler) -> Query:
    """Ask who is there now."""
    return Query(orientation, topic, then)


def at_meta_level(*actions: Any) -> list[Meta]:
    """Perform actions in the container of this VM."""
    return [Meta(action) for action in actions if action is not None]
