"""Ping-pong between two roles as one would write it without klorpy: three ways.

All play the same protocol: A sends x + 1, B sends back one more, `rounds` times; the result is A's last value, twice
the number of rounds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final

SEND: Final = "send"
RECEIVE: Final = "receive"


# --- Generators that yield requests to a scheduler, which owns the mailboxes ------------------------------------------


def requesting(rounds: int) -> int:
    """Each message is two requests, one at either end: what klorpy does, without checks, copies or calls."""

    def a() -> Generator[Any, Any, int]:
        x = 0
        for _ in range(rounds):
            yield SEND, "B", x + 1
            x = yield RECEIVE, "B"
        return x

    def b() -> Generator[Any, Any, None]:
        for _ in range(rounds):
            x = yield RECEIVE, "A"
            yield SEND, "A", x + 1

    result: int = run_requests({"A": a(), "B": b()})["A"]
    return result


def run_requests(programs: Mapping[str, Generator[Any, Any, Any]]) -> dict[str, Any]:
    """Run all programs until none can move; the results of those that ended."""
    inboxes: dict[str, dict[str, deque[Any]]] = {
        role: {source: deque() for source in programs if source != role} for role in programs
    }
    sends = {role: program.send for role, program in programs.items()}
    values: dict[str, Any] = dict.fromkeys(programs)
    waiting: dict[str, str] = {}
    results: dict[str, Any] = {}
    ready = deque(programs)
    while ready:
        role = ready.popleft()
        send, value, inbox = sends[role], values[role], inboxes[role]
        try:
            while True:
                request = send(value)
                if request[0] is SEND:
                    _, target, message = request
                    if waiting.get(target) == role:
                        del waiting[target]
                        values[target] = message
                        ready.append(target)
                    else:
                        inboxes[target][role].append(message)
                    value = None
                else:
                    source = request[1]
                    box = inbox[source]
                    if not box:
                        waiting[role] = source
                        break
                    value = box.popleft()
        except StopIteration as stop:
            results[role] = stop.value
    return results


# --- Generators that write to mailboxes themselves and yield only to wait ---------------------------------------------


class Mailbox(deque[Any]):
    """A queue that puts whoever waits for it into the ready queue."""

    __slots__ = ("ready", "waiter")

    def __init__(self, ready: deque[Any]) -> None:
        super().__init__()
        self.ready = ready
        self.waiter: Any = None

    def put(self, value: Any) -> None:
        self.append(value)
        if self.waiter is not None:
            self.ready.append(self.waiter)
            self.waiter = None


def with_mailboxes(rounds: int) -> int:
    """The tersest: a send is a method call, so there is one switch a message, and nobody can stand in between."""
    ready: deque[tuple[str, Callable[[Any], Mailbox], Mailbox | None]] = deque()
    to_a, to_b = Mailbox(ready), Mailbox(ready)

    def a() -> Generator[Mailbox, Any, int]:
        x = 0
        for _ in range(rounds):
            to_b.put(x + 1)
            x = yield to_a
        return x

    def b() -> Generator[Mailbox, Any, None]:
        for _ in range(rounds):
            x = yield to_b
            to_a.put(x + 1)

    ready.append(("A", a().send, None))
    ready.append(("B", b().send, None))
    results: dict[str, Any] = {}
    while ready:
        role, send, box = ready.popleft()
        value = None if box is None else box.popleft()
        try:
            while True:
                box = send(value)
                if not box:
                    box.waiter = (role, send, box)
                    break
                value = box.popleft()
        except StopIteration as stop:
            results[role] = stop.value
    result: int = results["A"]
    return result


# --- asyncio ----------------------------------------------------------------------------------------------------------


def with_asyncio(rounds: int) -> int:
    return asyncio.run(_with_asyncio(rounds))


async def _with_asyncio(rounds: int) -> int:
    to_a: asyncio.Queue[int] = asyncio.Queue()
    to_b: asyncio.Queue[int] = asyncio.Queue()

    async def a() -> int:
        x = 0
        for _ in range(rounds):
            to_b.put_nowait(x + 1)
            x = await to_a.get()
        return x

    async def b() -> None:
        for _ in range(rounds):
            x = await to_b.get()
            to_a.put_nowait(x + 1)

    result, _ = await asyncio.gather(a(), b())
    return result
