"""What an order costs where there is nothing to wait for: the same walk, effects in order beside everything in order."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import anyio

import klorpy
from klorpy import MemoryNetwork, play_role
from tests.benchmarks.measure import Contest, Run, timed

STREAM: Final = """
(import klorpy [pure touches])
(defn [pure] twice [x] (* 2 x))
(defn [(touches "sum")] add [sums x] (setv (get sums 0) (+ (get sums 0) x)))
(defchor stream [P C] (-> #{P C} C C) [n sums]
  (loop [i 0] (if (< i n) (do (C (add sums (twice (P->C (P (twice i)))))) (recur (+ i 1))) (C (get sums 0)))))
"""


@cache
def stream() -> Any:
    return klorpy.evaluate(STREAM).stream


def simulated(messages: int, order: str) -> int:
    """The sum, computed by walkers in one process."""
    found = klorpy.simulate_chor(stream(), messages, [0], order=order, links="fifo", sanitize=False, trace=False)
    value: int = found["C"]
    return value


def played(messages: int, order: str | None) -> int:
    """The sum, computed by two tasks over a memory network."""
    chor = stream()
    found: dict[str, Any] = {}

    async def role(network: MemoryNetwork, name: str, *args: Any) -> None:
        config = {"role": name, "transport": network.endpoint(name), "order": order}
        found[name] = await play_role(config, chor, *args)

    async def both() -> None:
        network = MemoryNetwork(chor.roles)
        async with anyio.create_task_group() as group:
            group.start_soon(role, network, "P", messages)
            group.start_soon(role, network, "C", messages, [0])

    anyio.run(both)
    value: int = found["C"]
    return value


def contests(messages: int, repeats: int) -> list[Contest]:
    def simulation(order: str) -> Run:
        return Run(f"{order}, simulated", timed(lambda: simulated(messages, order)), messages, messages * (messages - 1) * 2)

    def play(order: str | None) -> Run:
        name = f"{order or 'program, no keys'}, played"
        return Run(name, timed(lambda: played(messages, order)), messages, messages * (messages - 1) * 2)

    return [
        Contest("effects, simulated", simulation("effects"), simulation("program"), 2.0, "µs/message", 1e6, repeats),
        Contest("effects, played in memory", play("effects"), play("program"), 2.0, "µs/message", 1e6, repeats),
        Contest("effects, played in memory", play("effects"), play(None), None, "µs/message", 1e6, repeats),
    ]
