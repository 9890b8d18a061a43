"""Conversations: publish and subscribe with presence.

    kernel = Kernel(logging=True)
    kernel.start("ann", [Add(Endpoint("in", subscriber(("chat", ANY)), on_presence=greet))])
    kernel.start("bob", [Add(Endpoint("out", publisher(("chat", "bob")))), Send(("chat", "hello"))])
    kernel.run()

A process is told who else takes part in its conversations, when they come and when they go, and why. The kernel is pure:
it has no clock and no I/O, and equal scripts give equal logs.
"""

from klorpy.conversations.actions import (
    PUB,
    SUB,
    Absence,
    Action,
    Add,
    Answer,
    Delete,
    Descriptor,
    Endpoint,
    Feedback,
    Interest,
    Kill,
    Message,
    Meta,
    Orientation,
    Peer,
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
    observe_publishers,
    observe_subscribers,
    publisher,
    subscriber,
)
from klorpy.conversations.kernel import Kernel
from klorpy.conversations.log import Answered, Delivered, Exited
from klorpy.conversations.pattern import ANY, NOTHING, contains, intersect
from klorpy.conversations.vm import nested_vm

__all__ = [
    "ANY", "NOTHING", "PUB", "SUB", "Absence", "Action", "Add", "Answer", "Answered", "Delete", "Delivered", "Descriptor",
    "Endpoint", "Exited", "Feedback", "Interest", "Kernel", "Kill", "Message", "Meta", "Orientation", "Peer", "Pid",
    "Presence", "Query", "Quit", "Replace", "Role", "Send", "Spawn", "Transition", "Yield", "contains", "intersect",
    "nested_vm", "observe_publishers", "observe_subscribers", "publisher", "subscriber",
]  # fmt: skip
