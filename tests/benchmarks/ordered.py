"""What an order costs where there is nothing to wait for: the same walk, effects in order beside everything in order.

`python -m tests.benchmarks.ordered ORDER MESSAGES` plays both roles over TCP, in two processes on one core, and prints the
seconds that it took and the sum.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from functools import cache
from typing import Any, Final

import anyio

import klorpy
import klorpy.outoforder.play  # what is loaded when it is needed is not to be measured
from klorpy import MemoryNetwork, play_role
from tests.benchmarks.measure import Contest, Run, apart, timed
from tests.benchmarks.tcp import pair

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


async def _play(role: str, order: str, where: dict[str, Any], *args: Any) -> tuple[float, Any]:
    async with klorpy.connect(stream(), role, session="stream", order=order, **where) as transport:
        start = time.perf_counter()
        result = await play_role({"role": role, "transport": transport}, stream(), *args)
        return time.perf_counter() - start, result


def main(order: str, messages: int) -> None:
    def consumer(messages: int, listener: socket.socket) -> Any:
        return asyncio.run(_play("C", order, {"listen": listener}, messages, [0]))

    def producer(messages: int, port: int) -> Any:
        return asyncio.run(_play("P", order, {"peers": {"C": f"127.0.0.1:{port}"}}, messages))

    pair(consumer, producer, messages)


def contests(messages: int, repeats: int) -> list[Contest]:
    def simulation(order: str) -> Run:
        return Run(f"{order}, simulated", timed(lambda: simulated(messages, order)), messages, messages * (messages - 1) * 2)

    def play(order: str | None) -> Run:
        name = f"{order or 'program, no keys'}, played"
        return Run(name, timed(lambda: played(messages, order)), messages, messages * (messages - 1) * 2)

    def over_tcp(order: str) -> Run:
        return Run(f"{order}, TCP", apart("ordered", order, 5 * messages), 5 * messages, 5 * messages * (5 * messages - 1) * 2)

    return [
        Contest("effects, simulated", simulation("effects"), simulation("program"), 2.0, "µs/message", 1e6, repeats),
        Contest("effects, played in memory", play("effects"), play("program"), 2.0, "µs/message", 1e6, repeats),
        Contest("effects, played in memory", play("effects"), play(None), None, "µs/message", 1e6, repeats),
        Contest("effects, over TCP", over_tcp("effects"), over_tcp("program"), 1 / 0.8, "µs/message", 1e6, repeats),
    ]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
