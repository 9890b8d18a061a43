"""The kernel of conversations: messages among many endpoints, and joining one session among many."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from statistics import median
from typing import Any, Final

from klorpy.conversations import ANY, Kernel, Send, Transition, observe_publishers, publisher, role, spawn, subscriber
from klorpy.conversations.players import message_topic, role_topic
from tests.benchmarks.measure import Contest, Run

#: Seconds that an event may take to be delivered: 50,000 in a second.
EVENT: Final = 1 / 50_000
#: Seconds of the kernel that joining a session of three roles may take.
JOIN: Final = 20e-6


def contests(messages: int, few: int, many: int, joins: int, repeats: int) -> list[Contest]:
    thousand = _messages(10 * few, messages)
    sessions = _joins(10 * few, joins)
    return [
        Contest(f"a message, {10 * few:,} endpoints", thousand, EVENT, 1.0, "µs/event", 1e6, repeats),
        Contest(f"a message, {many:,} endpoints", _messages(many, messages), _messages(few, messages), 2.0, "µs/event", 1e6, repeats),
        Contest("ping-pong among idle ones", _ping_pong(10 * few, messages), EVENT, 1.0, "µs/event", 1e6, repeats),
        Contest("joining a session of three", _joins(few // 10, joins), JOIN, 1.0, "µs/join", 1e6, repeats),
        Contest(f"joining among {10 * few:,} others", sessions, _joins(few // 10, joins), 2.0, "µs/join", 1e6, repeats),
        Contest(f"joining among {many // 10:,} others", _joins(many // 10, joins), _joins(few // 10, joins), 2.0, "µs/join", 1e6, repeats),
        Contest("failure of one of 100 roles", _fan_out(100), _fan_out(2), None, "µs/role", 1e6, repeats),
        Contest("memory of an endpoint", _memory(10 * few), 4096.0, 1.0, "bytes", 1, 1),
    ]  # fmt: skip


def _timed(kernel: Kernel) -> float:
    start = time.perf_counter()
    kernel.run()
    return time.perf_counter() - start


def _kernel_time(kernel: Kernel) -> float:
    """The kernel's own time: a collection in so short a run would be of what others have left, too."""
    gc.disable()
    try:
        return _timed(kernel)
    finally:
        gc.enable()


def _populated(endpoints: int, handler: Callable[[Any, Any], Any] | None = None) -> Kernel:
    kernel = Kernel()
    kernel.start("room", [role(n, subscriber(("chat", n, ANY)), on_message=handler) for n in range(endpoints)], 0)
    kernel.run()
    return kernel


def _count(event: Any, state: int) -> Transition:
    return Transition(state + 1)


def _messages(endpoints: int, messages: int) -> Run:
    """Messages to one endpoint each, from one process, with the process that gets them counting."""
    kernels: list[Kernel] = []

    def measure() -> tuple[float, Any]:
        if not kernels:
            kernels.append(_populated(endpoints, _count))
        kernel = kernels[0]
        before = kernel.state_of("room")
        kernel.start("speaker", [Send(("chat", n * 7919 % endpoints, "hello")) for n in range(messages)])
        took = _timed(kernel)
        return took, kernel.state_of("room") - before

    return Run(f"{endpoints:,} endpoints", measure, messages, messages)


def _ping_pong(idle: int, messages: int) -> Run:
    """Two processes that answer each other, a round for each message."""
    rounds = messages // 2

    def ping(event: Any, state: int) -> Any:
        return Transition(state + 1, Send(("ping", state)) if state + 1 < rounds else None)

    def measure() -> tuple[float, Any]:
        kernel = _populated(idle)
        kernel.start("ping", role("in", subscriber(("pong", ANY)), on_message=ping), 0)
        answer = role("in", subscriber(("ping", ANY)), on_message=lambda event, state: Send(("pong", event.body[1])))
        kernel.start("pong", [answer, Send(("ping", 0))], 0)
        kernel.run(1)
        took = _timed(kernel)
        return took, kernel.state_of("ping")

    return Run("two that answer", measure, 2 * rounds, rounds)


def _member(session: int, name: str) -> Any:
    return spawn(
        lambda: Transition(0),
        name,
        endpoints=[
            role("mail", subscriber(message_topic("bench", session, ANY, name)), on_message=_count),
            role("me", publisher(role_topic("bench", session, name, 1))),
            role("peers", observe_publishers(role_topic("bench", session)), _count, _count),
        ],
    )


def _joins(others: int, joins: int) -> Run:
    """The third role joins: it sees three, and two see it. Only the kernel's part is timed, without the collector.

    The median join counts, since each is so short that a mean is of what interrupts it.
    """
    kernels: list[tuple[Kernel, list[int]]] = []

    def measure() -> tuple[float, Any]:
        if not kernels:
            kernel = Kernel()
            kernel.start("lobby", [role("stay", subscriber("lobby")), *[_member(n, name) for n in range(others) for name in "ABC"]])
            kernel.run()
            kernels.append((kernel, [others]))
        kernel, last = kernels[0]
        took: list[float] = []
        seen = 0
        for session in range(last[0], last[0] + joins):
            kernel.enqueue("lobby", [_member(session, name) for name in "AB"])
            kernel.run()
            kernel.enqueue("lobby", _member(session, "C"))
            took.append(_kernel_time(kernel))
            seen += kernel.state_of("C")
        last[0] += joins
        return median(took) * joins, seen

    return Run(f"{others:,} other sessions", measure, joins, 3 * joins)


def _fan_out(roles: int) -> Run:
    """One role fails, and all the others learn of it in the same run."""

    def measure() -> tuple[float, Any]:
        kernel = Kernel()
        kernel.start("all", [_member(0, f"R{n}") for n in range(roles)])
        kernel.run()
        kernel.enqueue("R0", role("me", subscriber("not what it was")))
        took = _timed(kernel)
        return took, kernel.state_of(f"R{roles - 1}")

    # The last one saw itself only when it came last; a fall is one more.
    return Run(f"{roles} roles", measure, roles, roles + 1)


def _memory(endpoints: int) -> Run:
    def measure() -> tuple[float, Any]:
        gc.collect()
        tracemalloc.start()
        kernel = _populated(endpoints)
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return float(size), len(kernel.processes)

    return Run("an endpoint", measure, endpoints, 1)
