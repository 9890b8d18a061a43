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
from klorpy.conversations.clock import Clock, RealClock, VirtualClock
from klorpy.conversations.contracts import fits, one_of
from klorpy.conversations.ground import Failure, Ground, Request, Source, Until, ground_vm, replay
from klorpy.conversations.kernel import Kernel
from klorpy.conversations.log import Answered, Delivered, Exited
from klorpy.conversations.pattern import ANY, NOTHING, contains, intersect
from klorpy.conversations.player import Player
from klorpy.conversations.population import Population, ready
from klorpy.conversations.presence import Session, World
from klorpy.conversations.relay import event_relay, relay
from klorpy.conversations.snapshot import Snapshot, snapshot
from klorpy.conversations.supervise import supervisor
from klorpy.conversations.surface import (
    at_meta_level,
    delete,
    everything,
    feedback,
    kill,
    observer,
    query,
    quit,
    replace_topic,
    role,
    send,
    spawn,
    transition,
    yield_turn,
)
from klorpy.conversations.tasks import Actor, task
from klorpy.conversations.vm import nested_vm

__all__ = [
    "ANY", "NOTHING", "PUB", "SUB", "Absence", "Action", "Actor", "Add", "Answer", "Answered", "Clock", "Delete",
    "Delivered", "Descriptor", "Endpoint", "Exited", "Failure", "Feedback", "Ground", "Interest", "Kernel", "Kill",
    "Message", "Meta", "Orientation", "Peer", "Pid", "Player", "Population", "Presence", "Query", "Quit",
    "RealClock", "Replace", "Request", "Role", "Send", "Session", "Snapshot", "Source", "Spawn", "Transition",
    "Until", "VirtualClock", "World", "Yield", "at_meta_level", "contains", "delete", "event_relay", "everything",
    "feedback", "fits", "ground_vm", "intersect", "kill", "nested_vm", "observe_publishers", "observe_subscribers",
    "observer", "one_of", "publisher", "query", "quit", "ready", "relay", "replace_topic", "replay", "role", "send",
    "snapshot", "spawn", "subscriber", "supervisor", "task", "transition", "yield_turn",
]  # fmt: skip
