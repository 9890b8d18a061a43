"""The deterministic interpreter of all roles at once: no threads, no event loop, no clock but for a deadline.

Each role is a machine with a mailbox for every other role. The scheduler takes a ready role, resumes it with the
result of its last command, and carries out the commands that it yields, until the role waits or its slice is over.
A value is copied when it is sent, so that no state is shared. Only when host code awaits is there an event loop, in
a thread of its own; everything else stays here.

The inner loop is written out in one function: a message costs a few hundred nanoseconds, and a call or two would
double that.
"""

from __future__ import annotations

import inspect
import queue
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError, Future
from typing import Any, Final

import anyio
import anyio.lowlevel

from klorpy.core.choreography import Choreography, Definition, Site
from klorpy.core.diagnostics import KlorError
from klorpy.core.events import Entered, Event, Exited, Failed, Left
from klorpy.core.types import Role
from klorpy.core.values import ATOMS, NotCopyable, isolate
from klorpy.runtime.commands import AWAIT, CALLS, CHECK, PAUSE, TAIL_CALL, Command, Program, callee_of
from klorpy.runtime.copying import not_copyable
from klorpy.runtime.loop import LoopThread
from klorpy.runtime.machine import DONE, Machine, first_cause
from klorpy.simulator.audit import Audit
from klorpy.simulator.output import Capture, awaiting
from klorpy.simulator.schedule import Schedule

#: Commands that a role may carry out before another that is ready has its turn, in the plain order.
SLICE: Final = 256
#: Slices after which awaited host code is looked at although other roles could go on.
POLL: Final = 1000
#: Rounds of the event loop that host code has to come to an end before the order of requests no longer counts.
_ROUNDS: Final = 10
#: Slices that the other roles get after a failure, to reach their own failure or a place where they wait.
GRACE: Final = 1000


class Task:
    """One role of a run."""

    __slots__ = (
        "command", "done", "error", "inbox", "machine", "outbox", "result", "role", "trail", "value", "waiting",
    )  # fmt: skip

    def __init__(self, role: Role, machine: Machine) -> None:
        self.role = role
        self.machine = machine
        self.value: Any = None
        self.inbox: dict[Role, deque[Command]] = {}
        self.outbox: dict[Role, tuple[deque[Command], Task]] = {}
        #: The mailbox, or the future of host code, that the role waits for, and the command by which it does.
        self.waiting: Any = None
        self.command: Command | None = None
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        #: The calls that led to where the role failed, the innermost first.
        self.trail: tuple[Site, ...] = ()


class Scheduler:
    """One run. `start` all roles, `run`, then look at the tasks."""

    def __init__(
        self, roles: tuple[Role, ...], pinned: Mapping[Choreography, Definition], schedule: Schedule, *,
        trace: list[Any] | None, capture: Capture, audit: Audit | None, deadline: float | None,
        clock: Callable[[], float], detail: bool = False, pausing: bool = False,
    ) -> None:  # fmt: skip
        self.pinned = pinned
        self.schedule = schedule
        #: Whether the schedule is asked before every step, also when only one role can move.
        self.pausing = pausing
        self.trace = trace
        #: Whether the trace has the beginning and the end of every call.
        self.detail = detail and trace is not None
        self.capture = capture
        self.audit = audit
        self.deadline = deadline
        self.clock = clock
        self.tasks = {role: Task(role, Machine(pinned, audit is not None)) for role in roles}
        for source, task in self.tasks.items():
            for target, other in self.tasks.items():
                box = other.inbox[source] = deque()
                task.outbox[target] = (box, other)
        self.ready: deque[Task] = deque()
        self.first_failure: Task | None = None
        self.timed_out = False
        self._loop: LoopThread | None = None
        #: The roles that wait for host code, in the order in which they began to; a token for each that is done.
        self._awaiting: list[Task] = []
        self._finished: queue.SimpleQueue[None] = queue.SimpleQueue()

    def start(self, role: Role, program: Program) -> None:
        task = self.tasks[role]
        task.machine.start(program)
        self.ready.append(task)

    def run(self) -> None:
        """Run until no role can move. Whatever interrupts it (Ctrl-C) leaves no task and no thread behind."""
        try:
            self.advance()
        finally:
            self.close()

    def close(self) -> None:
        """End what is left of the run: tasks, and host code that is awaited with its thread."""
        self.capture.current = None
        for task in self.tasks.values():
            if isinstance(task.waiting, Future):
                task.waiting.cancel()
            task.machine.close()
        if self._loop is not None:
            self._loop.close()
            self._loop = None
        for task in self.tasks.values():
            # What was not begun when the run ended would be complained of as never awaited.
            if isinstance(task.waiting, Future) and task.command is not None and inspect.iscoroutine(task.command[1]):
                task.command[1].close()

    def advance(self) -> None:
        """Run until no role can move, or until the schedule pauses the run: then it can be advanced again."""
        # Locals are faster than attributes; see the module's docstring.
        ready, trace, atoms, schedule, capture = self.ready, self.trace, ATOMS, self.schedule, self.capture
        preemptive, detail, pausing = schedule.preemptive, self.detail, self.pausing
        budget = 1 if preemptive else SLICE
        #: Whether anything but the next ready role has to be looked at between slices.
        alert = preemptive or self.deadline is not None
        grace = GRACE
        turns = 0
        while True:
            if alert or not ready:
                if self._awaiting:
                    turns += 1
                    if not ready or turns % POLL == 0:
                        if not self._resume_awaited(block=not ready):
                            return
                        continue
                if not ready:
                    return
                if self.deadline is not None and self.clock() >= self.deadline:
                    self.timed_out = True
                    return
                if self.first_failure is not None:
                    grace -= 1
                    if grace < 0:
                        return
                if preemptive and (pausing or len(ready) > 1):
                    choice = schedule.choose(len(ready))
                    if choice < 0:
                        return
                    ready.rotate(-choice)
            task = ready.popleft()
            capture.current = role = task.role
            machine, inbox, outbox, value = task.machine, task.inbox, task.outbox, task.value
            send = machine.send
            left = budget
            try:
                # A role is interrupted only where it could go on for ever; one that hands over and waits is not.
                while True:
                    try:
                        command = send(value)
                    except StopIteration as stop:
                        value = machine.finish(stop.value)
                        if value is DONE:
                            self._exit(task)
                            break
                        send = machine.send
                        if detail:
                            self._report(Left(role))
                        left -= 1
                        if left < 0:
                            task.value = value
                            ready.append(task)
                            break
                        continue
                    word = command[0]
                    if word == 0:  # SEND
                        box, receiver = outbox[command[1]]
                        value = command[2]
                        kind = type(value)
                        if kind is not int and kind not in atoms:  # the commonest type first
                            value = isolate(value)
                            command = (0, command[1], value, command[3])
                        if receiver.waiting is box:
                            # The receiver waits for just this: hand it over.
                            receiver.waiting = None
                            if command[3] is not receiver.command[2]:  # type: ignore[index]
                                box.append(command)
                                self._fail(receiver, _mismatch(role, receiver, command))
                                alert = True
                                value = None
                                continue
                            if trace is not None:
                                trace.append(role)
                                trace.extend(command)
                                if kind not in atoms:
                                    value = isolate(value)
                            receiver.value = value
                            value = None
                            ready.append(receiver)
                            if not preemptive:
                                continue
                        else:
                            box.append(command)
                            value = None
                    elif word == 1:  # RECEIVE
                        box = inbox[command[1]]
                        if not box:
                            task.waiting = box
                            task.command = command
                            break
                        message = box.popleft()
                        if message[3] is not command[2]:
                            task.command = command
                            raise _mismatch(command[1], task, message)
                        value = message[2]
                        if trace is not None:
                            trace.append(command[1])
                            trace.extend(message)
                            if type(value) not in atoms:
                                value = isolate(value)
                    elif word in CALLS:
                        machine.enter(command)
                        send, value = machine.send, None
                        if detail:
                            self._report(_entered(role, command))
                    elif word == PAUSE:
                        value, left = None, 0
                    elif word == CHECK:
                        self._check(task, command)
                        value = None
                    elif word == AWAIT:
                        self._await(task, command)
                        alert = True
                        break
                    else:
                        raise AssertionError(f"not a command: {command!r}")
                    left -= 1
                    if left <= 0:
                        task.value = value
                        ready.append(task)
                        break
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # also SystemExit and asyncio's CancelledError end the role, not the caller
                alert = True
                self._fail(task, not_copyable(error, command[-1]) if isinstance(error, NotCopyable) else error)

    # --- Ends ---

    def _exit(self, task: Task) -> None:
        task.done = True
        self.capture.end_line(task.role)
        task.result = task.machine.result
        self._report(Exited(task.role, task.result))

    def _fail(self, task: Task, error: BaseException) -> None:
        error = first_cause(error)
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            # From the role's own frame on; the frame above is this scheduler's.
            error = error.with_traceback(error.__traceback__.tb_next)
        task.error = error
        task.waiting = None
        task.trail = tuple(site for site in reversed(task.machine.trail) if site is not None)
        self.capture.end_line(task.role)
        if self.first_failure is None:
            self.first_failure = task
        self._report(Failed(task.role, error))
        self.capture.current = None

    def _report(self, event: Event) -> None:
        if self.trace is not None:
            self.trace.append(event)

    # --- Agreement ---

    def _check(self, task: Task, command: Command) -> None:
        """Compare this role's copy with the others', once all are there. Fails every role when they differ."""
        assert self.audit is not None
        _, value, cast, site = command
        self.audit.compare(task.role, value, cast, site)

    # --- Host code that awaits ---

    def _await(self, task: Task, command: Command) -> None:
        awaitable, site = command[1], command[2]
        if not isinstance(awaitable, Awaitable):
            raise KlorError(
                site.diagnostic(
                    "cannot-await",
                    f"{site.text} awaits a {type(awaitable).__name__}, which cannot be awaited",
                    help="await what a coroutine function returns",
                )
            )
        if self._loop is None:
            self._loop = LoopThread()
        future = self._loop.start(_host_code, awaitable, self.capture, task.role)
        task.waiting, task.command = future, command
        self._awaiting.append(task)
        future.add_done_callback(lambda _: self._finished.put(None))

    def _resume_awaited(self, *, block: bool) -> bool:
        """Make the roles ready whose host code is done, in the order in which they began to wait.

        With `block` some role is waited for. False when the time is over first, or when only a failed run would go on.
        """
        if self.first_failure is not None and block:
            # Nobody else can move; what is awaited belongs to a run that has failed.
            return False
        assert self._loop is not None
        try:
            # Let what need not wait for the world come to its end, so that its order does not depend on the threads.
            self._loop.start(_settle).result(self._time_left())
            if block and not any(task.waiting.done() for task in self._awaiting):
                while not any(task.waiting.done() for task in self._awaiting):
                    self._finished.get(timeout=self._time_left())
                self._loop.start(_settle).result(self._time_left())
        except (queue.Empty, TimeoutError):
            self.timed_out = True
            return False
        for task in [task for task in self._awaiting if task.waiting.done()]:
            self._awaiting.remove(task)
            self._resume(task, task.waiting)
        return True

    def _time_left(self) -> float | None:
        return None if self.deadline is None else max(self.deadline - self.clock(), 0)

    def _resume(self, task: Task, future: Future[Any]) -> None:
        task.waiting = None
        try:
            value, error = future.result()
        except CancelledError as cancelled:
            value, error = None, cancelled
        if isinstance(error, KeyboardInterrupt):
            raise error
        if error is not None:
            self._fail(task, _thrown(task, error))
        else:
            task.value = value
            self.ready.append(task)


async def _settle() -> None:
    for _ in range(_ROUNDS):
        await anyio.lowlevel.checkpoint()


async def _host_code(
    awaitable: Awaitable[Any], capture: Capture, role: Role
) -> tuple[Any, BaseException | None]:
    """The result of host code, or what it raised: an exception that reached the loop would end all that runs there."""
    awaiting.set((capture, role))
    try:
        return await awaitable, None
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as error:
        return None, error


def _thrown(task: Task, error: BaseException) -> BaseException:
    """`error` with the frame of the form that awaited it."""
    try:
        task.machine.frames[-1].throw(error)
    except BaseException as raised:
        return raised
    return error


def _entered(role: Role, command: Command) -> Entered:
    name, cast = callee_of(command)
    return Entered(role, name, cast, command[-1], command[0] >= TAIL_CALL)


def _mismatch(source: Role, receiver: Task, message: Command) -> KlorError:
    assert receiver.command is not None
    expected: Site = receiver.command[2]
    found: Site = message[3]
    return KlorError(
        expected.diagnostic(
            "protocol-mismatch",
            f"{receiver.role} waits at {expected}, but {source} sent a message of {found}",
            help="the roles took different ways: look for an agreement that does not hold, with sanitize=True",
        )
    )
