"""Playing one role for real: its program, driven over a transport or over functions.

`play_role` is asynchronous and runs on whatever loop its caller has, by anyio; `run_role` blocks, also inside a
running loop (it then uses a loop in another thread).
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import math
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel

from klorpy.core.choreography import Choreography, Site, reachable
from klorpy.core.diagnostics import KlorError
from klorpy.core.types import Arrow, Role, Type
from klorpy.runtime.commands import APPLY, AWAIT, CALLS, RECEIVE, SEND, Closure, Command, Program
from klorpy.runtime.config import Call, Keyed, RoleConfig, Session
from klorpy.runtime.erasure import check_count, check_erased, check_playable, result_at
from klorpy.runtime.instrumented import InstrumentedMachine
from klorpy.runtime.machine import DONE, Machine, first_cause
from klorpy.runtime.places import find_place
from klorpy.runtime.scopes import texts

#: Commands without a wait after which the player lets other tasks of its loop run.
BREATH = 1000

#: Turns of a loop in which it notices what has come, reads it, and tells the role.
TURNS = 3


async def play_role(config: RoleConfig | Mapping[Any, Any], chor: Choreography, *args: Any) -> Any:
    """Play one role of `chor` and give its result, `noop` when the result type does not mention it.

    `config` says which role and how it communicates (see RoleConfig). Arguments are those of the parameters that
    mention the role; that all roles give the same value for an agreement is the callers' duty. A result that is a
    choreography is a coroutine function with the configuration baked in. When the role fails, its transport is closed,
    so that the others do not wait for it.

    Raises what the role's own code raises, what the transport raises, and KlorError: `bad-config`, `role-not-part`,
    `not-playable`, `play-arity`; and when it comes to it `no-send`, `no-recv` and `missing-locator`.

    >>> import anyio
    >>> from klorpy import evaluate
    >>> ns = evaluate("(defchor ask [A B] (-> A A) [x] (B->A (B (* 2 (A->B x)))))")
    >>> config = {"role": "A", "locators": {"B": "b"}, "send": lambda to, value: None, "recv": lambda source: 42}
    >>> anyio.run(play_role, config, ns.ask, 21)
    42
    """
    return await _Play(config, chor, args).run()


def run_role(config: RoleConfig | Mapping[Any, Any], chor: Choreography, *args: Any) -> Any:
    """Play one role and block until it has ended; see `play_role`.

    A result that is a choreography is a plain function that blocks likewise.
    """
    __tracebackhide__ = True
    play = _Play(config, chor, args, blocking=True)
    return _blocking(play.run)


class _Play:
    """One role of one run. Raises as `play_role` does for what cannot be started."""

    def __init__(
        self, config: RoleConfig | Mapping[Any, Any], chor: Choreography, args: tuple[Any, ...], blocking: bool = False
    ) -> None:
        found = RoleConfig.of(config)
        self.definition = check_playable(chor)
        found.check(self.definition)
        check_count(self.definition, args, found.role)
        self.role = found.role
        spoken = getattr(found.transport, "role", None)
        if isinstance(spoken, str) and spoken != self.role:
            raise KlorError(
                f"the transport speaks as {spoken}, but the configuration says {self.role}", slug="bad-config",
                help=f"join the session as {self.role}, or play {spoken}",
            )  # fmt: skip
        self.transport = found.transport or _Functions(found)
        self.timeout = found.timeout
        self.instrument = found.instrument
        self.pinned = reachable(chor)
        joined = self.transport if isinstance(self.transport, Keyed) else None
        self.order = found.order or (joined.order if joined else None)
        self.window = found.window
        #: Whether messages have keys: some order is said, here or by another role.
        self.keyed = (
            self.order is not None or (joined is not None and joined.keyed)
            or any("order" in each.options for each in self.pinned.values())
        )  # fmt: skip
        if isinstance(self.transport, _Functions):
            self.transport.keyed = self.keyed
        self.args = args
        self.blocking = blocking
        self.began = False
        #: The command at which the role was ended, if it was ended at one.
        self.at: Command = ()

    async def run(self) -> Any:
        if self.instrument is None:
            return await self._run()
        definition = self.definition
        ended = self.instrument.began(Call(definition.name, self.role, definition.roles, self._session))
        try:
            result = await self._run()
        except BaseException as error:
            ended(error)
            raise
        ended(None)
        return result

    @property
    def _session(self) -> str:
        """The name of the session that the transport belongs to."""
        name = getattr(self.transport, "session", "")
        return name if isinstance(name, str) else ""

    async def _run(self) -> Any:
        roles = self.definition.roles
        program = self.definition.projections[roles.index(self.role)](roles, *self.args)
        session = self.transport if isinstance(self.transport, Session) else None
        with anyio.CancelScope() as scope:
            if session is not None:
                session.watch(scope.cancel)
            try:
                result = await self._in_time(program)
                if session is not None:
                    # What came while host code kept the loop busy is heard before the role leaves: perhaps, a verdict.
                    for _ in range(TURNS):
                        await anyio.lowlevel.checkpoint()
                    await session.settle()
                return result
            except BaseException as error:
                failure = _failure(error, self.role)
                # The others must not wait for a role that will never answer.
                if session is not None:
                    span, source = find_place(failure, texts(self.pinned))
                    session.fail(first_cause(failure), f"{source.filename}:{span}" if source and span else "")
                with anyio.CancelScope(shield=True):
                    await self.transport.close()
                if failure is not error:
                    raise failure from None
                raise
        # Only a session cancels the scope: it has failed elsewhere, while the role did something else than to wait for it.
        assert session is not None
        raise session.error()

    async def _in_time(self, program: Program) -> Any:
        result = self.definition.signature.arrow.result
        if self.timeout is None:
            return await self._drive(program, result)
        with anyio.move_on_after(self.timeout) as scope:
            value = await self._drive(program, result)
            if anyio.current_time() <= scope.deadline:  # code that blocks is not interrupted, but is late as well
                return value
        raise self._late()

    def _late(self) -> KlorError:
        """The error of a role that did not end in time."""
        message = f"{self.role} of {self.definition.name} did not end within {self.timeout:g} s"
        longer = "If it needs longer, give a longer timeout"
        match self.at:
            case (word, other, *_, site) if word in (RECEIVE, SEND):
                question = f"does {other} {'answer' if word == RECEIVE else 'take what it is sent'}?"
                return KlorError(site.diagnostic("timeout", message, f"{question} {longer}"))
            case (word, _, site) if word == AWAIT:
                return KlorError(site.diagnostic("timeout", message, f"does what it awaits ever come? {longer}"))
            case _:
                return KlorError(message, slug="timeout", help=f"is there a loop that never ends, or code that takes long? {longer}")

    async def _drive(self, program: Program, type_: Type) -> Any:
        if self.keyed and not self.began:
            self.began = True
            program.close()
            player = importlib.import_module("klorpy.outoforder.play")
            result = await player.drive(
                self.definition, self.pinned, self.role, self.args, self.transport, self.order, self.window
            )
            return result_at(type_, result, self.role, self._function)
        if self.instrument is None:
            machine = Machine(self.pinned)
        else:
            machine = InstrumentedMachine(self.pinned, self.instrument, self.role, self._session)
        machine.start(program)
        return result_at(type_, await self._run_machine(machine), self.role, self._function)

    async def _run_machine(self, machine: Machine) -> Any:
        """Run a machine to its end over the transport."""
        transport = self.transport
        value: Any = None
        silent = 0
        command: Command = ()
        try:
            while True:
                try:
                    command = machine.send(value)
                except StopIteration as stop:
                    value = machine.finish(stop.value)
                    if value is DONE:
                        return machine.result
                else:
                    word = command[0]
                    if word == RECEIVE:
                        value = await transport.receive(command[1], command[2])
                    elif word == SEND:
                        await transport.send(command[1], command[2], command[3])
                        value = None
                    elif word == AWAIT:
                        value = await _awaited(command)
                    else:
                        if word in CALLS:
                            machine.enter(command)
                        value = None
                # A role that only computes or only sends must not starve the loop, and can be cancelled.
                silent += 1
                if silent >= BREATH:
                    silent = 0
                    await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class():
            self.at = command
            raise
        finally:
            machine.close()

    def _function(self, arrow: Arrow, closure: Closure) -> Callable[..., Any]:
        """A choreography that was returned, as a function of its erased arguments."""

        async def choreography(*given: Any) -> Any:
            check_erased(arrow, given, self.role)
            program = Machine(self.pinned).program((APPLY, closure, given, None))
            return await self._drive(program, arrow.result)

        if self.blocking:
            return lambda *given: _blocking(partial(choreography, *given))
        return choreography


def _failure(error: BaseException, role: Role) -> BaseException:
    """The error of a role, which is an ordinary one unless somebody ends the role from outside.

    Loops take a CancelledError for the answer to a cancellation, and end the task without a word. One that comes from
    host code, which awaited a task that was cancelled, say, is a failure like any other.
    """
    if isinstance(error, Exception) or not isinstance(error, asyncio.CancelledError):
        return error
    with contextlib.suppress(RuntimeError):  # another loop than asyncio's has an error of its own for cancellations
        task = asyncio.current_task()
        if task is not None and (task.cancelling() or anyio.current_effective_deadline() == -math.inf):
            return error
    told = RuntimeError(f"CancelledError was raised, but nobody had cancelled {role}")
    return told.with_traceback(error.__traceback__)


def _blocking(function: Callable[[], Awaitable[Any]]) -> Any:
    try:
        anyio.get_current_task()
    except RuntimeError:  # no loop runs in this thread
        return anyio.run(function)
    with anyio.from_thread.start_blocking_portal() as portal:
        return portal.call(function)


async def _awaited(command: Command) -> Any:
    _, awaitable, site = command
    if not isinstance(awaitable, Awaitable):
        raise KlorError(
            site.diagnostic(
                "cannot-await",
                f"{site.text} awaits a {type(awaitable).__name__}, which cannot be awaited",
                help="await what a coroutine function returns",
            )
        )
    return await awaitable


class _Functions:
    """A transport over the functions of a configuration."""

    def __init__(self, config: RoleConfig) -> None:
        self.config = config
        #: Whether the role listens to all others at once.
        self.keyed = False

    async def send(self, target: Role, value: Any, site: Site) -> None:
        if self.config.send is None:
            raise self._missing("no-send", "send to", "send", target, site)
        result = self.config.send(self._locator(target, site), value)
        if inspect.isawaitable(result):
            await result

    async def receive(self, source: Role, site: Site) -> Any:
        if self.config.recv is None:
            raise self._missing("no-recv", "receive from", "recv", source, site)
        result = self.config.recv(self._locator(source, site))
        if inspect.isawaitable(result):
            return await result
        if self.keyed:
            raise KlorError(
                site.diagnostic(
                    "bad-config",
                    f"the function 'recv' of {self.config.role} does not await, and would keep the role from all that it could do "
                    "meanwhile",
                    help="with an order, let it be a coroutine function: async def; or leave the order out, at all roles",
                )
            )
        return result

    async def close(self) -> None:
        return None

    def _locator(self, role: Role, site: Site) -> Any:
        if role not in self.config.locators:
            raise KlorError(
                site.diagnostic(
                    "missing-locator",
                    f"{self.config.role} has no locator for {role}, which it meets at {site}",
                    help=f'add it to the configuration: "locators": {{"{role}": …}}',
                )
            )
        return self.config.locators[role]

    def _missing(self, slug: str, does: str, key: str, role: Role, site: Site) -> KlorError:
        return KlorError(
            site.diagnostic(
                slug,
                f"{self.config.role} has to {does} {role} at {site}, but its configuration has no {key!r}",
                help=f'give a function: "{key}": …, or a transport',
            )
        )
