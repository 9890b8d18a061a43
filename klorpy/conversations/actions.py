"""What processes say to the kernel, and what it tells them.

    handler    ::= (event, state) → answer
    answer     ::= None | Transition(state, actions) | actions        None changes nothing
    actions    ::= action | None | [actions, …]                       a tree; None and empty lists are left out
    event      ::= Presence | Absence | Message | Answer

A process is private state and a set of named endpoints. An endpoint takes part in the conversations of a topic, as a
publisher or as a subscriber, with an interest that says whom it is told about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias, final

from klorpy.conversations.pattern import ANY, Topic, check_message, check_topic, is_ground, same_topic
from klorpy.core.diagnostics import KlorError
from klorpy.core.values import show


class Orientation(Enum):
    """Which way messages mainly flow: from publishers to subscribers."""

    PUB = "pub"
    SUB = "sub"

    __repr__ = Enum.__str__

    @property
    def opposite(self) -> Orientation:
        return Orientation.SUB if self is Orientation.PUB else Orientation.PUB


class Interest(Enum):
    """Whom an endpoint is told about: participants; or, for EVERYTHING, observers too. Only participants are told about."""

    PARTICIPANT = "participant"
    OBSERVER = "observer"
    EVERYTHING = "everything"

    __repr__ = Enum.__str__


PUB: Final = Orientation.PUB
SUB: Final = Orientation.SUB


def visible(remote: Interest, local: Interest) -> bool:
    """Whether an endpoint of interest `local` is told about one of interest `remote` that it meets."""
    return remote is Interest.PARTICIPANT or local is Interest.EVERYTHING


@dataclass(frozen=True, slots=True, eq=False)
class Role:
    """How an endpoint takes part: an orientation, a topic and an interest.

    >>> publisher(("price", 1)) == publisher(("price", True))
    False
    """

    orientation: Orientation
    topic: Topic
    interest: Interest = Interest.PARTICIPANT

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Role):
            return NotImplemented
        return (
            self.orientation is other.orientation
            and self.interest is other.interest
            and same_topic(self.topic, other.topic)
        )

    def __hash__(self) -> int:
        return hash((self.orientation, self.interest))


def publisher(topic: Topic) -> Role:
    """The role of who publishes `topic`."""
    return Role(PUB, topic)


def subscriber(topic: Topic) -> Role:
    """The role of who subscribes to `topic`."""
    return Role(SUB, topic)


def observe_publishers(topic: Topic) -> Role:
    """The role of who watches publishers, unseen by them: it is a subscriber's."""
    return Role(SUB, topic, Interest.OBSERVER)


def observe_subscribers(topic: Topic) -> Role:
    """The role of who watches subscribers, unseen by them: it is a publisher's."""
    return Role(PUB, topic, Interest.OBSERVER)


@dataclass(frozen=True, slots=True)
class Pid:
    """A process of one kernel. Pids are never used again; `name` is for people, and need not be unique."""

    number: int
    name: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.name or str(self.number)


@dataclass(frozen=True, slots=True)
class MetaName:
    """The name, outside of a VM, of an endpoint that a process inside has at the meta level."""

    process: Pid
    name: Any

    def __str__(self) -> str:
        return f"{self.process}^{self.name}"


@dataclass(frozen=True, slots=True)
class Peer:
    """A token for an endpoint, by which an absence is matched with its presence. Nothing can be done with it."""

    process: Pid
    name: Any
    #: Tells an endpoint from a later one of the same name.
    serial: int = 0

    def __str__(self) -> str:
        # An endpoint at the meta level is named after the process that has it.
        return f"{self.process}/{self.name}"


# --- Events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Presence:
    """A peer is there. The topic of `role` is what the two endpoints have in common."""

    role: Role
    peer: Peer


@dataclass(frozen=True, slots=True)
class Absence:
    """The peer of an earlier presence is gone."""

    role: Role
    reason: Any
    peer: Peer


@dataclass(frozen=True, slots=True)
class Message:
    """A message, or feedback when it was sent in the subscriber's orientation."""

    orientation: Orientation
    body: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query found: the participants that meet its topic, each with the topic in common."""

    orientation: Orientation
    topic: Topic
    found: tuple[tuple[Peer, Topic], ...]


Event: TypeAlias = Presence | Absence | Message | Answer
Handler: TypeAlias = Callable[[Any, Any], Any]


@final
class Transition:
    """A handler's answer: the new state of its process, and actions."""

    __slots__ = ("actions", "state")

    def __init__(self, state: Any, *actions: Any) -> None:
        self.state = state
        self.actions = actions

    def __repr__(self) -> str:
        return f"Transition({', '.join(map(repr, (self.state, *self.actions)))})"


# --- Actions ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A named participation and its handlers. Raises KlorError `bad-endpoint` for what cannot be one."""

    name: Any
    role: Role
    on_presence: Handler | None = None
    on_absence: Handler | None = None
    on_message: Handler | None = None

    def __post_init__(self) -> None:
        role = self.role
        if not isinstance(role, Role):
            raise _bad_endpoint(self.name, f"its role is {show(role, 60)}")
        if not isinstance(role.orientation, Orientation):
            raise _bad_endpoint(self.name, f"its orientation is {show(role.orientation, 60)}")
        if not isinstance(role.interest, Interest):
            raise _bad_endpoint(self.name, f"its interest is {show(role.interest, 60)}")
        for handler in (self.on_presence, self.on_absence, self.on_message):
            if handler is not None and not callable(handler):
                raise _bad_endpoint(self.name, f"a handler is {show(handler, 60)}")
        try:
            hash(self.name)
        except TypeError:
            raise _bad_endpoint(self.name, "its name cannot be hashed") from None
        check_topic(role.topic)


def _bad_endpoint(name: Any, why: str) -> KlorError:
    return KlorError(
        f"the endpoint {show(name, 40)} cannot be made: {why}",
        slug="bad-endpoint",
        help="write Endpoint(name, subscriber(topic), on_message=f), where f takes the event and the state",
    )


@dataclass(frozen=True, slots=True)
class Add:
    """Take part; with a known name and an equal role, exchange the handlers, which nobody notices."""

    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Delete:
    """Take part no more. An unknown name is no error."""

    name: Any
    reason: Any = None


@dataclass(frozen=True, slots=True)
class Replace:
    """Give an endpoint another topic; peers are told only of what differs, presences before absences."""

    name: Any
    topic: Topic

    def __post_init__(self) -> None:
        check_topic(self.topic)


@dataclass(frozen=True, slots=True)
class Send:
    """A message to every subscriber whose topic contains it. Raises KlorError `message-not-ground`."""

    body: Any

    def __post_init__(self) -> None:
        check_message(self.body)


@dataclass(frozen=True, slots=True)
class Feedback:
    """A message upstream, to every publisher whose topic contains it. Raises KlorError `message-not-ground`."""

    body: Any

    def __post_init__(self) -> None:
        check_message(self.body)


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a process: `boot()` gives its state and its first actions, which are performed at its first visit.

    Its `endpoints` are there when the action ends, so that nobody sees a gap when a task is handed over. Then
    `then(pid, state)` runs in the parent, or `failed(error, state)` when `boot` raised. `invariant(state)` is
    checked after each handler of the child: when it is false or raises, the child is ended.
    """

    boot: Callable[[], Any]
    name: str = ""
    then: Handler | None = None
    endpoints: tuple[Endpoint, ...] = ()
    failed: Handler | None = None
    invariant: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Quit:
    """End this process; actions that it still had are dropped."""

    reason: Any = None


@dataclass(frozen=True, slots=True)
class Kill:
    """End another process, by its pid or by its name (the youngest one of that name). A dead one is no error."""

    process: Pid | str
    reason: Any = None


@dataclass(frozen=True, slots=True)
class Yield:
    """Let the others have a turn: `then(state)` is called at the next visit."""

    then: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Query:
    """Ask the routing table: `then(answer, state)` learns which participants there are now; they do not notice."""

    orientation: Orientation
    topic: Topic
    then: Handler | None = None

    def __post_init__(self) -> None:
        check_topic(self.topic)


@dataclass(frozen=True, slots=True)
class Meta:
    """Perform an action in the container of the VM that the process is in."""

    action: Action


@dataclass(frozen=True, slots=True)
class Resume:
    """Made by the kernel: what a `Yield` left for the next visit."""

    then: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """Made by the kernel: a nested VM takes a round."""


Action: TypeAlias = Add | Delete | Replace | Send | Feedback | Spawn | Quit | Kill | Yield | Query | Meta
#: All that can stand in a queue.
Queued: TypeAlias = Action | Resume | Turn

_ACTIONS: Final = frozenset((Add, Delete, Replace, Send, Feedback, Spawn, Quit, Kill, Yield, Query, Meta, Resume, Turn))


def flatten(actions: Any) -> list[Queued]:
    """The actions of a tree, in order. Raises KlorError `bad-action` for anything else.

    >>> flatten([Quit(1), None, [[], [Quit(2)]]])
    [Quit(reason=1), Quit(reason=2)]
    """
    if actions is None:
        return []
    if type(actions) in _ACTIONS:
        return [actions]
    found: list[Queued] = []
    todo = [actions]
    while todo:
        item = todo.pop()
        if type(item) in _ACTIONS:
            found.append(item)
        elif isinstance(item, (list, tuple)):
            todo.extend(reversed(item))
        elif item is not None:
            raise KlorError(
                f"{show(item, 80)} is not an action",
                slug="bad-action",
                help="a handler returns None, an action, a list of actions, or Transition(state, *actions)",
            )
    return found


class Descriptor:
    """The base of what a ground VM can wait for. A participant that subscribes to `(descriptor, ANY)` demands it."""

    __slots__ = ()


def demanded(role: Role) -> Descriptor | None:
    """What a role demands from the ground VM, if anything. With wildcards it only listens to what others demand."""
    topic = role.topic
    if type(topic) is tuple and len(topic) == 2 and isinstance(topic[0], Descriptor):
        if (
            topic[1] is ANY
            and role.orientation is SUB
            and role.interest is Interest.PARTICIPANT
            and is_ground(topic[0])
        ):
            return topic[0]
    return None


def endpoints_of(given: Iterable[Endpoint | Add]) -> tuple[Endpoint, ...]:
    """Endpoints, given as such or as the actions that add them."""
    return tuple(item.endpoint if isinstance(item, Add) else item for item in given)
