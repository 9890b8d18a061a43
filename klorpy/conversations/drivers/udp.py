"""The UDP driver: datagrams are messages `Udp(source, destination, data)`.

    source, destination ::= Addr(host, port)        the other side
                          | Listener(port)          a socket here at a port
                          | Handle(name)            a socket here at any port

Who takes part in either direction of a Listener or a Handle demands its socket, which is closed when the last of them is
gone. While it is open the driver publishes `Listening(local, address)`; an error is sent as `Udp(Addr("", 0), local, Error(…))`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from klorpy.conversations.actions import (
    Absence,
    Add,
    Delete,
    Endpoint,
    Interest,
    Message,
    Orientation,
    Peer,
    Presence,
    Quit,
    Role,
    Send,
    Spawn,
    Transition,
    Yield,
    publisher,
    subscriber,
)
from klorpy.conversations.drivers.connections import Close
from klorpy.conversations.drivers.sockets import Bind, Bound, Receive, Transmit
from klorpy.conversations.drivers.tcp import NOWHERE, Addr, Error, Handle, Listener, Listening, not_listening
from klorpy.conversations.ground import Failure
from klorpy.conversations.pattern import ANY


@dataclass(frozen=True, slots=True)
class Udp:
    """A datagram."""

    source: Any
    destination: Any
    data: Any


_Peers = dict[Any, frozenset[Peer]]


def udp_driver() -> Spawn:
    """The action that spawns the UDP driver."""
    inward = [Udp(ANY, local, ANY) for local in (Listener(ANY, ANY), Handle(ANY))]
    outward = [Udp(local, ANY, ANY) for local in (Listener(ANY, ANY), Handle(ANY))]
    return Spawn(lambda: Transition({}), "udp", endpoints=(
        *[Endpoint(("in", n), Role(Orientation.PUB, topic, Interest.EVERYTHING), _demand, _gone) for n, topic in enumerate(inward)],
        *[Endpoint(("out", n), Role(Orientation.SUB, topic, Interest.EVERYTHING), _demand, _gone) for n, topic in enumerate(outward)],
    ))  # fmt: skip


def _local(event: Presence | Absence) -> Listener | Handle | None:
    """The socket that a peer demands, if its name has no wildcard."""
    topic: Udp = event.role.topic
    local = topic.source if event.role.orientation is Orientation.PUB else topic.destination
    match local:
        case Listener(port, host):
            return None if ANY in (port, host) else local
        case Handle(name):
            return None if name is ANY else local
        case _:
            return None


def _demand(event: Presence, wanted: _Peers) -> Any:
    local = _local(event)
    if local is None or event.role.interest is Interest.EVERYTHING:
        return None
    before = wanted.get(local, frozenset())
    after = {**wanted, local: before | {event.peer}}
    return Transition(after, None if before else _socket(local))


def _gone(event: Absence, wanted: _Peers) -> Any:
    local = _local(event)
    if local not in wanted:
        return None
    left = wanted[local] - {event.peer}
    others = {key: peers for key, peers in wanted.items() if key != local}
    return Transition({**others, local: left} if left else others)


def _socket(local: Listener | Handle) -> Spawn:
    """The process of one socket: its state is who takes part."""
    name = ("udp", local)
    close = [Send(("ground", Close(name))), Quit()]

    def joined(event: Presence, peers: frozenset[Peer]) -> Any:
        # The factory watches, too.
        return None if event.role.interest is Interest.EVERYTHING else Transition(peers | {event.peer})

    def left(event: Absence, peers: frozenset[Peer]) -> Any:
        if event.peer not in peers:
            return None
        others = peers - {event.peer}
        return Transition(others, None if others else close)

    def check(peers: frozenset[Peer]) -> Any:
        return None if peers else close

    def bound(event: Message, peers: frozenset[Peer]) -> Any:
        outcome = event.body[1]
        if isinstance(outcome, Failure):
            trouble = Send(Udp(NOWHERE, local, Error(outcome.text)))
            return [trouble, Send(("ground", Close(name))), not_listening(local, outcome.text)]
        return [
            Delete("bound"),
            Add(Endpoint("address", publisher(Listening(local, Addr(*outcome))))),
            Add(Endpoint("receive", subscriber((Receive(name), ANY)), on_message=receive)),
        ]

    def receive(event: Message, peers: frozenset[Peer]) -> Any:
        value = event.body[1]
        if isinstance(value, Failure):
            return close
        data, host, port = value
        return Send(Udp(Addr(host, port), local, data))

    def transmit(event: Message, peers: frozenset[Peer]) -> Any:
        body: Udp = event.body
        return Send(("ground", Transmit(name, body.data, body.destination.host, body.destination.port)))

    def boot() -> Transition:
        host, port = (local.host, local.port) if isinstance(local, Listener) else ("127.0.0.1", 0)
        return Transition(frozenset(), Send(("ground", Bind(name, host, port))), [
            Add(Endpoint("bound", subscriber((Bound(name), ANY)), on_message=bound)),
            Add(Endpoint("socket in", Role(Orientation.PUB, Udp(Addr(ANY, ANY), local, ANY), Interest.EVERYTHING), joined, left)),
            Add(Endpoint("socket out", Role(Orientation.SUB, Udp(local, Addr(ANY, ANY), ANY), Interest.EVERYTHING), joined, left, transmit)),
        ], Yield(check))  # fmt: skip

    return Spawn(boot, f"udp {local}")
