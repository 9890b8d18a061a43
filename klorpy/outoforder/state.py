"""What a walker is made of: frames, steps, and the part that all of its parts stand on.

A *frame* is an activation, with a place in the program and the values of its locals. A *step* is something that the role
can do once its inputs are there: host code, or a send. A *wait* is what an op leaves undone.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from klorpy.core import endpoint as e
from klorpy.core.choreography import Choreography, Definition, Site
from klorpy.core.endpoint import Binding, Operand
from klorpy.core.keys import Token
from klorpy.core.types import Role
from klorpy.core.values import noop
from klorpy.outoforder import flow as f
from klorpy.outoforder.deferred import Deferred, Pack, plain
from klorpy.outoforder.lanes import Lanes
from klorpy.outoforder.mailbox import Letter, Mailbox, Waiter
from klorpy.outoforder.rounds import Control, Rounds, Scope
from klorpy.outoforder.summary import Summaries
from klorpy.runtime.commands import Instance, Program
from klorpy.runtime.machine import Machine, first_cause

#: Rounds of a loop that may be under way at a role.
WINDOW: Final = 256


class Outside(Protocol):
    """What a walker needs of whoever runs it."""

    def send(self, letter: Letter) -> None:
        """A message leaves the role."""

    def tell(self, source: Role, target: Role, control: Control) -> None:
        """One role's window asks or answers another's."""

    def wait(self, role: Role, awaitable: Any, site: Site, result: Deferred) -> None:
        """Host code is awaited."""

    def check(self, role: Role, value: Any, cast: tuple[Role, ...], site: Site, token: Token) -> None:
        """A copy of an agreement, to be compared with the others'."""


class Step:
    """Something that the role can do now, or will be able to: host code, or a send. `number` is its place in the walk."""

    __slots__ = ("_missing", "_state", "code", "frame", "inputs", "kind", "number", "op", "result", "run", "scope", "site", "token")

    def __init__(self, kind: str, number: int, frame: Frame, run: Callable[[Step], None], op: f.Op) -> None:
        self.kind = kind  #: "compute" or "send"
        self.number = number
        self.frame = frame
        self.token = frame.token
        self.run = run
        self.op = op
        self.inputs: tuple[Any, ...] = ()
        self.result = Deferred()
        self.code: f.HostCode | None = None
        self.site: Site | None = None
        #: What it counts in while it is not done, if it has to wait.
        self.scope: Scope | None = None

    def wait(self, missing: list[Deferred], state: State) -> None:
        """Be ready when all of `missing` is settled."""
        self._state = state
        self._missing = len(missing)
        if not missing:
            heapq.heappush(state.ready, (self.number, self))
        for deferred in missing:
            deferred.then(self._arrived)

    def _arrived(self) -> None:
        self._missing -= 1
        if not self._missing:
            heapq.heappush(self._state.ready, (self.number, self))

    def settle(self, value: Any) -> None:
        """It is done."""
        if self.scope is not None:
            self._state.done_with(self, self.scope)
        self.result.settle(value)

    def fail(self, error: BaseException) -> None:
        """It has failed."""
        if self.scope is not None:
            self._state.done_with(self, self.scope)
        self.result.fail(error)

    @property
    def place(self) -> tuple[Token, f.Op]:
        """Where in the run it is: each step has a place of its own, the same in every run."""
        return self.token, self.op

    @property
    def name(self) -> str:
        if self.code is not None:
            return self.code.name
        assert self.site is not None
        return f"send {self.site.text}"


class Frame:
    """An activation: where it stands, what it knows, and what becomes of its result."""

    __slots__ = (
        "block", "cast", "chain", "env", "flow", "gives", "lanes", "loop", "order", "outer", "pc", "result", "rounds", "scope",
        "site", "start", "target", "token", "up",
    )  # fmt: skip

    def __init__(
        self, flow: f.Flow, block: f.Block, env: dict[Binding, Any], token: Token, cast: tuple[Role, ...],
        scope: Scope, lanes: Lanes, up: Frame | None, site: Site | None, order: str,
    ) -> None:  # fmt: skip
        self.flow = flow
        self.order = order
        self.block = block
        self.pc = 0
        #: The blocks around, where to go on in them.
        self.outer: list[tuple[f.Block, int]] = []
        self.env = env
        self.token = self.start = token
        self.cast = cast
        self.scope = scope
        self.lanes = lanes
        #: Who called it, and where: for reports.
        self.up = up
        self.site = site
        #: The local of the caller that gets the result; once the frame is detached, what is settled with it.
        self.target: Binding | None = None
        self.result: Deferred | None = None
        #: A frame that is a loop or a choice gives the value of this local.
        self.gives: Binding | None = None
        #: The tail calls that led here, and the loop that it is in: each with the scope of its present round.
        self.chain: tuple[Rounds, Scope] | None = None
        self.rounds: tuple[Rounds, Scope] | None = None
        self.loop: f.Repeat | None = None


class Lambda:
    """A choreography that was made at this role, with the locals that it knows."""

    __slots__ = ("__name__", "cast", "env", "flow", "op", "run")

    def __init__(self, op: f.Lambda, frame: Frame, run: Callable[[Lambda, tuple[Any, ...]], Program]) -> None:
        self.run = run
        self.op = op
        self.flow = frame.flow
        self.cast = frame.cast
        self.env = dict(frame.env)
        self.__name__ = op.target.name
        if op.self_name is not None:
            self.env[op.self_name] = self

    def __call__(self, *args: Any) -> Program:
        """Its program in program order, for whoever calls it when the run is over."""
        return self.run(self, args)


class Walk:
    """Frames, the innermost last, that are walked one after the other."""

    __slots__ = ("stack",)

    def __init__(self, frame: Frame) -> None:
        self.stack = [frame]


class Wait:
    """What an op left undone. `holds`: the frame cannot go on; `detach`: but its caller can."""

    __slots__ = ("admit", "detach", "holds", "missing")

    def __init__(
        self, missing: list[Deferred], *, holds: bool = False, detach: bool = False,
        admit: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:  # fmt: skip
        self.missing = missing
        self.holds = holds
        self.detach = detach
        self.admit = admit


class Fence:
    """The op waits for all that was begun before it."""

    __slots__ = ()


FENCE: Final = Fence()


class State:
    """One role of one run, as far as all parts of the walker know it."""

    def __init__(
        self, role: Role, pinned: Mapping[Choreography, Definition], order: str | None, outside: Outside, *,
        window: int = WINDOW, inline: bool = True, mailbox: Mailbox | None = None, audit: bool = False,
        patient: bool = False, bounded: bool = False,
    ) -> None:  # fmt: skip
        self.role = role
        #: The order of the whole run; None leaves it to each definition.
        self.order = order
        self.outside = outside
        self.window = window
        self.inline = inline
        self.audit = audit
        #: Whether the role goes on with what does not depend on a failure.
        self.patient = patient
        #: Whether windows hold for frames in program order, too.
        self.bounded = bounded
        self.mailbox = mailbox or Mailbox()
        self.pinned = pinned
        self._machine = Machine(pinned)
        self.summaries = Summaries(pinned)
        #: The steps that can be taken, a heap by their numbers.
        self.ready: list[tuple[int, Step]] = []
        #: The steps that are not done, by their numbers.
        self.open: dict[int, Step] = {}
        self._walks: deque[Walk] = deque()
        self._numbers = 0
        #: What was begun and is not done, but for the walk itself; and who waits for nothing to be left.
        self.outstanding = 0
        self._fenced: list[Walk] = []
        self._loops: dict[bytes, Rounds] = {}
        self._wanted: dict[bytes, dict[Role, int]] = {}
        self.result = Deferred()
        self.done = False
        #: The first failure of the role's own, with the calls that led to it, the innermost first.
        self.error: BaseException | None = None
        self.trail: tuple[Site, ...] = ()
        #: What came in the place of a value from a role that has failed.
        self.suffered: tuple[BaseException, Role, Site] | None = None
        #: Frames and scopes that are alive; the most there were.
        self.scopes = self.most_scopes = 0

    @property
    def stopped(self) -> bool:
        return self.error is not None and not self.patient

    def waiting(self) -> Waiter | None:
        """The receive that was passed first of those that still wait."""
        return next((waiter for class_ in self.mailbox.waiting.values() for waiter in class_), None)

    def arguments(self, step: Step) -> tuple[Any, ...]:
        """The values of the locals that the host code of a ready step names."""
        return tuple(map(plain, step.inputs))

    def fail(self, error: BaseException, frame: Frame) -> None:
        """The role fails. What depends on the failure gets it; without patience no other host code runs any more."""
        if self.error is None:
            self.error = first_cause(error)
            trail = []
            at: Frame | None = frame
            while at is not None:
                if at.site is not None:
                    trail.append(at.site)
                at = at.up
            self.trail = tuple(trail)

    def _when(self, wait: Wait, walk: Walk) -> None:
        """Go on with `walk` when what it waits for is there."""
        if wait.admit is not None:
            wait.admit(lambda: self._walks.append(walk))
        else:
            join(wait.missing, lambda: self._walks.append(walk))

    def _set_apart(self, frame: Frame, caller: Frame, touched: f.Touched) -> None:
        """Let `frame` go on by itself: its place among the effects of `caller` is kept until it has ended."""
        frame.result = Deferred()
        scope, outer = caller.scope, caller.lanes
        scope.open()
        self.outstanding += 1
        lanes = frame.lanes = outer.fork()
        kept = Deferred()
        if frame.order == "effects" and (touched is None or touched):
            outer.put(touched, kept)

        def ended() -> None:
            rest = lanes.open()
            if rest:
                join(rest, ended)
                return
            kept.settle(None)
            self._close(scope)

        frame.result.then(ended)

    def _close(self, scope: Scope) -> None:
        self.outstanding -= 1
        if self._fenced and not self.outstanding:
            self._walks.append(self._fenced.pop())
        scope.close()

    def value(self, operand: Operand, frame: Frame) -> Any:
        kind = type(operand)
        if kind is e.Value:
            return plain(frame.env.get(operand.binding, noop))  # type: ignore[union-attr]
        if kind is e.Noop:
            return noop
        match operand:
            case e.Group(items):
                return Pack(self.value(item, frame) for item in items)
            case e.Item(group, index):
                return _item(self.value(group, frame), index)
            case e.Instance(find, index, roles, site):
                places = frame.flow.definition.roles
                cast = tuple(frame.cast[places.index(role)] for role in roles)
                return Instance(find(), index, cast, site)
            case _:
                raise AssertionError(operand)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _begin(self, step: Step, missing: list[Deferred]) -> Wait | None:
        """A step waits for `missing`, then it is ready. (Taken at once, it is not counted.)"""
        if not missing and self.inline:
            step.run(step)
            return None
        return self._queue(step, missing)

    def _queue(self, step: Step, missing: list[Deferred]) -> Wait | None:
        self.outstanding += 1
        self.open[step.number] = step
        step.scope = step.frame.scope
        step.scope.open()
        step.wait(missing, self)
        return Wait([step.result]) if step.frame.order == "program" else None

    def done_with(self, step: Step, scope: Scope) -> None:
        """A step that had to wait is done."""
        del self.open[step.number]
        self._close(scope)

    def _take(self, source: Role, token: Token, site: Site, scope: Scope) -> Any:
        """The value of a message, Deferred while it is not here."""
        found = self.mailbox.receive(source, token, site)
        if type(found) is Waiter:
            scope.open()
            self.outstanding += 1
            found.scope = scope
            return found.value
        assert isinstance(found, Letter)
        if found.error is None:
            return found.value
        self._suffer(found.error, source, site)
        value = Deferred()
        value.fail(found.error)
        return value

    def _arrived(self, letter: Letter) -> None:
        """A message comes: for a receive that waits for it, or for one that is yet to be passed."""
        waiter = self.mailbox.deliver(letter)
        if waiter is None:
            return
        self._close(waiter.scope)
        if letter.error is None:
            waiter.value.settle(letter.value)
        else:
            self._suffer(letter.error, waiter.source, waiter.site)
            waiter.value.fail(letter.error)

    def _suffer(self, error: BaseException, source: Role, site: Site) -> None:
        if self.suffered is None:
            self.suffered = error, source, site

    def _order_of(self, flow: f.Flow, around: str) -> str:
        """The order that a definition is walked in: that of the run, its own, or its caller's."""
        return self.order or flow.definition.options.get("order") or around


def join(missing: list[Deferred], call: Callable[[], None]) -> None:
    """Call `call` when all of `missing` is settled."""
    if not missing:
        call()
        return
    count = len(missing)

    def arrived() -> None:
        nonlocal count
        count -= 1
        if count == 0:
            call()

    for deferred in missing:
        deferred.then(arrived)


def _item(group: Any, index: int) -> Any:
    """A part of a tuple that may not be there yet."""
    group = plain(group)
    if type(group) is not Deferred:
        return plain(group[index])
    part = Deferred()

    def arrived() -> None:
        found = plain(group)
        if type(found) is Deferred:
            part.fail(found.error or AssertionError("a failed value has no error"))
        else:
            part.settle(found[index])

    group.then(arrived)
    return part
