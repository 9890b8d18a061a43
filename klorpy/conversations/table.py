"""What the kernel keeps of a process and of an endpoint, and the small judgements about them.

common_topic(one, other)     what two endpoints that meet have in common
in_order(entries, process)   the order in which counterparts are told
check_contract(…)            raises where a contract says no
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from klorpy.conversations.actions import (
    Absence,
    Endpoint,
    Handler,
    Message,
    MetaName,
    Peer,
    Pid,
    Presence,
    Queued,
    Role,
)
from klorpy.conversations.pattern import Topic, intersect, is_ground
from klorpy.core.diagnostics import KlorError
from klorpy.core.values import show


class Installed:
    """An endpoint in the routing table."""

    __slots__ = ("_peer", "_presence", "endpoint", "ground", "interest", "order", "process", "role", "serial", "topic")

    def __init__(self, process: Process, endpoint: Endpoint, serial: int) -> None:
        self.process = process
        self.endpoint = endpoint
        self.role = endpoint.role
        self.topic: Topic = endpoint.role.topic
        #: Then the topic is what it has in common with all that it meets.
        self.ground = is_ground(self.topic)
        self.interest = endpoint.role.interest
        self.serial = serial
        self.order = (process.pid.number, serial)
        self._peer: Peer | None = None
        self._presence: Presence | None = None

    @property
    def peer(self) -> Peer:
        """The token by which others know it; many are never seen by anybody."""
        if self._peer is None:
            self._peer = Peer(self.process.pid, self.endpoint.name, self.serial)
        return self._peer

    def presence(self, common: Topic) -> Presence:
        """What a peer is told that has the topic `common` with it; most peers are told the same."""
        if common is not self.topic:
            return Presence(Role(self.role.orientation, common, self.interest), self.peer)
        if self._presence is None:
            self._presence = Presence(self.role, self.peer)
        return self._presence

    def move(self, topic: Topic) -> None:
        """Give it another topic. It is in no routing table meanwhile."""
        old = self.endpoint
        self.role = Role(self.role.orientation, topic, self.interest)
        self.endpoint = Endpoint(old.name, self.role, old.on_presence, old.on_absence, old.on_message)
        self.topic = topic
        self.ground = is_ground(topic)
        self._presence = None


_ORDER = attrgetter("order")


#: Most processes have none at the meta level. Never written to.
_NO_METAS: Final[dict[Any, Endpoint]] = {}


class Process:
    """A process as the kernel keeps it. `doomed`: it failed or ended, and hears nothing more."""

    __slots__ = ("awaiting", "doomed", "endpoints", "invariant", "metas", "pid", "queue", "state")

    def __init__(self, pid: Pid, state: Any = None) -> None:
        self.pid = pid
        self.state = state
        self.endpoints: dict[Any, Installed] = {}
        #: Endpoints at the meta level.
        self.metas: dict[Any, Endpoint] = _NO_METAS
        self.queue: list[Queued] = []
        #: Outcomes of actions at the meta level that the process waits for.
        self.awaiting = 0
        self.doomed = False
        self.invariant: Callable[[Any], Any] | None = None

    def idle(self) -> bool:
        return not (self.endpoints or self.metas or self.queue or self.awaiting)


def common_topic(entry: Installed, other: Installed) -> Topic:
    """The intersection of the topics of two endpoints that meet."""
    return entry.topic if entry.ground else other.topic if other.ground else intersect(entry.topic, other.topic)


def name_key(name: Any) -> Any:
    """A name as a key: 1, True and 1.0 are three names."""
    if type(name) is str:
        return name
    if type(name) is tuple:
        return tuple(map(name_key, name))
    if type(name) is MetaName:
        return (MetaName, name.process.number, name_key(name.name))
    return (type(name), name)


def handler_of(endpoint: Endpoint, event: Presence | Absence | Message) -> Handler | None:
    kind = type(event)
    if kind is Message:
        return endpoint.on_message
    return endpoint.on_presence if kind is Presence else endpoint.on_absence


def in_order(entries: list[Installed], process: Process | None) -> list[Installed]:
    """Those of `process` first, then by pid; each process's in the order in which they were made."""
    if len(entries) < 2:
        return entries
    if len(entries) > 2 or entries[1].order < entries[0].order:
        entries.sort(key=_ORDER)
    if process is None or not process.endpoints:
        return entries
    own = [entry for entry in entries if entry.process is process]
    return own + [entry for entry in entries if entry.process is not process] if own else entries


def check_state(process: Process, state: Any) -> None:
    if process.invariant is not None:
        check_contract(
            process.invariant, state, "state-contract", f"the state of {process.pid} would be {show(state, 80)}"
        )


def check_contract(contract: Callable[[Any], Any], value: Any, slug: str, what: str) -> None:
    """Raises KlorError `slug` when a contract says no."""
    if not contract(value):
        raise KlorError(
            f"{what}, which its contract does not allow",
            slug=slug,
            help=f"the contract is {getattr(contract, '__qualname__', None) or repr(contract)}",
        )
