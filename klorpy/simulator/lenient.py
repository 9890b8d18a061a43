"""Simulations out of order: roles are walkers, links deliver in any order, time may be virtual."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from typing import Any, Final

from klorpy.core.choreography import Choreography, Definition, reachable
from klorpy.core.diagnostics import KlorError
from klorpy.core.events import Blocked, Message, Printed
from klorpy.core.types import Arrow, Role
from klorpy.outoforder.compile import flows
from klorpy.outoforder.deferred import Deferred, settled
from klorpy.outoforder.walker import WINDOW, Walker
from klorpy.runtime.commands import Closure
from klorpy.runtime.erasure import result_at
from klorpy.runtime.loop import LoopThread
from klorpy.simulator.arguments import distribute
from klorpy.simulator.awaiting import host_code, settle_loop
from klorpy.simulator.clock import Clock, Timed
from klorpy.simulator.delivery import LINKS, Delivery
from klorpy.simulator.functions import Meeting
from klorpy.simulator.output import Capture
from klorpy.simulator.schedule import Schedule, Seed
from klorpy.simulator.simulation import Simulation
from klorpy.simulator.verdict import judge

#: Choices that the other roles get after a failure, to reach their own failure or a place where they wait.
GRACE: Final = 1000


def simulate(
    chor: Choreography, definition: Definition, args: tuple[Any, ...], schedule: Schedule, seed: Seed, *,
    order: str | None, links: str, window: int | None, clock: Clock | None, timeout: float | None, sanitize: bool,
    trace: list[Any] | None,
) -> Simulation:  # fmt: skip
    """One run, with its verdict. Raises KlorError `bad-argument`."""
    if links not in LINKS:
        raise KlorError(f"there are no links {links!r}", slug="bad-argument", help=f"give one of: {', '.join(LINKS)}")
    if window is not None and (not isinstance(window, int) or isinstance(window, bool) or window < 1):
        raise KlorError(f"{window!r} is not a window", slug="bad-argument", help="give a positive number of rounds")
    if clock is not None and not isinstance(clock, Clock):
        raise KlorError(f"{clock!r} is not a clock", slug="bad-argument", help="give klorpy.Clock(latency=…, costs=…)")
    roles = definition.roles
    pinned = reachable(chor)

    def line(role: Role, text: str) -> None:
        if trace is not None:
            trace.append(Printed(role, text))

    capture = Capture(roles, line)
    given: dict[str, Any] = {
        "orders": dict.fromkeys(roles, order), "links": links, "window": window or WINDOW, "trace": trace,
        "capture": capture, "audit": sanitize,
    }  # fmt: skip
    if clock is not None:
        delivery: Delivery = Timed(roles, pinned, schedule, clock=clock, **given)
    else:
        # Where the schedule has a choice, the steps of a role are among what it chooses from.
        delivery = Delivery(roles, pinned, schedule, permute_local=schedule.preemptive, **given)
    shares = distribute(definition, args)
    for role, flow in zip(roles, flows(definition), strict=True):
        delivery.walkers[role].start(flow, roles, tuple(shares[role]))
    run = _Run(delivery, None if timeout is None else time.monotonic() + timeout)
    with capture:
        run.run()
    return _conclude(chor, definition, run, seed, timeout, trace, pinned)


class _Run:
    """Drives a delivery to its end, with host code that awaits and a deadline."""

    def __init__(self, delivery: Delivery, deadline: float | None) -> None:
        self.delivery = delivery
        self.deadline = deadline
        self.timed_out = False
        self._loop: LoopThread | None = None
        self._futures: list[tuple[Role, Future[Any], Deferred]] = []
        self._finished: queue.SimpleQueue[None] = queue.SimpleQueue()

    def run(self) -> None:
        grace = GRACE
        try:
            while True:
                if self.deadline is not None and time.monotonic() >= self.deadline:
                    self.timed_out = True
                    return
                if self.delivery.first_failure is not None:
                    grace -= 1
                    if grace < 0:
                        return
                moved = self.delivery.move()
                self._begin()
                if not moved and not self._resume():
                    return
        finally:
            self._close()

    def _begin(self) -> None:
        awaited = self.delivery.awaited
        while awaited:
            role, awaitable, site, result = awaited.popleft()
            if self._loop is None:
                self._loop = LoopThread()
            assert self.delivery.capture is not None
            future = self._loop.start(host_code, awaitable, site, self.delivery.capture, role)
            future.add_done_callback(lambda _: self._finished.put(None))
            self._futures.append((role, future, result))

    def _resume(self) -> bool:
        """Nothing else can happen: go on with host code that is done, in the order in which it was begun."""
        if not self._futures or self.delivery.first_failure is not None:
            return False
        assert self._loop is not None
        try:
            self._loop.start(settle_loop).result(self._time_left())
            while not any(future.done() for _, future, _ in self._futures):
                self._finished.get(timeout=self._time_left())
            self._loop.start(settle_loop).result(self._time_left())
        except (queue.Empty, TimeoutError):
            self.timed_out = True
            return False
        done = [entry for entry in self._futures if entry[1].done()]
        self._futures = [entry for entry in self._futures if not entry[1].done()]
        for _, future, result in done:
            try:
                value, error = future.result()
            except CancelledError as cancelled:
                value, error = None, cancelled
            if isinstance(error, KeyboardInterrupt):
                raise error
            if error is not None:
                result.fail(error)
            else:
                result.settle(value)
        return True

    def _time_left(self) -> float | None:
        return None if self.deadline is None else max(self.deadline - time.monotonic(), 0)

    def _close(self) -> None:
        for _, future, _ in self._futures:
            future.cancel()
        if self._loop is not None:
            self._loop.close()
            self._loop = None


def _conclude(
    chor: Choreography, definition: Definition, run: _Run, seed: Seed, timeout: float | None, trace: list[Any] | None,
    pinned: Mapping[Choreography, Definition],
) -> Simulation:  # fmt: skip
    delivery = run.delivery
    simulation = Simulation(chor, seed, _trace=trace, roles=definition.roles, in_order=False)
    assert delivery.capture is not None
    simulation.outputs = delivery.capture.outputs()
    if isinstance(delivery, Timed):
        simulation.timeline = delivery.timeline
    meeting = Meeting(pinned, timeout)
    result_type = definition.signature.arrow.result
    for role, walker in delivery.walkers.items():
        if walker.error is not None:
            simulation.failures[role] = walker.error
        elif walker.done and walker.suffered is None:

            def callable_at(arrow: Arrow, closure: Closure, role: Role = role) -> Callable[..., Any]:
                return meeting.function(role, arrow, closure)

            simulation.results[role] = result_at(result_type, settled(walker.result), role, callable_at)
        else:
            simulation.blocked[role] = _blocked(role, walker, run) or Blocked(role, None, definition.carrier)
    simulation.unread = [
        Message(letter.source, letter.target, letter.value, letter.site)
        for letter in (
            *(letter for walker in delivery.walkers.values() for box in walker.mailbox.stored.values() for letter in box),
            *(letter for link in delivery.flying.values() for letter in link),
        )
        if letter.error is None
    ]
    failed = delivery.first_failure
    first, trail = (failed.role, failed.trail) if failed else (None, ())
    simulation.verdict = judge(simulation, first, trail, run.timed_out, pinned.values())
    return simulation


def _blocked(role: Role, walker: Walker, run: _Run) -> Blocked | None:
    """What a role that has not ended was waiting for, the first such place in its program."""
    if walker.suffered is not None:
        _, source, site = walker.suffered
        return Blocked(role, source, site)
    waiting = walker.waiting()
    if waiting is not None:
        return Blocked(role, waiting.source, waiting.site)
    for other, _, _ in run._futures:
        if other == role:
            site = next(step.site for _, step in sorted(walker.open.items()) if step.site is not None)
            return Blocked(role, None, site)
    return None
