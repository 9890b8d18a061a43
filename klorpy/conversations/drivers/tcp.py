"""The TCP driver: connections are conversations on `Tcp(source, destination, part)`.

    source, destination ::= Addr(host, port)        the other side
                          | Listener(port)          here, where connections are accepted
                          | Handle(name)            here, for a connection that we open
    part                ::= bytes | EOF | Error(text) | Credit(n) | Mode("bytes" | "lines")

Who observes the publishers of `Tcp(ANY, Listener(port), ANY)` demands a listening socket; each connection that arrives is
then the presence of a publisher. Who publishes or subscribes between a Handle and an Addr demands a connection to it.

Each direction of a connection is a topic of its own, and everything about it travels there. Nothing is delivered before
somebody gives credit, as feedback: a line costs one in mode "lines", a byte in mode "bytes", and at none the
connection is read no further, so that the sender comes to wait. What is written is acknowledged with credit in turn. In
mode "lines" no line is delivered while more than `UNWRITTEN` bytes wait to be written to who sends them, so that a
client that asks and never reads comes to wait, too.

    factory     watches for demand, spawns listeners and the connections that we open
    listener    one for each port: accepts
    connection  one for each connection

Source: Marketplace's TCP driver (T. Garnock-Jones, 2013). Ours: demand is counted, a failure to open is told, and
credit holds for memory: a connection reads 64 KiB ahead, no more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from klorpy.conversations.actions import (
    Absence,
    Add,
    Delete,
    Endpoint,
    Feedback,
    Interest,
    Message,
    Orientation,
    Peer,
    Presence,
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
from klorpy.conversations.drivers.connections import (
    Close,
    Conn,
    Connect,
    Connected,
    Ended,
    Read,
    ReadLine,
    Write,
    Written,
)
from klorpy.conversations.drivers.sockets import LAST_PORT, Accept, Bound, Listen
from klorpy.conversations.ground import Failure
from klorpy.conversations.pattern import ANY
from klorpy.core.diagnostics import KlorError

#: How many bytes may wait to be written before lines wait to be read.
UNWRITTEN: Final = 1 << 16


def _check_port(port: Any) -> None:
    if port is not ANY and not (type(port) is int and 0 <= port <= LAST_PORT):
        raise KlorError(
            f"{port!r} is not a port", slug="bad-argument", help=f"a port is a number from 0 to {LAST_PORT}"
        )


@dataclass(frozen=True, slots=True)
class Addr:
    """An address of the network. Raises KlorError `bad-argument` when the port is none."""

    host: Any
    port: Any

    def __post_init__(self) -> None:
        _check_port(self.port)


#: Where an error comes from that is of no connection.
NOWHERE: Final = Addr("", 0)


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of this host, 0 for any that is free; `Listening` says which. By default it is reached from this host only.

    Raises KlorError `bad-argument` when the port is none.
    """

    port: Any
    host: Any = "127.0.0.1"

    def __post_init__(self) -> None:
        _check_port(self.port)


@dataclass(frozen=True, slots=True)
class Handle:
    """Our side of a connection that we open; `name` tells it from others to the same address."""

    name: Any


@dataclass(frozen=True, slots=True)
class Tcp:
    """What goes from one side of a connection to the other."""

    source: Any
    destination: Any
    part: Any


@dataclass(frozen=True, slots=True)
class Listening:
    """Published as long as a listener accepts connections at an address.

    When the port cannot be opened the address is an `Error`, which comes and goes at once; the reason of its absence is
    `("cannot-listen", text)`.
    """

    listener: Any
    address: Any


@dataclass(frozen=True, slots=True)
class End:
    """The type of `EOF`: nothing more comes in this direction."""


EOF: Final = End()


@dataclass(frozen=True, slots=True)
class Credit:
    """Feedback: so much more may come."""

    amount: Any


@dataclass(frozen=True, slots=True)
class Mode:
    """Feedback: what comes next is to be "bytes" or "lines"; credit starts at none."""

    name: Any


@dataclass(frozen=True, slots=True)
class Error:
    """Instead of a connection, or of its proper end."""

    text: Any


def tcp_driver() -> Spawn:
    """The action that spawns the TCP driver."""
    inbound = Tcp(Addr(ANY, ANY), Listener(ANY, ANY), ANY)
    outbound = Tcp(Listener(ANY, ANY), Addr(ANY, ANY), ANY)
    return Spawn(lambda: Transition({}), "tcp", endpoints=(
        Endpoint("L-out", Role(Orientation.SUB, outbound, Interest.EVERYTHING), _demand, _demand_gone),
        Endpoint("L-in", Role(Orientation.PUB, inbound, Interest.EVERYTHING), _demand, _demand_gone),
        Endpoint("C-out", observe_publishers(Tcp(Handle(ANY), Addr(ANY, ANY), ANY)), _demand, _demand_gone),
        Endpoint("C-in", observe_subscribers(Tcp(Addr(ANY, ANY), Handle(ANY), ANY)), _demand, _demand_gone),
    ))  # fmt: skip


# --- The factory ------------------------------------------------------------------------------------------------------

_Wanted = dict[Any, frozenset[Peer]]


def _wants(event: Presence | Absence) -> Listener | tuple[Handle, Addr] | None:
    """What a peer demands: a listener when it observes, a connection when it takes part in one between concrete ends."""
    topic: Tcp = event.role.topic
    ends = (topic.source, topic.destination)
    for local, remote in (ends, ends[::-1]):
        if isinstance(local, Listener) and event.role.interest is Interest.OBSERVER:
            if ANY not in (local.port, local.host) and remote == Addr(ANY, ANY):
                return local
        if isinstance(local, Handle) and ANY not in (local.name, remote.host, remote.port):
            return (local, remote)
    return None


def _demand(event: Presence, wanted: _Wanted) -> Any:
    task = _wants(event)
    if task is None:
        return None
    before = wanted.get(task, frozenset())
    after = {**wanted, task: before | {event.peer}}
    if before:
        return Transition(after)
    if isinstance(task, Listener):
        return Transition(after, _listener(task))
    return Transition(after, _opening(*task))


def _demand_gone(event: Absence, wanted: _Wanted) -> Any:
    task = _wants(event)
    if task not in wanted:
        return None
    left = wanted[task] - {event.peer}
    others = {key: peers for key, peers in wanted.items() if key != task}
    return Transition({**others, task: left} if left else others)


def not_listening(listener: Any, text: str) -> list[Any]:
    """The actions of a process that cannot listen: who watches `Listening` learns why."""
    trouble = Add(Endpoint("address", publisher(Listening(listener, Error(text)))))
    return [trouble, Quit(("cannot-listen", text))]


# --- A listener -------------------------------------------------------------------------------------------------------


def _listener(listener: Listener) -> Spawn:
    def watch(event: Presence, observers: frozenset[Peer]) -> Any:
        return Transition(observers | {event.peer}) if event.role.interest is Interest.OBSERVER else None

    def unwatch(event: Absence, observers: frozenset[Peer]) -> Any:
        if event.peer not in observers:
            return None
        left = observers - {event.peer}
        return Transition(left, None if left else _done())

    def _done() -> list[Any]:
        return [Send(("ground", Close(listener))), Quit()]

    def check(observers: frozenset[Peer]) -> Any:
        # Who wanted the listener may be gone before it was there to see that.
        return None if observers else _done()

    def bound(event: Message, observers: frozenset[Peer]) -> Any:
        outcome = event.body[1]
        if isinstance(outcome, Failure):
            trouble = Send(Tcp(NOWHERE, listener, Error(outcome.text)))
            return [trouble, Send(("ground", Close(listener))), not_listening(listener, outcome.text)]
        return [
            Delete("bound"),
            Add(Endpoint("address", publisher(Listening(listener, Addr(*outcome))))),
            Add(Endpoint("accept", subscriber((Accept(listener), ANY)), on_message=accept)),
        ]

    def accept(event: Message, observers: frozenset[Peer]) -> Spawn:
        conn, host, port = event.body[1]
        return _connection(listener, Addr(host, port), conn)

    def boot() -> Transition:
        return Transition(frozenset(), Send(("ground", Listen(listener, listener.host, listener.port))), [
            Add(Endpoint("watch-out", Role(Orientation.SUB, Tcp(listener, Addr(ANY, ANY), ANY), Interest.EVERYTHING), watch, unwatch)),
            Add(Endpoint("watch-in", Role(Orientation.PUB, Tcp(Addr(ANY, ANY), listener, ANY), Interest.EVERYTHING), watch, unwatch)),
            Add(Endpoint("bound", subscriber((Bound(listener), ANY)), on_message=bound)),
        ], Yield(check))  # fmt: skip

    return Spawn(boot, f"listener {listener.port}")


# --- A connection -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _State:
    """A connection: what it may deliver, what it has to acknowledge, and who takes part in it here."""

    local: Any
    remote: Addr
    conn: Any
    mode: str = "bytes"
    credit: int = 0
    sent: int = 0
    #: How long each write was that is not acknowledged, with the count of bytes at its end.
    unacknowledged: tuple[tuple[int, int], ...] = ()
    acknowledged: int = 0
    peers: frozenset[tuple[Any, Peer]] = frozenset()

    @property
    def inbound(self) -> Tcp:
        return Tcp(self.remote, self.local, ANY)

    @property
    def outbound(self) -> Tcp:
        return Tcp(self.local, self.remote, ANY)

    @property
    def waits(self) -> bool:
        """Whether input is to be waited for."""
        return self.credit > 0 and (self.mode != "lines" or self.sent - self.acknowledged <= UNWRITTEN)

    def source(self) -> Any:
        """What is to be waited for."""
        return ReadLine(self.conn) if self.mode == "lines" else Read(self.conn, self.credit)


def _opening(local: Handle, remote: Addr) -> Spawn:
    """A connection that we open: its endpoints are there when it is."""
    conn = ("handle", local, remote)
    state = _State(local, remote, conn)

    def connected(event: Message, _: Any) -> Any:
        outcome = event.body[1]
        if isinstance(outcome, Failure):
            return [
                Send(replace(state.inbound, part=Error(outcome.text))),
                Send(("ground", Close(conn))),
                Quit(outcome.text),
            ]
        return [Delete("connected"), *_endpoints(state)]

    def gone(event: Absence, _: Any) -> Any:
        return [Send(("ground", Close(conn))), Quit(event.reason)]

    def boot() -> Transition:
        return Transition(state, Send(("ground", Connect(conn, remote.host, remote.port))), [
            Add(Endpoint("watch", observe_publishers(state.outbound), None, gone)),
            Add(Endpoint("connected", subscriber((Connected(conn), ANY)), on_message=connected)),
        ])  # fmt: skip

    return Spawn(boot, f"connection to {remote.host}:{remote.port}")


def _connection(local: Any, remote: Addr, conn: Conn) -> Spawn:
    state = _State(local, remote, conn)
    return Spawn(lambda: Transition(state, _endpoints(state)), f"connection {conn.number}")


def _endpoints(state: _State) -> list[Any]:
    return [
        Add(Endpoint("ended", subscriber((Ended(state.conn), ANY)), on_message=_ended)),
        Add(Endpoint("w", subscriber(state.outbound), _joined, _left, _outgoing)),
        Add(Endpoint("r", publisher(state.inbound), _joined, _left, _control)),
    ]


def _joined(event: Presence, state: _State) -> Transition:
    return Transition(replace(state, peers=state.peers | {(event.role.orientation, event.peer)}))


def _left(event: Absence, state: _State) -> Any:
    """When the last one of a direction is gone, the connection is."""
    peers = state.peers - {(event.role.orientation, event.peer)}
    after = replace(state, peers=peers)
    if any(orientation is event.role.orientation for orientation, _ in peers):
        return Transition(after)
    return Transition(after, _close(state, event.reason))


def _close(state: _State, reason: Any = None) -> list[Any]:
    return [Send(("ground", Close(state.conn))), Quit(reason)]


def _outgoing(event: Message, state: _State) -> Any:
    part = event.body.part
    if isinstance(part, End):
        return _close(state)
    if not isinstance(part, bytes):
        raise TypeError(f"{part!r} cannot be written to a connection")
    if not part:
        return None
    sent = state.sent + len(part)
    first = not state.unacknowledged
    after = replace(state, sent=sent, unacknowledged=(*state.unacknowledged, (len(part), sent)))
    wait = (
        Add(Endpoint("written", subscriber((Written(state.conn, sent), ANY)), on_message=_written)) if first else None
    )
    return Transition(after, Send(("ground", Write(state.conn, part))), wait, _wait(state, after))


def _written(event: Message, state: _State) -> Transition:
    done = [length for length, end in state.unacknowledged if end <= event.body[1]]
    left = state.unacknowledged[len(done) :]
    after = replace(state, unacknowledged=left, acknowledged=left[0][1] - left[0][0] if left else state.sent)
    following = Replace("written", (Written(state.conn, left[0][1]), ANY)) if left else Delete("written")
    return Transition(after, following, Feedback(replace(state.outbound, part=Credit(sum(done)))), _wait(state, after))


def _control(event: Message, state: _State) -> Any:
    match event.body.part:
        case Credit(int(amount)) if amount >= 0:
            after = replace(state, credit=state.credit + amount)
        case Mode("bytes" | "lines" as name):
            after = replace(state, mode=name, credit=0)
        case part:
            raise TypeError(f"{part!r} does not control a connection")
    return Transition(after, _wait(state, after))


def _wait(before: _State, after: _State) -> Any:
    """Wait for input while there is credit, and for nothing else."""
    if not after.waits:
        return Delete("input") if before.waits else None
    if not before.waits:
        return Add(Endpoint("input", subscriber((after.source(), ANY)), on_message=_incoming))
    return Replace("input", (after.source(), ANY)) if before.source() != after.source() else None


def _incoming(event: Message, state: _State) -> Any:
    data = event.body[1]
    if isinstance(data, Failure):
        return [Send(replace(state.inbound, part=Error(data.text))), *_close(state, data.text)]
    after = replace(state, credit=state.credit - (1 if state.mode == "lines" else len(data)))
    return Transition(after, _wait(state, after), Send(replace(state.inbound, part=data)))


def _ended(event: Message, state: _State) -> Any:
    error = event.body[1]
    text = error.text if isinstance(error, Failure) else error
    trouble = Send(replace(state.inbound, part=Error(text))) if text else None
    return [trouble, Send(replace(state.inbound, part=EOF)), *_close(state, text or None)]
