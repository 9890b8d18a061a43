"""Running choreographies of the global calculus: every thread by its own behaviour, over counted messages.

    enact(C, functions) = what each thread did, how many messages that took, and how long

Each session has its own queues, one for each pair of roles, so that sessions between the same threads do not mix. Sending
does not wait. A start does: the first thread invites the others and waits until all have accepted (`handshake`, 2(n-1)
messages), and tells them so, if everybody is to know that everybody has joined (`barrier`, 3(n-1)).

Time is counted, not waited for: a message that is sent at s arrives at s + delay, and who receives it goes on at that time
or later. Which thread goes on when several could is up to the seed, and makes no difference to what each thread does.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from klorpy.behaviour.arguments import checked
from klorpy.behaviour.behaviours import (
    Accept,
    Again,
    Behaviour,
    Choose,
    Decide,
    Done,
    Input,
    Offer,
    Output,
    Repeat,
    Request,
    Told,
)
from klorpy.behaviour.endpoint import endpoints
from klorpy.behaviour.globalcalculus import Apply, Chor, Expr, Thread, Variable
from klorpy.behaviour.globalcalculus import Literal as Value
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Role
from klorpy.core.values import NotCopyable, isolate

Synchronisation: TypeAlias = Literal["handshake", "barrier"]

#: Messages after which a run is stopped, unless the caller says how many.
MAX_MESSAGES: Final = 1_000_000

#: Where a message waits: what it is, and between whom.
_Queue: TypeAlias = tuple[object, ...]
#: A thread that runs gives the queue that it waits for and gets the message.
_Running: TypeAlias = Generator[_Queue, Any, None]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a thread did: `kind` is start, send, receive, select, offer or decide."""

    kind: str
    thread: Thread
    #: The other thread's role, "" where there is none.
    peer: Role
    #: The value, the label, or the channel of a start.
    value: Any


@dataclass
class Enactment:
    """What a run did.

    `time` is the number of delays on the critical path. `loops` says how often each thread called each recursion.
    """

    starts: int = 0
    start_messages: int = 0
    values: int = 0
    selections: int = 0
    time: float = 0
    events: dict[Thread, list[Event]] = field(default_factory=dict)
    variables: dict[Thread, dict[str, Any]] = field(default_factory=dict)
    loops: Counter[tuple[Thread, str]] = field(default_factory=Counter)

    @property
    def payload_messages(self) -> int:
        """Values and selections: what is not spent on starting sessions."""
        return self.values + self.selections

    @property
    def messages(self) -> int:
        return self.start_messages + self.payload_messages

    def __str__(self) -> str:
        return (f"{self.starts} starts with {self.start_messages} messages, {self.values} values and {self.selections} "
                f"selections, {self.messages} messages in all; critical path {self.time:g}")  # fmt: skip


@checked
def enact(
    chor: Chor | Mapping[Thread, Behaviour],
    functions: Mapping[str, Callable[..., Any]] | None = None,
    *,
    rounds: int | None = None,
    start: Synchronisation = "handshake",
    delay: float = 1,
    seed: int = 0,
    max_messages: int = MAX_MESSAGES,
) -> Enactment:
    """Run a choreography, or the behaviours of its threads.

    `functions` are those of the host. A thread that has called a recursion `rounds` times is done: this is for choreographies
    that are one loop. Raises KlorError `unmergeable` when a thread has no behaviour, `no-such-session`, `deadlock`,
    `unknown-function`, `choreography-failed` when a function of the host fails, and `timeout` when there are more than
    `max_messages` messages.

    >>> from klorpy.behaviour import parse_gc
    >>> chor = parse_gc('(rec X (start a k (u U) (c C)) (com k (u U) (pwd) (c C) x) (call X))')
    >>> print(enact(chor, {"pwd": lambda: "secret"}, rounds=10))
    10 starts with 20 messages, 10 values and 0 selections, 30 messages in all; critical path 21
    """
    behaviours = endpoints(chor) if isinstance(chor, Chor) else chor
    return _Run({} if functions is None else functions, rounds, start == "barrier", delay, random.Random(seed), max_messages).run(behaviours)


class _Run:
    def __init__(
        self, functions: Mapping[str, Callable[..., Any]], rounds: int | None, barrier: bool, delay: float,
        source: random.Random, max_messages: int,
    ) -> None:  # fmt: skip
        self.functions = functions
        self.rounds = rounds
        self.barrier = barrier
        self.delay = delay
        self.source = source
        self.max_messages = max_messages
        self.result = Enactment()
        self.queues: dict[_Queue, deque[tuple[Any, float]]] = {}
        self.clocks: dict[Thread, float] = {}
        self.ready: list[Thread] = []
        self.waiting: dict[_Queue, Thread] = {}
        self.sessions = 0

    def run(self, behaviours: Mapping[Thread, Behaviour]) -> Enactment:
        running: dict[Thread, _Running] = {}
        inbox: dict[Thread, Any] = {}
        for thread, behaviour in behaviours.items():
            self.clocks[thread] = 0
            self.result.events[thread] = []
            self.result.variables[thread] = {}
            running[thread] = self.thread(thread, behaviour)
            inbox[thread] = None
            self.ready.append(thread)
        while self.ready:
            # Taking any one costs no more than taking the last.
            at = self.source.randrange(len(self.ready))
            self.ready[at], self.ready[-1] = self.ready[-1], self.ready[at]
            thread = self.ready.pop()
            try:
                wanted = running[thread].send(inbox[thread])
                while self.queues.get(wanted):
                    wanted = running[thread].send(self.take(wanted, thread))
            except StopIteration:
                del running[thread]
                continue
            self.waiting[wanted] = thread
            inbox[thread] = _Later(self, wanted, thread)
        self.result.time = max(self.clocks.values(), default=0)
        if running:
            waits = "; ".join(f"{thread} waits for {_says(queue)}" for queue, thread in self.waiting.items())
            raise KlorError(f"every thread waits: {waits}", slug="deadlock",
                            help="the behaviours are not those of one choreography")  # fmt: skip
        return self.result

    def post(self, thread: Thread, queue: _Queue, value: Any) -> None:
        """Send; the sender does not wait."""
        if self.result.messages > self.max_messages:
            raise KlorError(f"the run has more than {self.max_messages} messages", slug="timeout",
                            help="bound the rounds of its loops with rounds=…, or allow more with max_messages=…")  # fmt: skip
        self.queues.setdefault(queue, deque()).append((value, self.clocks[thread] + self.delay))
        receiver = self.waiting.pop(queue, None)
        if receiver is not None:
            self.ready.append(receiver)

    def take(self, queue: _Queue, thread: Thread) -> Any:
        messages = self.queues[queue]
        value, arrives = messages.popleft()
        if not messages:
            del self.queues[queue]
        self.clocks[thread] = max(self.clocks[thread], arrives)
        return value

    # --- One thread ---

    def thread(self, me: Thread, behaviour: Behaviour) -> _Running:
        sessions: dict[str, int] = {}
        loops: dict[str, Behaviour] = {}
        body: Behaviour | None = behaviour
        while body is not None:
            for op in body.ops:
                match op:
                    case Request():
                        sessions[op.session] = yield from self.request(me, op)
                    case Accept():
                        sessions[op.session] = yield from self.accept(me, op)
                    case Output(session, role, peer, expr):
                        value = self.value(me, expr)
                        self.note("send", me, peer, value)
                        self.result.values += 1
                        self.post(me, (_joined(me, session, sessions), role, peer), _isolated(me, expr, value))
                    case Input(session, role, peer, variable):
                        value = yield from self.receive(me, (_joined(me, session, sessions), peer, role))
                        self.result.variables[me][variable] = value
                        self.note("receive", me, peer, value)
                    case Choose(session, role, peer, label):
                        self.note("select", me, peer, label)
                        self.result.selections += 1
                        self.post(me, (_joined(me, session, sessions), role, peer), label)
                    case Told(session, role, peer, label):
                        told = yield from self.receive(me, (_joined(me, session, sessions), peer, role))
                        self.note("offer", me, peer, told)
                        if told != label:
                            raise _unexpected(me, told)
            body = yield from self.last(me, body, sessions, loops)

    def last(
        self, me: Thread, behaviour: Behaviour, sessions: Mapping[str, int], loops: dict[str, Behaviour]
    ) -> Generator[_Queue, Any, Behaviour | None]:
        match behaviour.last:
            case Done():
                return None
            case Offer(session, role, peer, branches):
                label = yield from self.receive(me, (_joined(me, session, sessions), peer, role))
                self.note("offer", me, peer, label)
                chosen = dict(branches).get(label)
                if chosen is None:
                    raise _unexpected(me, label)
                return chosen
            case Decide(expr, then, otherwise):
                value = self.value(me, expr)
                self.note("decide", me, "", bool(value))
                return then if value else otherwise
            case Repeat(variable, body):
                loops[variable] = body
                return body
            case Again(variable):
                self.result.loops[me, variable] += 1
                done = self.rounds is not None and self.result.loops[me, variable] >= self.rounds
                return None if done else loops[variable]

    def receive(self, me: Thread, queue: _Queue) -> Generator[_Queue, Any, Any]:
        value = yield queue
        return value.get() if isinstance(value, _Later) else value

    def request(self, me: Thread, op: Request) -> Generator[_Queue, Any, int]:
        self.sessions += 1
        session = self.sessions
        self.result.starts += 1
        self.note("start", me, "", op.channel)
        others = [player for player in op.players if player.thread != me]
        for player in others:
            self.count(me, ("invitation", op.channel, me, player.thread), (session, player.role))
        for player in others:
            yield from self.receive(me, ("acceptance", session, player.thread))
        if self.barrier:
            for player in others:
                self.count(me, ("go", session, player.thread), None)
        return session

    def accept(self, me: Thread, op: Accept) -> Generator[_Queue, Any, int]:
        session, _ = yield from self.receive(me, ("invitation", op.channel, op.initiator, me))
        self.note("start", me, "", op.channel)
        self.count(me, ("acceptance", session, me), None)
        if self.barrier:
            yield from self.receive(me, ("go", session, me))
        assert isinstance(session, int)
        return session

    def count(self, me: Thread, queue: _Queue, value: Any) -> None:
        self.result.start_messages += 1
        self.post(me, queue, value)

    def note(self, kind: str, me: Thread, peer: Role, value: Any) -> None:
        self.result.events[me].append(Event(kind, me, peer, value))

    def value(self, me: Thread, expr: Expr) -> Any:
        match expr:
            case Value(value):
                return value
            case Variable(name):
                variables = self.result.variables[me]
                if name not in variables:
                    raise KlorError(f"{me} has no {name}", slug="unbound-variable", help=f"let {me} receive it first")
                return variables[name]
            case Apply(function, args):
                if function not in self.functions:
                    raise KlorError(f"{me} calls {function}, which nobody defines", slug="unknown-function",
                                    help=f"give enact a function {function}")  # fmt: skip
                given = [self.value(me, arg) for arg in args]
                try:
                    return self.functions[function](*given)
                except Exception as error:
                    raise KlorError(f"{expr} failed at {me}: {type(error).__name__}: {error}", slug="choreography-failed",
                                    help=f"look at the function {function}") from error  # fmt: skip


@dataclass(frozen=True)
class _Later:
    """A message that has come for a thread that waited: it is taken when the thread goes on."""

    run: _Run
    queue: _Queue
    thread: Thread

    def get(self) -> Any:
        return self.run.take(self.queue, self.thread)


def _unexpected(me: Thread, label: object) -> KlorError:
    return KlorError(f"{me} is told {label}, which it does not offer", slug="protocol-mismatch",
                     help="the behaviours are not those of one choreography")  # fmt: skip


def _joined(me: Thread, session: str, sessions: Mapping[str, int]) -> int:
    if session not in sessions:
        raise KlorError(f"{me} acts in {session}, which it has not joined", slug="no-such-session",
                        help="let a start with this thread come first; typecheck finds out where one is missing")  # fmt: skip
    return sessions[session]


def _isolated(me: Thread, expr: Expr, value: Any) -> Any:
    try:
        return isolate(value)
    except NotCopyable as error:
        raise KlorError(f"{me} cannot send {expr}: a {error} cannot be copied", slug="not-copyable",
                        help="send what it stands for: a number, a text, a list") from None  # fmt: skip


def _says(queue: _Queue) -> str:
    kind, *between = queue
    return f"{kind} {' '.join(map(str, between))}" if isinstance(kind, str) else f"{between[0]} in session {kind}"
