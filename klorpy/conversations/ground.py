"""The ground VM: the outermost kernel, and the world around it.

    program → ground_vm(program) → what the program did

Demand for I/O is presence. A process that subscribes to `(descriptor, ANY)` demands what the descriptor stands for: the
ground runs a task that waits for it, and when it is there, delivers the message `(descriptor, value)`. When the demand
goes, so does the task. What processes want done outside they send as `("ground", request)`. So no handler ever blocks,
and all that the kernel knows of the world came to it as messages, one by one, each after it was idle: a recording of
them is enough to do the same again.

A task only waits until something is there to be taken; it is taken, from a buffer that belongs to the connection, at the
moment when the message is delivered. So nothing is lost when demand goes away in between.

Source: Marketplace's ground VM (T. Garnock-Jones, 2013), whose descriptors are demanded in the same way.
"""

from __future__ import annotations

import logging as logs
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import anyio
import anyio.abc
import anyio.lowlevel

from klorpy.conversations.actions import Add, Descriptor, Endpoint, Message, Pid, Send, Transition, subscriber
from klorpy.conversations.clock import Clock, RealClock, VirtualClock, all_blocked
from klorpy.conversations.kernel import Kernel
from klorpy.conversations.log import Record
from klorpy.conversations.pattern import ANY
from klorpy.core.diagnostics import KlorError
from klorpy.core.events import describe_error

#: Rounds that the kernel takes before the world outside gets a turn.
ROUNDS = 100
log: Final = logs.getLogger("klorpy.conversations")


class Source(Descriptor):
    """Something that can be waited for, outside."""

    __slots__ = ()

    async def ready(self, ground: Ground) -> None:
        """Wait until `take` has something to give. Cancelling this loses nothing."""
        raise NotImplementedError

    def take(self, ground: Ground) -> Any:
        """The value; called at most once after each `ready`."""
        raise NotImplementedError


class Request:
    """Something that is to be done outside, without waiting for it.

    When `perform` raises, the message `(request, Failure(text))` tells whoever subscribes to it.
    """

    __slots__ = ()

    def perform(self, ground: Ground) -> None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Failure:
    """The value of a descriptor whose wait failed, or of a request that could not be performed."""

    text: str


@dataclass(frozen=True, slots=True)
class Until(Source):
    """The moment `time` of the ground's clock; the value is the time when it is delivered."""

    time: float

    def __post_init__(self) -> None:
        # What is not equal to itself would be demanded anew for ever.
        if self.time != self.time:
            raise KlorError("a moment cannot be nan", slug="bad-argument", help="give a number of seconds")

    async def ready(self, ground: Ground) -> None:
        await ground.clock.until(self.time)

    def take(self, ground: Ground) -> float:
        return ground.clock.now()


@dataclass(frozen=True, slots=True)
class Now(Source):
    """The time, now. Each question has a number of its own."""

    number: Any

    async def ready(self, ground: Ground) -> None:
        await anyio.lowlevel.checkpoint()

    def take(self, ground: Ground) -> float:
        return ground.clock.now()


class Resource(Protocol):
    """Something outside that has to be given back."""

    async def aclose(self) -> None: ...


class Ground:
    """A kernel and the world around it.

    Start processes in `kernel`, then `run`. It ends when nothing can happen any more: the kernel is idle and demands
    nothing. `recording` holds all that came from outside.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        logging: bool = False,
        messages: Callable[[Any], Any] | None = None,
    ) -> None:
        self.clock: Clock = clock or RealClock()
        self.kernel = Kernel(logging=logging, messages=messages)
        self.recording: list[tuple[Descriptor | Request, Any]] = []
        #: What is open outside, by the names that processes know it by.
        self.resources: dict[Any, Resource] = {}
        self._pid = self.kernel.start(
            "ground", [Add(Endpoint("requests", subscriber(("ground", ANY)), on_message=_keep))], ()
        )
        self.kernel.permanent = self._pid
        self._numbers: dict[str, int] = {}
        self._running: dict[Descriptor, anyio.CancelScope] = {}
        self._finished: deque[Descriptor] = deque()
        self._failures: dict[Descriptor, Failure] = {}
        self._wake = anyio.Event()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._stopped: Exception | None = None
        #: While it is true, the ground waits though nothing is demanded.
        self.kept_alive = 0

    # --- For descriptors, requests and resources ----------------------------------------------------------------------

    def number(self, kind: str) -> int:
        """A new number for a resource of a kind."""
        self._numbers[kind] = found = self._numbers.get(kind, 0) + 1
        return found

    def start(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
        """Run a task of a resource, which ends when the ground does."""
        assert self._tasks is not None, "requests are performed while the ground runs"
        self._tasks.start_soon(function, *args)

    # --- For those around it ------------------------------------------------------------------------------------------

    def inject(self, body: Any) -> None:
        """Send a message from outside. Messages from outside are sent in the order in which they come."""
        self.kernel.enqueue(self._pid, Send(body))
        self.wake()

    def wake(self) -> None:
        """Something was queued in the kernel from outside."""
        self._wake.set()

    def pump(self, rounds: int | None = None) -> bool:
        """Run the kernel, and perform what it requests; whether it is idle."""
        while True:
            idle = self.kernel.run(rounds)
            for request in self._requests():
                try:
                    request.perform(self)
                except Exception as error:
                    self._refused(request, Failure(describe_error(error)))
            if self.kernel.idle or not idle:
                return self.kernel.idle

    async def run(self) -> None:
        """Run until nothing can happen any more, or `stop`. However this ends, nothing is left open."""
        if isinstance(self.clock, VirtualClock):
            self.clock.on_change = self.wake
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                while await self._turn():
                    pass
                tasks.cancel_scope.cancel()
        finally:
            self._tasks = None
            self._running.clear()
            self._finished.clear()
            with anyio.CancelScope(shield=True):
                await self._close()
        if self._stopped is not None:
            raise self._stopped

    def stop(self, error: Exception) -> None:
        """End at the next turn; `run` raises the error."""
        self._stopped = error
        self.wake()

    # --- The loop -----------------------------------------------------------------------------------------------------

    async def _turn(self) -> bool:
        """Let the kernel get idle, or as far as it gets in some rounds, then let one thing happen; False at the end."""
        idle = self.pump(ROUNDS)
        if self._stopped is not None:
            return False
        self._follow_demand()
        if not idle:
            # The kernel is busy with itself: the world outside is asked, not waited for.
            await anyio.lowlevel.checkpoint()
        elif not self._finished:
            if not self._running and not self.kept_alive:
                return False
            await self._wait()
        if self._finished:
            self._deliver(self._finished.popleft())
        return True

    def _follow_demand(self) -> None:
        demands = self.kernel.demands
        for descriptor in [descriptor for descriptor in self._running if descriptor not in demands]:
            self._running.pop(descriptor).cancel()
        for descriptor in demands:
            if descriptor not in self._running:
                scope = self._running[descriptor] = anyio.CancelScope()
                self.start(self._watch, descriptor, scope)

    async def _watch(self, descriptor: Descriptor, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                if not isinstance(descriptor, Source):
                    raise KlorError(
                        f"nobody knows how to wait for {descriptor!r}",
                        slug="bad-endpoint",
                        help="derive the descriptor from klorpy.conversations.Source",
                    )
                await descriptor.ready(self)
            except Exception as error:
                # What goes wrong outside is news for the process that waits, not the end of the ground.
                self._failures[descriptor] = Failure(describe_error(error))
            if self._running.get(descriptor) is scope:
                self._finished.append(descriptor)
                self._wake.set()

    def _deliver(self, descriptor: Descriptor) -> None:
        self._running.pop(descriptor, None)
        failure = self._failures.pop(descriptor, None)
        if descriptor not in self.kernel.demands:
            return
        value = failure
        if value is None:
            assert isinstance(descriptor, Source)
            try:
                value = descriptor.take(self)
            except Exception as error:
                value = Failure(describe_error(error))
        self.recording.append((descriptor, value))
        self.inject((descriptor, value))

    def _refused(self, request: Request, failure: Failure) -> None:
        """Tell who asked why nothing was done. What nobody listens to is logged, for it would be lost."""
        if not self.kernel.heard((request, failure)):
            log.warning("%r could not be performed: %s", request, failure.text)
        self.recording.append((request, failure))
        self.inject((request, failure))

    async def _wait(self) -> None:
        """Wait until a task has finished or somebody calls `wake`."""
        clock = self.clock
        if isinstance(clock, VirtualClock):
            await all_blocked(self._wake.is_set)
            if not self._wake.is_set() and clock.jump():
                return
        await self._wake.wait()
        self._wake = anyio.Event()

    def _requests(self) -> Iterable[Request]:
        process = self.kernel.processes[self._pid.number]
        requests, process.state = process.state, ()
        return requests  # type: ignore[no-any-return]

    async def _close(self) -> None:
        resources, self.resources = list(self.resources.values()), {}
        for resource in resources:
            await resource.aclose()


def _keep(event: Message, requests: tuple[Request, ...]) -> Any:
    request = event.body[1]
    return Transition((*requests, request)) if isinstance(request, Request) else None


def ground_vm(boot: Any, clock: Clock | None = None) -> Ground:
    """Run a program to its end and give the ground that it ran on. `boot` are the actions of its first process.

    When the first process fails, the program has failed: it ends, and what was raised there is raised here.

    >>> from klorpy.conversations import Delete, Quit
    >>> tick = Endpoint("tick", subscriber((Until(60), ANY)), on_message=lambda event, state: Quit(event.body[1]))
    >>> ground_vm([Add(tick)], VirtualClock()).clock.now()
    60
    """
    ground = Ground(clock)
    first = ground.kernel.start("boot", boot() if callable(boot) else boot)

    def ended(pid: Pid, reason: Any) -> None:
        if pid == first and isinstance(reason, Exception):
            ground.stop(reason)

    ground.kernel.on_exit = ended
    anyio.run(ground.run)
    return ground


def replay(boot: Any, recording: Iterable[tuple[Descriptor | Request, Any]]) -> list[Record]:
    """The log of a program to which everything happens as it was recorded. Nothing is done outside."""
    ground = Ground(VirtualClock(), logging=True)
    kernel = ground.kernel
    kernel.start("boot", boot() if callable(boot) else boot)
    kernel.run()
    for descriptor, value in recording:
        ground._requests()
        kernel.enqueue(ground._pid, Send((descriptor, value)))
        kernel.run()
    return kernel.take_log()
