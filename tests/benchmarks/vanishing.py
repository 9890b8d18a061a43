"""How long it takes all processes of a session to know that one is gone, against the bare news of a closed socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Any, Final

import anyio

import klorpy
from klorpy.conversations import World
from klorpy.conversations.bridge import Bridge, BridgedSession
from klorpy.core.verdicts import SessionFailed
from klorpy.runtime.transports.tcp import Tcp
from tests.benchmarks.measure import Contest, Run

ROLES: Final = ("A", "B", "C")
#: Seconds in which all peers are to know.
KNOWN: Final = 5e-3

MEET = """(defchor meet [A B C] (-> A C) [x] (B->C (B (+ 1 (A->B x)))))"""


def contests(times: int, repeats: int) -> list[Contest]:
    known = Run("presence and verdict in two worlds", lambda: _best(_vanish, times), 1, 2)
    return [
        Contest("a role is lost: all peers know", known, KNOWN, 1.0, "ms", 1e3, repeats),
        Contest(
            "a role is lost: over a closed socket", known, Run("a closed socket", lambda: _best(_close, times), 1, 2),
            None, "ms", 1e3, repeats,
        ),
    ]  # fmt: skip


def _best(once: Any, times: int) -> tuple[float, Any]:
    """The best time of several, and what was computed."""

    async def several() -> list[tuple[float, Any]]:
        return [await once() for _ in range(times)]

    return min(anyio.run(several))


async def _vanish() -> tuple[float, int]:
    """A's connections are cut: until the roles B and C have their error, and their worlds know the verdict."""
    told: list[float] = []
    chor = klorpy.evaluate(MEET).meet
    async with contextlib.AsyncExitStack() as stack:
        carriers: list[Tcp] = []
        sessions: list[BridgedSession] = []
        for _ in ROLES:
            peers = {role: f"127.0.0.1:{carrier.ports[0]}" for role, carrier in zip(ROLES, carriers, strict=False)}
            world = await stack.enter_async_context(World())
            node = await stack.enter_async_context(klorpy.host(listen="127.0.0.1:0", peers=peers, grace=0))
            bridge = await stack.enter_async_context(Bridge(world, node))
            sessions.append(await stack.enter_async_context(bridge.session(chor, "s")))
            assert isinstance(node.carrier, Tcp)
            carriers.append(node.carrier)
        ready = asyncio.Event()
        waiting: list[str] = []

        async def play(role: str, session: BridgedSession) -> None:
            with contextlib.suppress(SessionFailed):
                async with session.role(role) as me:
                    waiting.append(role)
                    if len(waiting) == len(ROLES):
                        ready.set()
                    await me.receive({"A": "C", "B": "A", "C": "B"}[role], chor.defined().sites[0])
            if role != "A" and session.verdict is not None and session.verdict.role == "A":
                told.append(time.perf_counter())

        async with anyio.create_task_group() as tasks:
            for role, session in zip(ROLES, sessions, strict=True):
                tasks.start_soon(play, role, session)
            await ready.wait()
            await anyio.wait_all_tasks_blocked()
            began = time.perf_counter()
            for link in list(carriers[0]._links):
                link.abort("the benchmark cuts it")
            while len(told) < 2:
                await asyncio.sleep(0)
            took = max(told) - began
            tasks.cancel_scope.cancel()
    return took, len(told)


async def _close() -> tuple[float, int]:
    """Two connections are cut: until asyncio has told both other ends."""
    loop = asyncio.get_running_loop()
    told: list[float] = []

    class Other(asyncio.Protocol):
        def connection_lost(self, error: Exception | None) -> None:
            told.append(time.perf_counter())

    pairs = [socket.socketpair() for _ in range(2)]
    mine = [(await loop.create_connection(asyncio.Protocol, sock=one))[0] for one, _ in pairs]
    for _, other in pairs:
        await loop.create_connection(Other, sock=other)
    began = time.perf_counter()
    for transport in mine:
        transport.abort()
    while len(told) < 2:
        await asyncio.sleep(0)
    return max(told) - began, len(told)
