"""Counting integrity violations: over all schedules of a choreography, or over a sample of them.

Given a choreography, arguments and a key mode; result: how many schedules there are, and in how many of them something
is bound wrongly.

Every message carries its true key, whatever the key mode looks at; a message that completes a receive with another
key is *misbound*. Misbound messages may make up for each other (two that are swapped on the way and swapped
once more on the next hop), so a schedule *violates integrity* when some message is misbound and it shows, compared with
the run in program order: a role has another result; a value that nothing uses is another; an effect that nothing
depends on has other arguments; or the effects of a place that others depend on have, all in all, other arguments.
With full keys nothing is misbound.

Two schedules that lead to the same state have the same futures, so states are counted once: the runs needed grow with
the states and not with the schedules. A state is what each role has done (effects in their order), what it waits for
and has received, and what is in flight. A state is reached by running again from the start, along the first choices
that led there; so host code must do the same in each run, and each run has copies of the arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias

from klorpy.core.choreography import Choreography, Definition, reachable
from klorpy.core.diagnostics import KlorError
from klorpy.core.options import ORDERS
from klorpy.core.types import Role
from klorpy.core.values import isolate, same_value, show
from klorpy.outoforder.compile import flows
from klorpy.outoforder.deferred import pending, plain, settled
from klorpy.outoforder.idle import idle
from klorpy.outoforder.mailbox import MODES, Letter, Waiter
from klorpy.outoforder.walker import WINDOW, Step, Walker
from klorpy.runtime.erasure import check_count, check_playable
from klorpy.simulator.arguments import distribute
from klorpy.simulator.delivery import LINKS, Delivery
from klorpy.simulator.output import Capture
from klorpy.simulator.schedule import Fair, Scripted, Seeded
from klorpy.simulator.simulation import Simulation

#: Choices in a row that are followed one inside the other; a run with more is only sampled.
_DEEPEST: Final = 600

State: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Violations:
    """Of `schedules` schedules `violations` bind something wrongly. In `misbound` of them some message met the wrong
    receive, whether it shows or not.

    `complete` says that these are all schedules there are; else it is a sample. `states` is how many states were
    told apart. `example` is the run under a schedule that violates; None when there is none.
    """

    violations: int
    schedules: int
    misbound: int
    complete: bool
    states: int
    example: Simulation | None = field(default=None, repr=False, compare=False)

    def __bool__(self) -> bool:
        """Whether there is a violation."""
        return self.violations > 0

    def __str__(self) -> str:
        return f"{self.violations}/{self.schedules}"

    def __repr__(self) -> str:
        what = "schedules" if self.complete else "sampled schedules"
        return f"<violations: {self.violations} of {self.schedules} {what}>"


def count_violations(
    chor: Choreography,
    *args: Any,
    integrity: str = "both",
    links: str = "unordered",
    permute_local: bool = False,
    order: str = "dataflow",
    runs: int = 10_000,
    seed: int = 0,
) -> Violations:
    """Count the schedules of `chor` in which a message is bound to the wrong receive.

    `integrity` is what a receive looks at: "none" (only the sender), "line" (and the place in the text), "token"
    (and the activation) or "both", the full key, which is the only one outside of this function. `links` deliver
    "fifo" or "unordered". `permute_local` also permutes the steps that a role can take; else each role takes its
    steps in the order of the program before anything is delivered. At most `runs` runs are made: when they do not reach
    all states, the result is that of a sample of as many schedules.

    Raises KlorError as `simulate_chor` does.

    >>> from klorpy import evaluate
    >>> ns = evaluate("(defchor f [A B] (-> A A B) [x y] (let [p (A->B x) q (A->B y)] (B [p q])))")
    >>> print(count_violations(ns.f, 1, 2, integrity="none"), count_violations(ns.f, 1, 2))
    1/2 0/2
    """
    definition = check_playable(chor)
    check_count(definition, args)
    for name, value, known in (("integrity", integrity, tuple(MODES)), ("links", links, LINKS), ("order", order, ORDERS)):
        if value not in known:
            raise KlorError(f"{name} is {value!r}", slug="bad-argument", help=f"give one of: {', '.join(known)}")
    if not isinstance(runs, int) or isinstance(runs, bool) or runs < 1:
        raise KlorError(f"cannot make {runs!r} runs", slug="bad-argument", help="give a positive number")
    counter = _Counter(chor, definition, args, integrity, links, permute_local, order, runs)
    return counter.count(seed)


class _Recorded:
    """One run with what happened in it, as far as it decides what can happen next; and what shows."""

    def __init__(self, delivery: Delivery, idle: frozenset[Any]) -> None:
        self.delivery = delivery
        self.idle = idle
        self.done: dict[Role, set[Any]] = {role: set() for role in delivery.walkers}
        self.effects: dict[Role, list[Any]] = {role: [] for role in delivery.walkers}
        self.bound: dict[Role, set[Any]] = {role: set() for role in delivery.walkers}
        #: The values where they show, by place.
        self.shown: dict[Any, Any] = {}
        #: The arguments of effects that others depend on, as text.
        self.passed: dict[Any, list[str]] = {}
        delivery.watch = self.step
        for role, walker in delivery.walkers.items():
            walker.mailbox.bound = partial(self.receive, role)

    def receive(self, role: Role, letter: Letter, waiter: Waiter) -> None:
        self.bound[role].add((waiter.token, waiter.site, _name(letter)))
        if waiter.site in self.idle:
            self.shown[role, waiter.token, waiter.site] = (letter.value,)

    def step(self, walker: Walker, step: Step) -> None:
        effect = step.code is not None and step.code.effectful
        if effect:
            self.effects[walker.role].append(step.place)
        else:
            self.done[walker.role].add(step.place)
        values = tuple(map(plain, step.inputs))
        if step.op in self.idle:
            self.shown[walker.role, *step.place] = values
        elif effect:
            self.passed.setdefault((walker.role, step.op), []).append(show(values))

    def end(self) -> None:
        """The run is over: the results show."""
        self.shown.update((place, (sorted(texts),)) for place, texts in self.passed.items())
        for role, walker in self.delivery.walkers.items():
            if walker.done and not pending(walker.result):
                try:
                    self.shown[role] = (settled(walker.result),)
                except Exception as error:  # what host code raised
                    self.shown[role] = (error,)

    def state(self) -> State:
        delivery = self.delivery
        roles = tuple(
            (
                frozenset(self.done[role]), tuple(self.effects[role]), frozenset(self.bound[role]),
                tuple(step.place for _, step in sorted(walker.open.items())),
                tuple(sorted((repr(c), tuple(map(_name, box))) for c, box in walker.mailbox.stored.items())),
                tuple(sorted((repr(c), tuple(w.token for w in box)) for c, box in walker.mailbox.waiting.items())),
            )
            for role, walker in delivery.walkers.items()
        )  # fmt: skip
        links = tuple(
            (link, tuple(map(_name, box)) if delivery.fifo else tuple(sorted(map(_name, box))))
            for link, box in sorted(delivery.flying.items())
        )
        return roles, links


def _name(letter: Letter) -> tuple[Any, ...]:
    return letter.source, letter.token, id(letter.site)


class _Out(Exception):
    """The runs are used up, or the choices lead too deep."""


class _Script:
    """Follows a script and then pauses the run."""

    preemptive = True

    def __init__(self, script: tuple[int, ...]) -> None:
        self._script = iter(script)
        self.count = 0

    def choose(self, count: int) -> int:
        self.count = count
        return next(self._script, -1)


class _Counter:
    def __init__(
        self, chor: Choreography, definition: Definition, args: tuple[Any, ...], integrity: str, links: str,
        permute_local: bool, order: str, runs: int,
    ) -> None:  # fmt: skip
        self.chor = chor
        self.definition = definition
        self.args = args
        self.integrity = integrity
        self.links = links
        self.permute_local = permute_local
        self.order = order
        self.left = self.runs = runs
        self.pinned = reachable(chor)
        self.known: dict[State, tuple[int, int, int]] = {}
        self.idle = idle(self.pinned.values())
        self.example: tuple[int, ...] | None = None
        self.right = self._reference()
        self.left = self.runs

    def count(self, seed: int) -> Violations:
        try:
            schedules, violations, misbound = self._from(())
        except _Out:
            return self._sample(seed)
        return Violations(violations, schedules, misbound, True, len(self.known), self._replay())

    def _replay(self) -> Simulation | None:
        """The run under the schedule that was found to violate first."""
        if self.example is None:
            return None
        self.left = 1
        trace: list[Any] = []
        recorded = self.run(Scripted(self.example), trace=trace)
        simulation = Simulation(self.chor, Scripted(self.example).seed, _trace=trace, roles=self.definition.roles)
        recorded.end()
        for role in self.definition.roles:
            if role in recorded.shown and not isinstance(recorded.shown[role][0], BaseException):
                simulation.results[role] = recorded.shown[role][0]
        return simulation

    def _reference(self) -> dict[Any, Any]:
        """What shows in the run in program order, with full keys."""
        recorded = self.run(Fair(), "program", "both")
        recorded.end()
        return recorded.shown

    def run(
        self, schedule: Any, order: str | None = None, integrity: str | None = None, trace: list[Any] | None = None
    ) -> _Recorded:
        if not self.left:
            raise _Out
        self.left -= 1
        definition = self.definition
        capture = Capture(definition.roles, _ignore)
        delivery = Delivery(
            definition.roles, self.pinned, schedule, orders=dict.fromkeys(definition.roles, order or self.order),
            links=self.links, integrity=integrity or self.integrity, permute_local=self.permute_local, window=WINDOW,
            patient=True, inline=False, capture=capture, trace=trace,
        )  # fmt: skip
        recorded = _Recorded(delivery, self.idle)
        given = distribute(definition, tuple(isolate(arg) for arg in self.args))
        for role, flow in zip(definition.roles, flows(definition), strict=True):
            delivery.walkers[role].start(flow, definition.roles, tuple(given[role]))
        with capture:
            delivery.run()
        return recorded

    def _from(self, script: tuple[int, ...]) -> tuple[int, int, int]:
        """The schedules that begin with `script`, how many of them violate, and in how many a message is misbound."""
        if len(script) > _DEEPEST:
            raise _Out
        schedule = _Script(script)
        recorded = self.run(schedule)
        delivery = recorded.delivery
        state = recorded.state()
        found = self.known.get(state)
        if found is not None:
            return found
        paused = delivery.letters() or (self.permute_local and delivery.steps())
        if not paused:
            found = (1, *self._judge(recorded, script))
        else:
            found = (0, 0, 0)
            for choice in range(schedule.count):
                one = self._from((*script, choice))
                found = (found[0] + one[0], found[1] + one[1], found[2] + one[2])
        self.known[state] = found
        return found

    def _judge(self, recorded: _Recorded, script: tuple[int, ...]) -> tuple[int, int]:
        """Whether something is bound wrongly, and whether a message met the wrong receive, as numbers."""
        if not recorded.delivery.violations:
            return 0, 0
        recorded.end()
        wrong = not _same(self.right, recorded.shown)
        if wrong and self.example is None:
            self.example = script
        return int(wrong), 1

    def _sample(self, seed: int) -> Violations:
        self.left = self.runs
        violations = misbound = 0
        for number in range(self.runs):
            schedule = _Remembering(seed * self.runs + number + 1)
            wrong, met = self._judge(self.run(schedule), tuple(schedule.made))
            violations, misbound = violations + wrong, misbound + met
        return Violations(violations, self.runs, misbound, False, len(self.known), self._replay())


def _same(right: dict[Any, Any], found: dict[Any, Any]) -> bool:
    return right.keys() == found.keys() and all(same_value(value, found[place]) for place, value in right.items())


class _Remembering(Seeded):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.made: list[int] = []

    def choose(self, count: int) -> int:
        choice = super().choose(count)
        self.made.append(choice)
        return choice


def _ignore(role: Role, text: str) -> None:
    """What host code prints is not of interest here."""
