"""Choreographies that a simulation returned: a function for each role, which meet when they are called.

When all roles have ended there is no scheduler any more. Each role's function runs in the thread that calls it, over
queues that the functions of one simulation share; so the functions of several roles are called from several threads.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio.from_thread

from klorpy.core.choreography import Choreography, Definition
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Arrow, Role
from klorpy.runtime.commands import APPLY, AWAIT, CALLS, RECEIVE, SEND, Closure, Command
from klorpy.runtime.copying import copied
from klorpy.runtime.erasure import check_erased, result_at
from klorpy.runtime.machine import DONE, Machine

#: Seconds that a function waits for another role's, when the simulation had no timeout.
PATIENCE: Final = 60.0


class Meeting:
    """Where the functions of one simulation meet."""

    def __init__(self, pinned: Mapping[Choreography, Definition], timeout: float | None) -> None:
        self.pinned = pinned
        self.timeout = PATIENCE if timeout is None else timeout
        self._channels: dict[tuple[Role, Role], queue.SimpleQueue[Any]] = {}

    def function(self, role: Role, arrow: Arrow, closure: Closure) -> Callable[..., Any]:
        """The choreography `closure` at `role`, as a function of its erased arguments."""

        def choreography(*args: Any) -> Any:
            check_erased(arrow, args, role)
            machine = Machine(self.pinned)
            machine.start(machine.program((APPLY, closure, args, None)))
            result = self._drive(role, machine)
            return result_at(arrow.result, result, role, lambda a, c: self.function(role, a, c))

        choreography.__name__ = f"choreography_at_{role}"
        return choreography

    def _drive(self, role: Role, machine: Machine) -> Any:
        value: Any = None
        try:
            while True:
                try:
                    command = machine.send(value)
                except StopIteration as stop:
                    value = machine.finish(stop.value)
                    if value is DONE:
                        return machine.result
                    continue
                value = self._perform(role, machine, command)
        finally:
            machine.close()

    def _perform(self, role: Role, machine: Machine, command: Command) -> Any:
        match command[0]:
            case w if w == SEND:
                self._channel(role, command[1]).put(copied(command[2], command[3]))
            case w if w == RECEIVE:
                try:
                    return self._channel(command[1], role).get(timeout=self.timeout)
                except queue.Empty:
                    raise KlorError(
                        command[2].diagnostic(
                            "timeout",
                            f"{role} waited {self.timeout:g} s for {command[1]} at {command[2]}",
                            help=f"call {command[1]}'s function too, in another thread",
                        )
                    ) from None
            case w if w in CALLS:
                machine.enter(command)
            case w if w == AWAIT:
                with anyio.from_thread.start_blocking_portal() as portal:
                    return portal.call(_awaited, command[1])
            case _:
                pass
        return None

    def _channel(self, source: Role, target: Role) -> queue.SimpleQueue[Any]:
        # `setdefault` on a dict is atomic, so two threads that meet here get the same queue.
        return self._channels.setdefault((source, target), queue.SimpleQueue())


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
