"""Runs whose walkers can be looked at afterwards."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Iterator
from typing import Any

from klorpy.core.choreography import Choreography, reachable
from klorpy.outoforder.compile import flows
from klorpy.outoforder.deferred import settled
from klorpy.outoforder.walker import WINDOW
from klorpy.simulator.arguments import distribute
from klorpy.simulator.delivery import Delivery
from klorpy.simulator.schedule import Seed, schedule_of


def delivery(
    chor: Choreography, *args: Any, seed: Seed = 0, order: str = "dataflow", orders: dict[str, str] | None = None,
    window: int = WINDOW, **options: Any,
) -> Delivery:  # fmt: skip
    """All roles at their start."""
    definition = chor.defined()
    schedule = schedule_of(seed)
    options.setdefault("permute_local", schedule.preemptive)
    made = Delivery(
        definition.roles, reachable(chor), schedule, orders=orders or dict.fromkeys(definition.roles, order),
        window=window, **options,
    )  # fmt: skip
    given = distribute(definition, copy.deepcopy(args))
    for role, flow in zip(definition.roles, flows(definition), strict=True):
        made.walkers[role].start(flow, definition.roles, tuple(given[role]))
    return made


def run(chor: Choreography, *args: Any, **options: Any) -> Delivery:
    """All roles at their end."""
    made = delivery(chor, *args, **options)
    made.run()
    return made


def results(done: Delivery) -> dict[str, Any]:
    return {role: settled(walker.result) for role, walker in done.walkers.items()}


def assert_quiescent(done: Delivery) -> None:
    """Every role has ended, and nothing is left: no waiter, no message, no step, no round, no question."""
    assert not done.flying
    assert not done.violations
    for role, walker in done.walkers.items():
        assert walker.error is None, walker.error
        assert walker.done, f"{role} waits for {walker.waiting()}"
        assert walker.mailbox.quiet
        assert not walker.open
        assert walker.outstanding == 0
        assert walker.scopes == 0
        assert not walker._loops
        assert not walker._wanted


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing that programs print is seen."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def schedules(chor: Choreography, *args: Any, most: int = 5000, **options: Any) -> Iterator[Delivery]:
    """The run under every schedule, local steps permuted. Fails when there are more than `most`."""
    script: list[int] = []
    for _ in range(most):
        seed = "s" + ".".join(map(str, script))
        made = delivery(chor, *args, seed=seed, permute_local=True, patient=True, **options)
        made.run()
        yield made
        choices = [*made.schedule.made]  # type: ignore[attr-defined]
        while choices and choices[-1][0] + 1 >= choices[-1][1]:
            choices.pop()
        if not choices:
            return
        script = [choice for choice, _ in choices]
        script[-1] += 1
    raise AssertionError(f"more than {most} schedules")
