"""`simulate_chor` and `explore`: all roles of a choreography, here and at once."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from klorpy.core.choreography import Choreography, Definition, reachable
from klorpy.core.diagnostics import KlorError
from klorpy.core.events import Blocked, Message, Printed
from klorpy.core.options import ORDERS
from klorpy.core.types import Arrow, Role
from klorpy.core.values import NotCopyable, isolate, same_value
from klorpy.runtime.commands import AWAIT, Closure
from klorpy.runtime.erasure import check_count, check_playable, result_at
from klorpy.runtime.scopes import texts
from klorpy.simulator.arguments import distribute
from klorpy.simulator.audit import Audit
from klorpy.simulator.functions import Meeting
from klorpy.simulator.output import Capture
from klorpy.simulator.progress import Progress, under_way
from klorpy.simulator.schedule import Sampled, Schedule, Scripted, Seed, schedule_of
from klorpy.simulator.scheduler import Scheduler
from klorpy.simulator.simulation import Simulation
from klorpy.simulator.verdict import judge

if TYPE_CHECKING:
    from klorpy.simulator.clock import Clock

#: Seconds. A clock cannot count further.
_FOR_EVER: Final = 1e9


def simulate_chor(
    chor: Choreography,
    *args: Any,
    seed: Seed = 0,
    check: bool = True,
    order: str | None = None,
    timeout: float | None = None,
    sanitize: bool | None = None,
    trace: bool = True,
    detail: bool = False,
    links: str | None = None,
    window: int | None = None,
    clock: Clock | None = None,
) -> Simulation:
    """Run all roles of `chor` in memory, deterministically, and give what they did.

    All arguments are given, in the order of the parameters; each role gets those that mention it. `seed` chooses the
    order in which roles move: 0 lets each run until it waits, any other integer interleaves them pseudo-randomly;
    equal seeds give equal runs. `sanitize` compares the copies of every agreement (the default under pytest).
    `timeout` is in seconds and is looked at between steps. `trace=False` keeps no messages and is faster. `detail=True` also notes when a role enters a choreography that
    it calls, and when it comes back, which charts show as frames.

    `order` is the order within each role: "program", "effects" (effects on one resource keep their order, everything
    else happens as soon as its inputs are known) or "dataflow" (everything does); left out, definitions say it by the
    option `:order`, and the program's is the default. `links` deliver "unordered" or "fifo", `window` is how many
    rounds of a loop a role may have under way, and a `clock` (see Clock) gives the run a `timeline`. With any of these
    the run is that of messages with integrity keys, also in program order.

    Needs no event loop, so it works in a script, in a test, in a running loop and in a notebook alike; host code
    that awaits is run by anyio in a thread. Results and messages do not depend on what finishes first there; the
    order of events may.

    With `check`, a failure, a deadlock or the end of the time raises ChoreographyFailed; its cause is the first
    failure. Without, the simulation is returned. Raises KlorError for what cannot be started: `not-a-chor`,
    `not-defined`, `not-playable`, `sim-arity`, `bad-argument`.

    >>> from klorpy import evaluate
    >>> ns = evaluate("(defchor double [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))")
    >>> sim = simulate_chor(ns.double, 21)
    >>> sim.results, sim.channel("A", "B")
    ({'A': 42, 'B': noop}, [21])
    """
    __tracebackhide__ = True
    definition = check_playable(chor)
    check_count(definition, args)
    _check_arguments(order, timeout, sanitize)
    if sanitize is None:
        sanitize = "PYTEST_CURRENT_TEST" in os.environ
    keys = _Keys(order, links, window, clock) if _keyed(chor, order, links, window, clock) else None
    progress = Progress(chor)
    with under_way(progress):
        simulation = _simulate(
            chor, definition, args, schedule_of(seed), seed, timeout, sanitize, trace, progress, detail, keys
        )  # fmt: skip
    if check and simulation.verdict is not None:
        raise simulation.verdict
    return simulation


class _Keys(NamedTuple):
    """What a run of messages with keys is told."""

    order: str | None
    links: str | None
    window: int | None
    clock: Clock | None = None


def _keyed(chor: Choreography, order: str | None, *others: Any) -> bool:
    """Whether a run is one of messages with keys: roles are not all in program order, or something else asks for it."""
    if any(other is not None for other in others) or order not in (None, "program"):
        return True
    return order is None and any("order" in found.options for found in reachable(chor).values())


def _check_arguments(order: str | None, timeout: float | None, sanitize: bool | None) -> None:
    if sanitize not in (None, True, False):
        raise KlorError(f"sanitize is {sanitize!r}", slug="bad-argument", help="give True, False or None")
    if order is not None and order not in ORDERS:
        raise KlorError(f"there is no order {order!r}", slug="bad-argument", help=f"give one of: {', '.join(ORDERS)}")
    fine = isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and 0 < timeout < _FOR_EVER
    if timeout is not None and not fine:
        raise KlorError(f"{timeout!r} is not a time", slug="bad-argument", help="give seconds, or None for no limit")


def _simulate(
    chor: Choreography, definition: Definition, args: tuple[Any, ...], schedule: Schedule, seed: Seed,
    timeout: float | None, sanitize: bool, trace: bool, progress: Progress, detail: bool, keys: _Keys | None,
) -> Simulation:  # fmt: skip
    entries: list[Any] | None = [] if trace else None
    progress.trace = entries
    if keys is not None:
        simulation: Simulation = importlib.import_module("klorpy.simulator.lenient").simulate(
            chor, definition, args, schedule, seed, order=keys.order, links=keys.links or "unordered",
            window=keys.window, clock=keys.clock, timeout=timeout, sanitize=sanitize, trace=entries,
        )  # fmt: skip
        return simulation
    scheduler = prepare(chor, definition, args, schedule, entries, timeout=timeout, sanitize=sanitize, detail=detail)
    with scheduler.capture:
        scheduler.run()
    return conclude(chor, definition, scheduler, seed, timeout)


def prepare(
    chor: Choreography, definition: Definition, args: tuple[Any, ...], schedule: Schedule, entries: list[Any] | None, *,
    timeout: float | None = None, sanitize: bool = False, detail: bool = False, pausing: bool = False,
    pinned: Mapping[Choreography, Definition] | None = None,
) -> Scheduler:  # fmt: skip
    """A run that has not begun: every role stands at its start. What happens will be noted in `entries`.

    Choreographies are what they are now, or what `pinned` says.
    """
    roles = definition.roles
    pinned = reachable(chor) if pinned is None else pinned

    def line(role: Role, text: str) -> None:
        if entries is not None:
            entries.append(Printed(role, text))

    capture = Capture(roles, line)
    scheduler = Scheduler(
        roles, pinned, schedule, trace=entries, capture=capture, audit=Audit() if sanitize else None,
        deadline=None if timeout is None else time.monotonic() + timeout, clock=time.monotonic,
        detail=detail, pausing=pausing,
    )  # fmt: skip
    projections = definition.audited if sanitize else definition.projections
    given = distribute(definition, args)
    for index, role in enumerate(roles):
        scheduler.start(role, projections[index](roles, *given[role]))
    return scheduler


def conclude(
    chor: Choreography, definition: Definition, scheduler: Scheduler, seed: Seed, timeout: float | None = None
) -> Simulation:
    """What a run has done, with its verdict."""
    simulation = Simulation(chor, seed, _trace=scheduler.trace, roles=definition.roles)
    simulation.outputs = scheduler.capture.outputs()
    meeting = Meeting(scheduler.pinned, timeout)
    result_type = definition.signature.arrow.result
    for role, task in scheduler.tasks.items():
        if task.done:

            def callable_at(arrow: Arrow, closure: Closure, role: Role = role) -> Callable[..., Any]:
                return meeting.function(role, arrow, closure)

            simulation.results[role] = result_at(result_type, task.result, role, callable_at)
        elif task.error is not None:
            simulation.failures[role] = task.error
        elif task.waiting is not None:
            assert task.command is not None
            waits_for = None if task.command[0] == AWAIT else task.command[1]
            simulation.blocked[role] = Blocked(role, waits_for, task.command[2])
    simulation.unread = [
        Message(source, role, value, site)
        for role, task in scheduler.tasks.items()
        for source, box in task.inbox.items()
        for _, _, value, site in box
    ]
    failed = scheduler.first_failure
    first, trail = (failed.role, failed.trail) if failed else (None, ())
    simulation.verdict = judge(simulation, first, trail, scheduler.timed_out, texts(scheduler.pinned))
    return simulation


# --- Exploration ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Exploration:
    """Many schedules of one choreography, compared with the first.

    `complete` says that there are no other schedules. `different` is the first run that did not do what the first
    run did (in results, messages of some channel, outputs or failures); its `seed` replays it. An exploration is true
    when all runs did the same and the first did not fail.
    """

    schedules: int
    complete: bool
    first: Simulation
    different: Simulation | None = None
    difference: str = ""
    seeds: tuple[Seed, ...] = field(default=(), repr=False)

    @property
    def seed(self) -> Seed | None:
        """The seed of the run that differs; None when all agree."""
        return None if self.different is None else self.different.seed

    def __bool__(self) -> bool:
        """Whether all schedules did the same, and the choreography did not fail."""
        return self.different is None and self.first.verdict is None


def explore(
    chor: Choreography,
    *args: Any,
    schedules: int = 100,
    sanitize: bool = True,
    timeout: float | None = None,
    check: bool = False,
    order: str | None = None,
    links: str | None = None,
    window: int | None = None,
) -> Exploration:
    """Run `chor` under many schedules: under all of them when there are at most `schedules`, else under a sample.

    Each run gets copies of the arguments. Stops at the first run that differs. `timeout` (seconds) holds for each
    run. With `check`, raises the verdict of the first run that failed. `order`, `links` and `window` are those of
    `simulate_chor`: out of order a schedule also chooses among the steps that a role can take, and among the messages that
    can arrive, whose order in a channel is then no difference. Raises KlorError as `simulate_chor` does.

    >>> from klorpy import evaluate
    >>> ns = evaluate("(defchor f [A B C] (-> A B C) [x y] (C (+ (A->C x) (B->C y))))")
    >>> found = explore(ns.f, 1, 2, schedules=1000)
    >>> bool(found), found.complete
    (True, True)
    """
    __tracebackhide__ = True
    definition = check_playable(chor)
    check_count(definition, args)
    _check_arguments(order, timeout, sanitize)
    if not isinstance(schedules, int) or isinstance(schedules, bool) or schedules < 1:
        raise KlorError(f"cannot run {schedules!r} schedules", slug="bad-argument", help="give a positive number")

    keys = _Keys(order, links, window) if _keyed(chor, order, links, window) else None

    def run(schedule: Schedule, seed: Seed) -> Simulation:
        copies = tuple(_copied(arg) for arg in args)
        return _simulate(chor, definition, copies, schedule, seed, timeout, sanitize, True, progress, False, keys)

    progress = Progress(chor, schedules)
    with under_way(progress):
        return _explore(run, schedules, check, progress)


def _explore(
    run: Callable[[Schedule, Seed], Simulation], schedules: int, check: bool, progress: Progress
) -> Exploration:
    """First the plain order; then a sample, since neighbours in the tree of choices differ in the last ones only; and
    when the sample brings little that is new, what is left of the tree. (So a longer exploration finds what a shorter
    one does.) Runs that repeat a schedule do not count."""
    tree = _Tree()
    first: Simulation | None = None
    seeds: list[Seed] = []
    repeated = number = 0
    while len(seeds) < schedules:
        script: tuple[int, ...] | None = () if first is None else None
        if first is not None and repeated > len(seeds) + _REPEATED:
            script = tree.untried()
            if script is None:
                break
        if script is None:
            number += 1
            sampled = Sampled(number)
            simulation = run(sampled, number)
            new = tree.add(sampled.choices, sampled.made)
        else:
            scripted = Scripted(script)
            simulation = run(scripted, scripted.seed)
            simulation.seed = scripted.seed
            new = tree.add(script, scripted.made)
        if check and simulation.verdict is not None:
            raise simulation.verdict
        if first is None:
            first = simulation
        difference = compare(first, simulation)
        if new or difference is not None:
            seeds.append(simulation.seed)
            progress.done = len(seeds)
        else:
            repeated += 1
        if difference is not None:
            return Exploration(len(seeds), False, first, simulation, difference, tuple(seeds))
    assert first is not None
    return Exploration(len(seeds), tree.untried() is None and tree.closed, first, seeds=tuple(seeds))


#: How many runs of a sample may repeat a schedule, besides as many as did not.
_REPEATED: Final = 8


class _Tree:
    """The schedules that were tried, as leaves of the tree of choices. A leaf is named without its last zeros."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        self._next: tuple[int, ...] | None = ()
        #: Whether the same choices have led to the same ones to make.
        self.closed = True

    def add(self, choices: tuple[int, ...], made: list[tuple[int, int]]) -> bool:
        """Note a schedule; says whether it is new."""
        new = choices not in self._made
        self._made.setdefault(choices, made)
        return new

    def untried(self) -> tuple[int, ...] | None:
        """The first schedule, from the left, that was not tried; None when there is none."""
        while self._next is not None and self._next in self._made:
            following = _next_script(self._made[self._next])
            if following is not None and following <= self._next:
                self.closed, following = False, None  # host code is not the same in each run: the tree has no end
            self._next = following
        return self._next


def _next_script(made: list[tuple[int, int]]) -> tuple[int, ...] | None:
    """The next schedule in the order of a depth-first search; None after the last."""
    for i in range(len(made) - 1, -1, -1):
        choice, count = made[i]
        if choice + 1 < count:
            return (*(c for c, _ in made[:i]), choice + 1)
    return None


def _copied(value: Any) -> Any:
    try:
        return isolate(value)
    except NotCopyable:
        return value


def compare(first: Simulation, other: Simulation) -> str | None:
    """What `other` did differently, in words; None when the two did the same but for the order of events."""
    roles = first.roles
    for role in roles:
        a, b = _outcome(first, role), _outcome(other, role)
        if a[0] != b[0] or not same_value(a[1], b[1]):
            return f"{role}: {a[0]} {a[1]!r} in the first run, {b[0]} {b[1]!r} in this"
        if first.outputs[role] != other.outputs[role]:
            return f"{role} printed {first.outputs[role]!r} in the first run, {other.outputs[role]!r} in this"
    for source in roles:
        for target in roles:
            one, two = first.channel(source, target), other.channel(source, target)
            if not first.in_order:
                one, two = sorted(one, key=repr), sorted(two, key=repr)
            if not same_value(one, two):
                return f"the messages from {source} to {target} differ"
    return None


def _outcome(simulation: Simulation, role: Role) -> tuple[str, Any]:
    if role in simulation.results:
        return "result", simulation.results[role]
    if role in simulation.failures:
        error = simulation.failures[role]
        return "failure", f"{type(error).__name__}: {error}"
    return "no result", None
