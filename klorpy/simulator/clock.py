"""Virtual time: what a run takes when messages and steps take as long as one says.

Nothing waits: the clock jumps from one event to the next. Times are numbers of any unit, so results are exact and the
same everywhere; use integers, or fractions of two.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from klorpy.core.diagnostics import KlorError
from klorpy.core.keys import Token, runs
from klorpy.core.types import Role
from klorpy.outoforder.mailbox import Letter
from klorpy.outoforder.rounds import Control
from klorpy.outoforder.walker import Step, Walker
from klorpy.simulator.delivery import Delivery

Time: TypeAlias = float
#: How long something takes: a time, or a function of the arguments of what is called.
Length: TypeAlias = "Time | Callable[..., Time]"


@dataclass(frozen=True, slots=True)
class Clock:
    """How long things take.

    `latency` is that of every link, or of each by its two roles. `costs` says how long calls of a function occupy a
    role, by its name (`"compute"`) or by role and name (`"S.compute"`); a role works at `slots` of them at once.
    `delays` are like costs, but occupy nobody: somebody else is waited for. `times` are points in time before which
    a call does not come back, for what happens by the calendar. What is not named takes no time.

    >>> from klorpy import evaluate, simulate_chor
    >>> ns = evaluate("(defn work [x] (* 2 x)) (defchor f [A B] (-> A A) [x] (B->A (B (work (A->B x)))))")
    >>> simulate_chor(ns.f, 4, clock=Clock(latency=3, costs={"work": 10})).timeline.makespan
    16
    """

    latency: Time | Mapping[tuple[Role, Role], Time] = 0
    costs: Mapping[str, Length] = field(default_factory=dict)
    delays: Mapping[str, Length] = field(default_factory=dict)
    times: Mapping[str, Length] = field(default_factory=dict)
    slots: int | Mapping[Role, int] = 1

    def __post_init__(self) -> None:
        for name in ("costs", "delays", "times"):
            lengths = getattr(self, name)
            if not isinstance(lengths, Mapping):
                raise _bad(f"{name} are a dict from names of functions to times")
            for function, length in lengths.items():
                if not callable(length):
                    _checked(length, f"of {function} in {name}")
        if not isinstance(self.latency, (int, float, Mapping)):
            raise _bad("a latency is a number, or a dict from pairs of roles to numbers")
        links = self.latency if isinstance(self.latency, Mapping) else {("A", "B"): self.latency}
        for link, length in links.items():
            if not isinstance(link, tuple) or len(link) != 2:
                raise _bad(f"a latency is between two roles, such as ('A', 'B'), and not of {link!r}")
            _checked(length, "in latency")
        counts = self.slots.values() if isinstance(self.slots, Mapping) else [self.slots]
        if not all(isinstance(count, int) and count > 0 for count in counts):
            raise _bad("slots are positive numbers")

    def between(self, source: Role, target: Role) -> Time:
        if isinstance(self.latency, Mapping):
            return self.latency.get((source, target), 0)
        return self.latency


def _checked(time: Any, what: str) -> Time:
    """A time that somebody gave. Raises KlorError `bad-argument`: a clock goes on, and only by numbers."""
    if not isinstance(time, (int, float)) or not 0 <= time < math.inf:
        raise _bad(f"{time!r} {what} is not a time: times are numbers from 0")
    return time


def _bad(message: str) -> KlorError:
    return KlorError(message, slug="bad-argument", help="write Clock(latency=1, costs={'compute': 5})")


@dataclass(frozen=True, slots=True)
class Done:
    """A step that took place: host code at a role, from `start` to `end`. `ready` is since when it could have begun, and
    `number` its place in the program."""

    number: int
    role: Role
    name: str
    token: Token
    ready: Time
    start: Time
    end: Time
    values: tuple[Any, ...] = field(repr=False)

    @property
    def round(self) -> int:
        """Which round of the innermost loop or call chain it is of, from 1; 0 outside of any."""
        found = runs(self.token)
        return found[0][1] if found else 0


@dataclass(frozen=True, slots=True)
class Timeline:
    """What took how long: steps in the order of their ends, and when the last thing happened."""

    steps: tuple[Done, ...]
    makespan: Time

    def of(self, name: str, role: Role | None = None) -> list[Done]:
        """The calls of a function, by its name in the text."""
        plain = name.replace("-", "_")
        return [step for step in self.steps if step.name == plain and role in (None, step.role)]


class Timed(Delivery):
    """A run against a clock: the next thing that happens is what is due first."""

    def __init__(self, *args: Any, clock: Clock, **rest: Any) -> None:
        super().__init__(*args, **rest, inline=False)
        self.clock = clock
        self.now: Time = 0
        #: What is due: when, a number that keeps the order of what is due at once, and what to do.
        self._due: list[tuple[Time, int, Callable[[], None]]] = []
        self._count = 0
        slots = clock.slots
        self._free = {
            role: slots.get(role, 1) if isinstance(slots, Mapping) else slots for role in self.walkers
        }
        self._queues: dict[Role, list[tuple[int, Step, Time]]] = {role: [] for role in self.walkers}
        self._busy = 0
        self.steps_done: list[Done] = []

    def _at(self, time: Time, call: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (time, self._count, call))

    def send(self, letter: Letter) -> None:
        super().send(letter)
        letter = self.flying[letter.source, letter.target][-1]
        self._at(self.now + self.clock.between(letter.source, letter.target), lambda: self.deliver(letter))

    def tell(self, source: Role, target: Role, control: Control) -> None:
        walker = self.walkers[target]
        self._at(self.now + self.clock.between(source, target), lambda: walker.hear(source, control))

    def move(self) -> bool:
        self.settle()
        if not self._due:
            return False
        self.now, _, call = heapq.heappop(self._due)
        call()
        # What is due at the same time happens before anybody begins something new.
        while self._due and self._due[0][0] == self.now:
            heapq.heappop(self._due)[2]()
        return True

    def settle(self) -> None:
        moved = True
        while moved:
            moved = False
            for role, walker in self.walkers.items():
                self._as(walker, walker.advance)
                while walker.ready:
                    moved = True
                    self._arrange(walker, walker.take())
                moved = self._begin(role) or moved
                self._look(walker)

    def _arrange(self, walker: Walker, step: Step) -> None:
        """A step is ready: what takes no time is done, what occupies the role queues."""
        role = walker.role
        cost = self._length(self.clock.costs, walker, step)
        if cost:
            heapq.heappush(self._queues[role], (step.number, step, self.now))
            return
        due = max(self.now, self._length(self.clock.times, walker, step))
        due += self._length(self.clock.delays, walker, step)
        if due == self.now:
            self._finish(walker, step, self.now, self.now)
        else:
            start = self.now
            self._at(due, lambda: self._finish(walker, step, start, start))

    def _begin(self, role: Role) -> bool:
        """Occupy what is free; the step that comes first in the program first."""
        queue = self._queues[role]
        begun = False
        while queue and self._free[role]:
            _, step, ready = heapq.heappop(queue)
            begun = True
            self._free[role] -= 1
            walker, start = self.walkers[role], self.now
            due = start + self._length(self.clock.costs, walker, step)
            self._at(due, partial(self._release, walker, step, ready, start))
        return begun

    def _release(self, walker: Walker, step: Step, ready: Time, start: Time) -> None:
        self._free[walker.role] += 1
        self._finish(walker, step, ready, start)

    def _finish(self, walker: Walker, step: Step, ready: Time, start: Time) -> None:
        if step.kind == "compute":
            values = walker.arguments(step)
            self.steps_done.append(Done(step.number, walker.role, step.name, step.token, ready, start, self.now, values))
        self.perform(walker, step, taken=True)

    def _length(self, lengths: Mapping[str, Length], walker: Walker, step: Step) -> Time:
        if not lengths or step.kind != "compute" or step.code is None:
            return 0
        for call in step.code.calls:
            for name in (f"{walker.role}.{call}", f"{walker.role}.{call.replace('_', '-')}", call, call.replace("_", "-")):
                if name in lengths:
                    length = lengths[name]
                    if not callable(length):
                        return length
                    return _checked(length(*walker.arguments(step)), f"that the function of {name} gave")
        return 0

    @property
    def timeline(self) -> Timeline:
        return Timeline(tuple(self.steps_done), self.now)
