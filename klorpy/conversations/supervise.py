"""Supervision by demand and supply.

    supervisor(demand, supply, start) = the action that spawns the supervisor

A supervisor watches who demands something and who supplies it, by topic, and keeps one supplier for each topic that is
demanded: it starts one when demand appears, starts another when the supplier goes and demand is still there, and ends it
when demand is gone. For each task it remembers what it expects. Between the moment when it starts a child and the
child's presence, demand may fall and rise again; who looks only at what there is would start a second one, or leave one
behind that nobody needs.

Restarts are limited: when a task has been restarted `max_restarts` times within so many seconds (or ever), it is given up,
and the message `("given-up", topic)` tells so. It is taken up again when demand appears anew.

    demand  supply expected   what is done
    yes     no     no         start
    no      any    –          end the child, expect it to go
    yes     –      to go      wait until it is gone, then start

Source: the demand matcher of Syndicate (T. Garnock-Jones, 2016), whose four flags these are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from klorpy.conversations.actions import (
    Absence,
    Add,
    Delete,
    Endpoint,
    Interest,
    Kill,
    Message,
    Peer,
    Pid,
    Presence,
    Role,
    Send,
    Spawn,
    Transition,
    observe_publishers,
    publisher,
    subscriber,
)
from klorpy.conversations.ground import Now, Until
from klorpy.conversations.pattern import ANY, Topic
from klorpy.conversations.tasks import Token


@dataclass(frozen=True, slots=True)
class Task:
    """What a supervisor knows of one topic. `child` is the number of the child that it started last."""

    demand: frozenset[Peer] = frozenset()
    supply: frozenset[Peer] = frozenset()
    child: int | None = None
    pid: Pid | None = None
    expect_rise: bool = False
    expect_drop: bool = False
    restarts: tuple[float, ...] = ()
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class Supervision:
    """The state of a supervisor."""

    tasks: dict[Any, Task] = field(default_factory=dict)
    count: int = 0


def supervisor(
    demand: Role,
    supply: Role,
    start: Callable[[Topic], Spawn],
    *,
    max_restarts: int = 3,
    within: float | None = None,
    name: str = "supervisor",
) -> Spawn:
    """The action that spawns a supervisor.

    `demand` and `supply` are the roles of those that are watched, for example `subscriber(("teller", ANY))` and
    `publisher(("teller", ANY))`. What is demanded is the topic that they have in common with the supervisor, and
    `start(topic)` gives the child. With `within`, which needs a ground, restarts are forgotten after so many seconds.

    >>> from klorpy.conversations import Kernel, Quit, spawn
    >>> kernel = Kernel()
    >>> def teller(topic):
    ...     return spawn(Add(Endpoint("t", publisher(topic))), "teller")
    >>> tellers = supervisor(subscriber(("teller", ANY)), publisher(("teller", ANY)), teller)
    >>> bank = kernel.start("bank", tellers)
    >>> ann = kernel.start("ann", Add(Endpoint("c", subscriber(("teller", "ann")))))
    >>> kernel.run(), kernel.find("teller") is not None
    (True, True)
    >>> kernel.enqueue(ann, Quit()), kernel.run(), kernel.find("teller")
    (True, True, None)
    """
    made = _Supervisor(Token(), start, max_restarts, within)
    return Spawn(lambda: Transition(Supervision()), name, endpoints=(
        Endpoint("alive", observe_publishers(("alive", made.token, ANY, ANY)), made.alive, made.dead),
        Endpoint("supply", _watch(supply), made.supplied, made.unsupplied),
        Endpoint("demand", _watch(demand), made.demanded, made.undemanded),
    ))  # fmt: skip


def _watch(role: Role) -> Role:
    return Role(role.orientation.opposite, role.topic, Interest.OBSERVER)


@dataclass(frozen=True, slots=True)
class _Supervisor:
    """The handlers of a supervisor; its state is a Supervision."""

    token: Token
    start: Callable[[Topic], Spawn]
    max_restarts: int
    within: float | None

    def demanded(self, event: Presence, state: Supervision) -> Any:
        topic = event.role.topic
        task = state.tasks.get(topic, Task())
        return self._match(state, topic, replace(task, demand=task.demand | {event.peer}))

    def undemanded(self, event: Absence, state: Supervision) -> Any:
        topic = event.role.topic
        task = state.tasks.get(topic, Task())
        return self._match(state, topic, replace(task, demand=task.demand - {event.peer}))

    def supplied(self, event: Presence, state: Supervision) -> Any:
        topic = event.role.topic
        task = state.tasks.get(topic, Task())
        return self._match(state, topic, replace(task, supply=task.supply | {event.peer}, expect_rise=False))

    def unsupplied(self, event: Absence, state: Supervision) -> Any:
        topic = event.role.topic
        task = state.tasks.get(topic, Task())
        return self._match(state, topic, replace(task, supply=task.supply - {event.peer}))

    def alive(self, event: Presence, state: Supervision) -> Any:
        _, _, topic, number = event.role.topic
        task = state.tasks.get(_unsealed(topic), Task())
        if task.child != number:
            return None
        return self._match(state, _unsealed(topic), replace(task, pid=event.peer.process))

    def dead(self, event: Absence, state: Supervision) -> Any:
        _, _, sealed, number = event.role.topic
        topic = _unsealed(sealed)
        task = state.tasks.get(topic, Task())
        if task.child != number:
            return None
        expected = task.expect_drop
        task = replace(task, child=None, pid=None, expect_rise=False, expect_drop=False)
        if expected or not task.demand:
            return self._match(state, topic, task)
        return self._restart(state, topic, task)

    def _match(self, state: Supervision, topic: Topic, task: Task) -> Transition:
        """Do what the table says for a task that has changed."""
        if task.demand and not task.supply and task.child is None and not task.given_up:
            return self._start(state, topic, task)
        if not task.demand and task.child is not None and task.pid is not None and not task.expect_drop:
            return _keep(state, topic, replace(task, expect_drop=True), Kill(task.pid, "no demand"))
        return _keep(state, topic, task)

    def _start(self, state: Supervision, topic: Topic, task: Task) -> Transition:
        number = state.count
        child = self.start(topic)
        alive = Endpoint(("alive", number), publisher(("alive", self.token, _Key(topic), number)))
        spawn = replace(child, endpoints=(alive, *child.endpoints), failed=self._failed(topic, number, child.failed))
        after = replace(task, child=number, pid=None, expect_rise=True)
        return _keep(replace(state, count=number + 1), topic, after, spawn)

    def _failed(self, topic: Topic, number: int, then: Any) -> Any:
        """A child whose boot raises is never alive, so its death is told here."""

        def failed(error: BaseException, state: Supervision) -> Any:
            task = state.tasks.get(topic, Task())
            if task.child != number:
                return None
            answer = self._restart(state, topic, replace(task, child=None, pid=None, expect_rise=False))
            extra = then(error, state) if then is not None else None
            return Transition(answer.state, *answer.actions, extra)

        return failed

    def _restart(self, state: Supervision, topic: Topic, task: Task) -> Transition:
        if len(task.restarts) >= self.max_restarts:
            return _keep(state, topic, replace(task, given_up=True), Send(("given-up", _Key(topic))))
        counted = replace(task, restarts=(*task.restarts, state.count))
        answer = self._match(state, topic, counted)
        if self.within is None:
            return answer
        number = state.count
        ask = Endpoint(("now", number), subscriber((Now((self.token, number)), ANY)), on_message=self._timed(topic))
        return Transition(answer.state, *answer.actions, Add(ask))

    def _timed(self, topic: Topic) -> Any:
        """The time of a restart is known: forget it later."""
        within = self.within
        assert within is not None

        def timed(event: Message, state: Supervision) -> Any:
            descriptor, now = event.body
            number = descriptor.number[1]

            def over(event: Message, state: Supervision) -> Any:
                task = state.tasks.get(topic, Task())
                left = tuple(restart for restart in task.restarts if restart != number)
                return _keep(state, topic, replace(task, restarts=left), Delete(("until", number)))

            until = Endpoint(("until", number), subscriber((Until(now + within), ANY)), on_message=over)
            return [Delete(("now", number)), Add(until)]

        return timed


class _Key:
    """A topic as an atom, which may hold wildcards; equal topics are equal keys."""

    __slots__ = ("topic",)

    def __init__(self, topic: Topic) -> None:
        self.topic = topic

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.topic == other.topic

    def __hash__(self) -> int:
        return hash(self.topic)

    def __repr__(self) -> str:
        return repr(self.topic)


def _unsealed(key: _Key) -> Topic:
    return key.topic


def _keep(state: Supervision, topic: Topic, task: Task, *actions: Any) -> Transition:
    tasks = {other: known for other, known in state.tasks.items() if other != topic}
    # A task that nobody demands is forgotten, its restarts too: who asks anew is not to suffer for what was before.
    if task.demand or task.supply or task.child is not None:
        tasks[topic] = task
    return Transition(replace(state, tasks=tasks), *actions)
