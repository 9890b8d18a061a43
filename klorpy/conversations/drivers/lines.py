"""Reading lines and writing text, without having to think of credit.

listen(listener, serve)          each connection is a process: what `serve(remote)` spawns
required(listener)               without this port the process fails
lines(local, remote, on_line)    its lines, one at a time: the next one is asked for when this one was dealt with
say(local, remote, text)         text to the other side
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klorpy.conversations.actions import (
    Absence,
    Add,
    Endpoint,
    Feedback,
    Interest,
    Message,
    Meta,
    Orientation,
    Presence,
    Quit,
    Send,
    Spawn,
    Transition,
    observe_publishers,
    subscriber,
)
from klorpy.conversations.drivers.tcp import NOWHERE, Addr, Credit, End, Error, Listener, Listening, Mode, Tcp
from klorpy.conversations.pattern import ANY
from klorpy.core.diagnostics import KlorError


def listen(listener: Listener, serve: Callable[[Addr], Spawn], name: Any = "listen") -> Add:
    """Demand a listening socket; for each connection the process that `serve` gives is spawned.

    When the port cannot be opened, the process that listens fails with KlorError `bad-argument`.
    """

    def arrived(event: Presence, state: Any) -> Spawn | None:
        role = event.role
        if role.orientation is Orientation.PUB and role.interest is Interest.PARTICIPANT:
            return serve(role.topic.source)
        return None

    def refused(event: Message, state: Any) -> Quit | None:
        source, part = event.body.source, event.body.part
        return Quit(_cannot_listen(listener, part.text)) if source == NOWHERE and isinstance(part, Error) else None

    return Add(Endpoint(name, observe_publishers(Tcp(ANY, listener, ANY)), arrived, None, refused))


def required(listener: Listener, name: Any = "required") -> Add:
    """Fail with KlorError `bad-argument` when a port cannot be opened that somebody demands, by TCP or UDP."""

    def closed(event: Absence, state: Any) -> Quit | None:
        address = event.role.topic.address
        return Quit(_cannot_listen(listener, address.text)) if isinstance(address, Error) else None

    return Add(Endpoint(name, observe_publishers(Listening(listener, ANY)), None, closed))


def _cannot_listen(listener: Listener, text: str) -> KlorError:
    return KlorError(
        f"cannot listen at {listener.host}:{listener.port}: {text}",
        slug="bad-argument",
        help="choose a port that is free and permitted; 0 is any that is free",
    )


def lines(
    local: Any,
    remote: Addr,
    on_line: Callable[[str, Any], Any],
    on_end: Callable[[Any, Any], Any] | None = None,
    name: Any = "lines",
    meta: bool = False,
) -> list[Any]:
    """Take part in a connection and handle its lines, as text.

    `on_line(line, state)` answers as a handler does. Credit for the next line is given after its actions. At the end of
    the connection, `on_end(reason, state)` answers; without it the process quits. With `meta`, the connection is one of
    the container of the VM; the answers are actions inside.
    """
    topic = Tcp(remote, local, ANY)
    more = _out(Feedback(Tcp(remote, local, Credit(1))), meta)

    def message(event: Message, state: Any) -> Any:
        part = event.body.part
        if isinstance(part, bytes):
            answer = on_line(part.decode("utf-8", "replace"), state)
            if type(answer) is Transition:
                return Transition(answer.state, *answer.actions, more)
            return [answer, more]
        if isinstance(part, (End, Error)):
            return ended(part.text if isinstance(part, Error) else None, state)
        return None

    def absent(event: Absence, state: Any) -> Any:
        return ended(event.reason, state)

    def ended(reason: Any, state: Any) -> Any:
        return Quit(reason) if on_end is None else on_end(reason, state)

    return [
        _out(Feedback(Tcp(remote, local, Mode("lines"))), meta),
        more,
        _out(Add(Endpoint(name, subscriber(topic), None, absent, message)), meta),
    ]


def _out(action: Any, meta: bool) -> Any:
    return Meta(action) if meta else action


def say(local: Any, remote: Addr, text: str) -> Send:
    """Send text to the other side of a connection."""
    return Send(Tcp(local, remote, text.encode()))
