"""A DNS forwarder with a cache. It needs dnspython: `pip install klorpy[dns]`. Try `dig @127.0.0.1 -p 5353 example.org`.

    python -m klorpy.examples.conversations dns 5353

Every open question is a process, however many clients ask it: clients subscribe to its answer, and that is the demand
which starts it.

    front        packet from a client → a *client* process, which subscribes to ("answer", question, ANY)
    dispatcher   somebody waits for an answer → a *question* process, which publishes it
    question     asks the cache, then the network; says SERVFAIL when both have nothing
    cache        answers until their time to live is over, which the timer tells
    attempt      one packet to the other server: takes an id, waits, tries again, gives up
    ids          numbers for packets; an id is free again when who holds it is gone
    back         packet from the other server → ("response", id, question, packet)

A question that crashes leaves, and its clients see that: they say SERVFAIL, too. Nobody cleans up; all is presence.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field, replace
from typing import Any, Final

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from klorpy.conversations import (
    ANY,
    delete,
    observer,
    publisher,
    quit,
    role,
    send,
    spawn,
    subscriber,
    transition,
)
from klorpy.conversations.drivers import (
    Addr,
    CancelTimer,
    ClockRead,
    Handle,
    Listener,
    ReadClock,
    SetTimer,
    TimerExpired,
    Udp,
    timer_driver,
    udp_driver,
)

#: Seconds until a packet is sent again, and how often it is.
PATIENCE: Final = 2.0
ATTEMPTS: Final = 3
#: Where we ask from.
OUTSIDE: Final = Handle("dns")

#: The name in lower case, the type and the class.
Question = tuple[str, int, int]


def question_of(message: dns.message.Message) -> Question:
    asked = message.question[0]
    return (asked.name.to_text().lower(), int(asked.rdtype), int(asked.rdclass))


def program(
    listener: Listener = Listener(5353),  # noqa: B008
    upstream: Addr = Addr("9.9.9.9", 53),  # noqa: B008
    *,
    seed: bytes = b"",
    driver: bool = True,
) -> list[Any]:
    """The forwarder. `seed` makes the packets' ids; without `driver` somebody else speaks `Udp`."""
    return [
        timer_driver(),
        udp_driver() if driver else None,
        ids(seed or secrets.token_bytes(16)),
        cache(),
        dispatcher(upstream),
        back(upstream),
        front(listener),
    ]


# --- Clients ----------------------------------------------------------------------------------------------------------


def front(listener: Listener) -> Any:
    def packet(event: Any, state: Any) -> Any:
        client, wire = event.body.source, event.body.data
        if not isinstance(wire, bytes):
            return send(("trouble", wire))  # the driver says why there is no socket
        try:
            message = dns.message.from_wire(wire)
        except dns.exception.DNSException as error:
            return send(("malformed", client, str(error)))
        if message.flags & dns.flags.QR:
            return None
        if message.opcode() != dns.opcode.QUERY or len(message.question) != 1:
            return send(Udp(listener, client, failure(message, dns.rcode.NOTIMP)))
        return waiting(listener, client, message)

    return spawn(role("packets", subscriber(Udp(ANY, listener, ANY)), on_message=packet), "front")


def failure(query: dns.message.Message, code: dns.rcode.Rcode) -> bytes:
    answer = dns.message.make_response(query, recursion_available=True)
    answer.set_rcode(code)
    return answer.to_wire()


def waiting(listener: Listener, client: Addr, query: dns.message.Message) -> Any:
    """The process of one client's question."""
    question = question_of(query)

    def reply(wire: bytes) -> list[Any]:
        return [send(Udp(listener, client, wire)), quit("answered")]

    def answered(event: Any, state: Any) -> Any:
        wire = event.body[2]
        if wire is None:
            return reply(failure(query, dns.rcode.SERVFAIL))
        answer = dns.message.from_wire(wire)
        answer.id = query.id
        answer.question = list(query.question)
        size = query.payload if query.edns >= 0 else 512
        try:
            return reply(answer.to_wire(max_size=max(size, 512)))
        except dns.exception.TooBig:
            short = dns.message.make_response(query, recursion_available=True)
            short.flags |= dns.flags.TC
            return reply(short.to_wire())

    def gone(event: Any, state: Any) -> Any:
        return [send(("failed", question, str(event.reason))), *reply(failure(query, dns.rcode.SERVFAIL))]

    return spawn(
        role("answer", subscriber(("answer", question, ANY)), on_message=answered, on_absence=gone),
        f"client {client.port}",
    )


# --- Questions --------------------------------------------------------------------------------------------------------


def dispatcher(upstream: Addr) -> Any:
    """Its state is how many wait for which question."""

    def wanted(event: Any, waiting: dict[Question, int]) -> Any:
        question = event.role.topic[1]
        count = waiting.get(question, 0)
        start = None if count else answering(question, upstream)
        return transition({**waiting, question: count + 1}, start)

    def unwanted(event: Any, waiting: dict[Question, int]) -> Any:
        question = event.role.topic[1]
        left = {**waiting, question: waiting[question] - 1}
        return transition({asked: count for asked, count in left.items() if count})

    return spawn(
        lambda: transition({}, role("demand", observer(subscriber(("answer", ANY, ANY))), wanted, unwanted)),
        "dispatcher",
    )


def answering(question: Question, upstream: Addr) -> Any:
    """The process of one question. It ends with its last client, or when it has answered."""

    def answer(wire: bytes | None) -> list[Any]:
        return [send(("answer", question, wire)), quit("answered")]

    def looked_up(event: Any, state: Any) -> Any:
        wire = event.body[2]
        return answer(wire) if wire is not None else [delete("cache"), attempt(question, upstream, 1)]

    def result(event: Any, state: Any) -> Any:
        wire = event.body[2]
        return [send(("store", question, wire)) if wire is not None else None, *answer(wire)]

    def left(event: Any, clients: int) -> Any:
        return transition(clients - 1, None if clients > 1 else quit("nobody waits"))

    return spawn(
        lambda: transition(
            0,
            role("cache", subscriber(("cached", question, ANY)), on_message=looked_up),
            role("result", subscriber(("result", question, ANY)), on_message=result),
            send(("lookup", question)),
        ),
        "question",
        endpoints=[
            role("me", publisher(("answer", question, ANY)), lambda event, clients: transition(clients + 1), left),
        ],
    )


# --- The cache --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    wire: bytes
    since: float


def time_to_live(message: dns.message.Message) -> int:
    """Seconds that an answer may be kept; what is not there is kept as the zone says; a failure is not kept."""
    if message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) or message.flags & dns.flags.TC:
        return 0
    if message.answer:
        return int(min(rrset.ttl for rrset in message.answer))
    zones = [rrset for rrset in message.authority if rrset.rdtype == dns.rdatatype.SOA]
    return int(min([min(rrset.ttl, rrset[0].minimum) for rrset in zones], default=0))


def aged(wire: bytes, seconds: float) -> bytes:
    """An answer as it is so many seconds later."""
    message = dns.message.from_wire(wire)
    for section in (message.answer, message.authority, message.additional):
        for rrset in section:
            rrset.ttl = max(0, rrset.ttl - int(seconds))
    return message.to_wire()


def cache() -> Any:
    def read_clock(event: Any, kept: dict[Question, Kept]) -> Any:
        """What is to be kept, or looked up, is so at a time."""
        return send(ReadClock(("cache", event.body)))

    def at(event: Any, kept: dict[Question, Kept]) -> Any:
        request, now = event.body.label[1], event.body.now
        question = request[1]
        if request[0] == "lookup":
            found = kept.get(question)
            return send(("cached", question, found and aged(found.wire, now - found.since)))
        seconds = time_to_live(dns.message.from_wire(request[2]))
        if not seconds:
            return None
        return transition({**kept, question: Kept(request[2], now)}, send(SetTimer(("cache", question), seconds)))

    def expired(event: Any, kept: dict[Question, Kept]) -> Any:
        question = event.body.label[1]
        return transition({other: value for other, value in kept.items() if other != question})

    return spawn(
        lambda: transition(
            {},
            role("lookup", subscriber(("lookup", ANY)), on_message=read_clock),
            role("store", subscriber(("store", ANY, ANY)), on_message=read_clock),
            role("time", subscriber(ClockRead(("cache", ANY), ANY)), on_message=at),
            role("expired", subscriber(TimerExpired(("cache", ANY), ANY)), on_message=expired),
        ),
        "cache",
    )


# --- The other server -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ids:
    """Which ids are held; ids cannot be guessed by who does not know the seed."""

    seed: bytes
    count: int = 0
    held: frozenset[int] = field(default_factory=frozenset)


def ids(seed: bytes) -> Any:
    def allocate(event: Any, state: Ids) -> Any:
        count = state.count
        while True:
            count += 1
            digest = hashlib.sha256(state.seed + count.to_bytes(8, "big")).digest()
            number = int.from_bytes(digest[:2], "big")
            if number not in state.held:
                break
        after = replace(state, count=count, held=state.held | {number})
        return transition(after, send(("id", event.body[1], number)))

    def released(event: Any, state: Ids) -> Any:
        return transition(replace(state, held=state.held - {event.role.topic[1]}))

    return spawn(
        lambda: transition(
            Ids(seed),
            role("allocate", subscriber(("allocate", ANY)), on_message=allocate),
            role("held", observer(publisher(("holds", ANY))), on_absence=released),
        ),
        "ids",
    )


def back(upstream: Addr) -> Any:
    def packet(event: Any, state: Any) -> Any:
        try:
            message = dns.message.from_wire(event.body.data, ignore_trailing=True)
            question = question_of(message)
        except (dns.exception.DNSException, IndexError, AttributeError, TypeError) as error:
            return send(("malformed", upstream, str(error)))
        if not message.flags & dns.flags.QR:
            return None
        return send(("response", message.id, question, event.body.data))

    return spawn(role("packets", subscriber(Udp(upstream, OUTSIDE, ANY)), on_message=packet), "back")


def attempt(question: Question, upstream: Addr, number: int) -> Any:
    """One packet, under an id of its own; when no answer comes in time, another attempt takes over."""
    label = (question, number)
    timer = ("attempt", label)

    def ask(event: Any, state: Any) -> Any:
        identity = event.body[2]
        name, kind, of = question
        kind, of = dns.rdatatype.RdataType.make(kind), dns.rdataclass.RdataClass.make(of)
        query = dns.message.make_query(name, kind, of, use_edns=0, id=identity)
        return [
            delete("id"),
            role("holds", publisher(("holds", identity))),
            role("response", subscriber(("response", identity, question, ANY)), on_message=response),
            role("late", subscriber(TimerExpired(timer, ANY)), on_message=late),
            send(SetTimer(timer, PATIENCE)),
            send(Udp(OUTSIDE, upstream, query.to_wire())),
        ]

    def response(event: Any, state: Any) -> Any:
        wire = event.body[3]
        if dns.message.from_wire(wire).rcode() == dns.rcode.SERVFAIL and number < ATTEMPTS:
            return [send(CancelTimer(timer)), attempt(question, upstream, number + 1), quit("again")]
        return [send(CancelTimer(timer)), send(("result", question, wire)), quit("answered")]

    def late(event: Any, state: Any) -> Any:
        if number < ATTEMPTS:
            return [attempt(question, upstream, number + 1), quit("again")]
        return [send(("result", question, None)), quit("silence")]

    return spawn([role("id", subscriber(("id", label, ANY)), on_message=ask), send(("allocate", label))], "attempt")
