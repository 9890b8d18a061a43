"""One role, walked in program order while what is not there yet is deferred.

The walker passes every op of the role's program once, in the order of the program. What it cannot do because an input
is not there becomes a *node*, which waits for its inputs; a choice whose guard is not there becomes a *region*, a
frame of its own that goes on when the guard is known; a call is entered at once, and a frame that must wait (for a
guard that decides how it ends, or for its turn in a loop) is detached from the walk, so that its caller goes on.
Keys depend on places alone, so it does not matter when a place is walked.

The three orders differ in what waits:

    program    every op for the one before it
    effects    an effect for the one before it on the same resource (lanes); all else for its inputs
    dataflow   everything for its inputs alone

A walker does no input or output and knows no clock: steps that can be taken are in `ready`, what leaves the role goes
to `outside`. With `inline` a step is taken as soon as it can be.

Source: D. Plyukhin, M. Peressotti, F. Montesi, "Ozone: Fully Out-of-Order Choreographies" (2024), section 3: the
rules of processes. There a receive binds a variable that expressions wait for; here that variable is a Deferred.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, Protocol

from klorpy.core import endpoint as e
from klorpy.core.choreography import Choreography, Definition, Site
from klorpy.core.endpoint import Binding, Operand
from klorpy.core.keys import START, Token, child, key
from klorpy.core.types import Role
from klorpy.core.values import noop
from klorpy.outoforder import flow as f
from klorpy.outoforder.deferred import Deferred, Pack, pending, plain, settled
from klorpy.outoforder.lanes import Lanes
from klorpy.outoforder.compile import flows
from klorpy.outoforder.mailbox import Letter, Mailbox, Waiter, settle
from klorpy.outoforder.rounds import Control, Rounds, Scope
from klorpy.outoforder.summary import Summaries
from klorpy.runtime.agreement import no_match, verify
from klorpy.runtime.commands import APPLY, AWAIT, CALL, RECEIVE, SEND, Command, Instance, Program
from klorpy.runtime.machine import Machine, first_cause

#: Rounds of a loop that may be under way at a role.
WINDOW: Final = 64
#: In the place of a site, in the name of a chain of tail calls.
_CHAIN: Final = (1 << 20) - 2


class Outside(Protocol):
    """What a walker needs of whoever runs it."""

    def send(self, letter: Letter) -> None:
        """A message leaves the role."""

    def tell(self, source: Role, target: Role, control: Control) -> None:
        """One role's window asks or answers another's."""

    def wait(self, walker: Walker, awaitable: Any, site: Site, result: Deferred) -> None:
        """Host code is awaited."""

    def check(self, role: Role, value: Any, cast: tuple[Role, ...], site: Site, token: Token) -> None:
        """A copy of an agreement, to be compared with the others'."""


class Step:
    """Something that the role can do now, or will be able to: host code, or a send. `number` is its place in the walk."""

    __slots__ = ("code", "frame", "inputs", "kind", "number", "op", "result", "run", "site", "token")

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

    def __lt__(self, other: Step) -> bool:
        return self.number < other.number


class Lambda:
    """A choreography that was made at this role, with the locals that it knows."""

    __slots__ = ("__name__", "cast", "env", "flow", "op", "pinned")

    def __init__(self, op: f.Lambda, frame: Frame, pinned: Mapping[Choreography, Definition]) -> None:
        self.pinned = pinned
        self.op = op
        self.flow = frame.flow
        self.cast = frame.cast
        self.env = dict(frame.env)
        self.__name__ = op.target.name
        if op.self_name is not None:
            self.env[op.self_name] = self

    def __call__(self, *args: Any) -> Program:
        """Its program in program order, for whoever calls it when the run is over."""
        outside = _Commands()
        role = self.cast[self.flow.index]
        walker = Walker(role, self.pinned, "program", outside)
        walker.begin(self.flow, self.op.body, {**self.env, **dict(zip(self.op.params, args, strict=True))}, self.cast)
        while True:
            walker.advance()
            while walker.ready:
                walker.perform(walker.take())
            if walker.error is not None:
                raise walker.error
            if outside.commands:
                yield outside.commands.popleft()
            elif outside.awaited:
                awaitable, site, result = outside.awaited.popleft()
                result.settle((yield AWAIT, awaitable, site))
            elif walker.done:
                return settled(walker.result)
            else:
                ((waiter,),) = walker.mailbox.waiting.values()
                value = yield RECEIVE, waiter.source, waiter.site
                walker.deliver(Letter(waiter.source, role, waiter.token, waiter.site, value))


class _Commands:
    """What a walker does outside, as commands."""

    def __init__(self) -> None:
        self.commands: deque[Command] = deque()
        self.awaited: deque[tuple[Any, Site, Deferred]] = deque()

    def send(self, letter: Letter) -> None:
        if letter.error is None:
            self.commands.append((SEND, letter.target, letter.value, letter.site))

    def tell(self, source: Role, target: Role, control: Control) -> None:
        """In program order nobody needs to know."""

    def wait(self, walker: Walker, awaitable: Any, site: Site, result: Deferred) -> None:
        self.awaited.append((awaitable, site, result))

    def check(self, role: Role, value: Any, cast: tuple[Role, ...], site: Site, token: Token) -> None:
        """The run that could compare is over."""


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


class Walk:
    """Frames, the innermost last, that are walked one after the other."""

    __slots__ = ("stack",)

    def __init__(self, frame: Frame) -> None:
        self.stack = [frame]


class Walker:
    """One role of one run. Begin with `start`; then `advance`, `perform` steps, and `deliver` what arrives."""

    def __init__(
        self, role: Role, pinned: Mapping[Choreography, Definition], order: str | None, outside: Outside, *,
        window: int = WINDOW, inline: bool = True, mailbox: Mailbox | None = None, audit: bool = False,
        patient: bool = False,
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
        self.mailbox = mailbox or Mailbox()
        self._machine = Machine(pinned)
        self.summaries = Summaries(pinned)
        self.ready: list[Step] = []
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

    # --- From outside ---

    def start(self, flow: f.Flow, cast: tuple[Role, ...], args: tuple[Any, ...], token: Token = START) -> None:
        self.begin(flow, flow.body, dict(zip(flow.params, args, strict=True)), cast, token)

    def begin(
        self, flow: f.Flow, block: f.Block, env: dict[Binding, Any], cast: tuple[Role, ...], token: Token = START
    ) -> None:
        """Begin with a block of a program, knowing `env`."""
        root = Scope(None, None, self._finished)
        frame = Frame(flow, block, env, token, cast, root, Lanes(), None, None, self._order_of(flow, "program"))
        frame.result = self.result
        self._walks.append(Walk(frame))

    def advance(self) -> None:
        """Walk as far as it goes."""
        while self._walks:
            if self.stopped:
                self._walks.clear()
                return
            self._walk(self._walks.popleft())
            if not self._walks and self._fenced and not self.outstanding:
                self._walks.append(self._fenced.pop())

    def perform(self, step: Step) -> None:
        """Take a step that is not, or no more, in `ready`, and walk on."""
        step.run(step)
        self.advance()

    def take(self) -> Step:
        """The ready step that comes first in the program."""
        return heapq.heappop(self.ready)

    def deliver(self, letter: Letter) -> None:
        self.mailbox.deliver(letter)
        self.advance()

    def hear(self, source: Role, control: Control) -> None:
        """Another role's window asks or answers."""
        match control:
            case ("want", loop, rounds):
                if loop in self._loops:
                    self._loops[loop].want(source, rounds)
                else:
                    self._wanted.setdefault(loop, {})[source] = rounds
            case ("have", loop, rounds):
                if loop in self._loops:
                    self._loops[loop].have(source, rounds)
            case ("over", loop):
                self._wanted.get(loop, {}).pop(source, None)
                if not self._wanted.get(loop, True):
                    del self._wanted[loop]
        self.advance()

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

    @property
    def stopped(self) -> bool:
        return self.error is not None and not self.patient

    def waiting(self) -> Waiter | None:
        """The receive that was passed first of those that still wait."""
        return next((waiter for class_ in self.mailbox.waiting.values() for waiter in class_), None)

    def arguments(self, step: Step) -> tuple[Any, ...]:
        """The values of the locals that the host code of a ready step names."""
        return tuple(map(plain, step.inputs))

    # --- Walking ---

    def _order_of(self, flow: f.Flow, around: str) -> str:
        """The order that a definition is walked in: that of the run, its own, or its caller's."""
        return self.order or flow.definition.options.get("order") or around

    def _walk(self, walk: Walk) -> None:
        stack = walk.stack
        while stack:
            frame = stack[-1]
            if frame.pc >= len(frame.block):
                if frame.outer:
                    frame.block, frame.pc = frame.outer.pop()
                else:
                    self._end(walk, frame, self._given(frame))
                continue
            op = frame.block[frame.pc]
            frame.pc += 1
            wait = self._op(op, frame, walk)
            if wait is None:
                continue
            if type(wait) is _Fence:
                frame.pc -= 1
                self._fenced.append(walk)
                return
            strict = frame.order == "program"
            if not (strict or wait.holds):
                continue
            if (wait.detach or strict) and self._may_part(walk):
                apart = self._detach(walk)
                if apart is not None:
                    self._when(wait, apart)
                    continue
            self._when(wait, walk)
            return

    def _when(self, wait: Wait, walk: Walk) -> None:
        """Go on with `walk` when what it waits for is there."""
        if wait.admit is not None:
            wait.admit(lambda: self._walks.append(walk))
        else:
            _join(wait.missing, lambda: self._walks.append(walk))

    def _may_part(self, walk: Walk) -> bool:
        """Whether some caller of the innermost frame need not wait for it."""
        return any(frame.order != "program" for frame in walk.stack[:-1])

    def _detach(self, walk: Walk) -> Walk | None:
        """Take the innermost frame off a walk, so that its caller can go on. None when a barrier in it forbids that."""
        blocks = [block for frame in walk.stack[1:] for block in self._blocks(frame)]
        touched, fenced = self.summaries.all(blocks)
        if fenced:
            return None
        # A caller in program order waits for what it calls, and is taken along.
        first = len(walk.stack) - 1
        while walk.stack[first - 1].order == "program":
            first -= 1
        apart = Walk(walk.stack[first])
        apart.stack = walk.stack[first:]
        del walk.stack[first:]
        outermost, caller = apart.stack[0], walk.stack[-1]
        self._set_apart(outermost, caller, touched)
        assert outermost.result is not None
        if outermost.target is not None:
            caller.env[outermost.target] = outermost.result
        return apart

    def _blocks(self, frame: Frame) -> list[f.Block]:
        """What is left of a frame, and perhaps more."""
        blocks = [frame.block, *(block for block, _ in frame.outer)]
        return blocks if frame.loop is None else [*blocks, frame.loop.body]

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
                _join(rest, ended)
                return
            kept.settle(None)
            self._close(scope)

        frame.result.then(ended)

    def _close(self, scope: Scope) -> None:
        self.outstanding -= 1
        if self._fenced and not self.outstanding:
            self._walks.append(self._fenced.pop())
        scope.close()

    def _given(self, frame: Frame) -> Any:
        return noop if frame.gives is None else frame.env.get(frame.gives, noop)

    def _end(self, walk: Walk, frame: Frame, value: Any) -> None:
        """A frame has its value."""
        walk.stack.pop()
        self._leave_loop(frame)
        self._leave_chain(frame)
        result, target, scope = frame.result, frame.target, frame.scope
        if result is not None:
            if result is self.result:
                result.settle(value)
                scope.close()
            else:
                result.settle(value)
        elif target is not None:
            walk.stack[-1].env[target] = value

    def _finished(self) -> None:
        self.done = True

    # --- Ops ---

    def _op(self, op: f.Op, frame: Frame, walk: Walk) -> Wait | _Fence | None:
        """Pass one op. Gives what program order would wait for, or what the frame itself has to."""
        match op:
            case f.Host():
                return self._host(op, frame)
            case f.Send():
                return self._send(op, frame)
            case f.Receive():
                return self._receive(op, frame)
            case f.Move(target, operand):
                frame.env[target] = self.value(operand, frame)
            case f.Branch() | f.Select():
                return self._choose(op, frame, walk)
            case f.Call() | f.Apply():
                return self._call(op, frame, walk)
            case f.Repeat():
                return self._repeat(op, frame, walk)
            case f.Again():
                return self._again(op, frame)
            case f.Leave():
                self._end(walk, frame, self._given(frame))
            case f.Return(operand):
                self._end(walk, frame, self.value(operand, frame))
            case f.Lambda():
                frame.env[op.target] = Lambda(op, frame, self._machine.pinned)
            case f.Await():
                return self._await(op, frame)
            case f.NoMatch():
                return self._no_match(op, frame)
            case f.Check():
                self._check(op, frame)
            case f.Verify():
                return self._verify(op, frame)
            case _:
                raise AssertionError(op)
        return None

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

    def _queue(self, step: Step, missing: list[Deferred]) -> Wait:
        self.outstanding += 1
        self.open[step.number] = step
        scope = step.frame.scope
        scope.open()

        def done() -> None:
            del self.open[step.number]
            self._close(scope)

        step.result.then(done)
        _join(missing, lambda: heapq.heappush(self.ready, step))
        return Wait([step.result])

    def _host(self, op: f.Host, frame: Frame) -> Wait | _Fence | None:
        code = op.code
        env = frame.env
        if code.stable:
            if op.target is not None:
                env[op.target] = code.function()
            return None
        if code.barrier and self.outstanding and frame.order != "program":
            return _FENCE
        inputs = tuple([plain(env.get(binding, noop)) for binding in code.inputs])
        missing = [v for v in inputs if type(v) is Deferred and not v.done]
        touched = code.touched
        if frame.order == "effects":
            missing += frame.lanes.before(touched)
        if not missing and self.inline and not any(type(v) is Deferred for v in inputs) and not self.stopped:
            # By far the commonest case, without a step to remember.
            try:
                value = code.function(*inputs)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # also SystemExit and a CancelledError end the role, not the caller
                self.fail(error, frame)
                value = Deferred()
                value.fail(error)
            if op.target is not None:
                env[op.target] = value
            return None
        step = Step("compute", self._number(), frame, self._compute, op)
        step.code, step.inputs = code, inputs
        if op.target is not None:
            env[op.target] = step.result
        if frame.order == "effects" and (touched is None or touched):
            frame.lanes.put(touched, step.result)
        return self._begin(step, missing)

    def _compute(self, step: Step) -> None:
        assert step.code is not None
        values = [plain(value) for value in step.inputs]
        failed = next((v.error for v in values if type(v) is Deferred), None)
        if failed is None and self.stopped:
            failed = self.error
        if failed is not None:
            step.result.fail(failed)
            return
        try:
            value = step.code.function(*values)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.fail(error, step.frame)
            step.result.fail(error)
        else:
            step.result.settle(value)

    def _send(self, op: f.Send, frame: Frame) -> Wait | None:
        value = self.value(op.operand, frame)
        self._note_sent(frame.scope, frame.cast[op.peer])
        step = Step("send", self._number(), frame, self._deliver, op)
        step.site, step.inputs = op.site, (value, frame.cast[op.peer])
        missing = [value] if type(value) is Deferred and not value.done else []
        return self._begin(step, missing)

    def _deliver(self, step: Step) -> None:
        value, target = step.inputs
        value = plain(value)
        error = value.error if type(value) is Deferred else None
        assert step.site is not None
        letter = Letter(self.role, target, step.token, step.site, None if error else value, error)
        try:
            self.outside.send(letter)
        except Exception as failure:
            self.fail(failure, step.frame)
            if error is None:
                self.outside.send(Letter(self.role, target, step.token, step.site, None, failure))
        step.result.settle(None)

    def _note_sent(self, scope: Scope | None, role: Role) -> None:
        while scope is not None:
            if scope.rounds is not None:
                scope.rounds.sent(role)
            scope = scope.parent

    def _receive(self, op: f.Receive, frame: Frame) -> Wait | None:
        source = frame.cast[op.peer]
        scope: Scope | None = frame.scope
        while scope is not None:
            if scope.rounds is not None:
                scope.rounds.senders.add(source)
            scope = scope.parent
        value = self._take(source, frame.token, op.site, frame.scope)
        if op.target is not None:
            frame.env[op.target] = value
        return Wait([value]) if type(value) is Deferred and not value.done else None

    def _take(self, source: Role, token: Token, site: Site, scope: Scope) -> Any:
        """The value of a message, Deferred while it is not here."""
        found = self.mailbox.receive(source, token, site)
        if isinstance(found, Letter):
            if found.error is None:
                return found.value
            self._suffer(found.error, source, site)
            value = Deferred()
            settle(value, found)
            return value
        value = found.value
        scope.open()
        self.outstanding += 1

        def arrived() -> None:
            if value.error is not None:
                self._suffer(value.error, source, site)
            self._close(scope)

        value.then(arrived)
        return value

    def _suffer(self, error: BaseException, source: Role, site: Site) -> None:
        if self.suffered is None:
            self.suffered = error, source, site

    # Choices.

    def _choose(self, op: f.Branch | f.Select, frame: Frame, walk: Walk) -> Wait | None:
        missing, failed = self._guards(op, frame)
        if failed is not None:
            return self._give_in(op, frame, walk, failed)
        if not missing:
            frame.outer.append((frame.block, frame.pc))
            frame.block, frame.pc = self._decide(op, frame), 0
            return None
        if op.tail or frame.order == "program":
            # All that is left of the frame depends on it.
            frame.pc -= 1
            return Wait(missing, holds=True, detach=op.tail)
        region = Frame(
            frame.flow, (op,), dict(frame.env), frame.token, frame.cast, frame.scope, frame.lanes, frame.up, frame.site,
            frame.order,
        )  # fmt: skip
        region.gives = op.target
        touched, fenced = self.summaries.of(region.block)
        if fenced:
            frame.pc -= 1
            return Wait(missing, holds=True)
        self._set_apart(region, frame, touched)
        if op.target is not None:
            frame.env[op.target] = region.result
        self._when(Wait(missing), Walk(region))
        return None

    def _guards(self, op: f.Branch | f.Select, frame: Frame) -> tuple[list[Deferred], BaseException | None]:
        """What a choice waits for; or the failure that takes the place of it."""
        values = [self.value(op.guard if isinstance(op, f.Branch) else op.subject, frame)]
        if isinstance(op, f.Select):
            for case in op.cases:
                if case.pattern is not None:
                    values += [plain(frame.env.get(binding, noop)) for binding in case.pattern.inputs]
        deferred = [value for value in values if type(value) is Deferred]
        missing = [value for value in deferred if not value.done]
        return missing, next((value.error for value in deferred if value.done), None) if not missing else None

    def _decide(self, op: f.Branch | f.Select, frame: Frame) -> f.Block:
        if isinstance(op, f.Branch):
            return op.then if self.value(op.guard, frame) else op.orelse
        subject = self.value(op.subject, frame)
        for case in op.cases:
            if case.constant is not None:
                if subject == case.constant.function():
                    return case.block
                continue
            assert case.pattern is not None
            captured = case.pattern.function(*(plain(frame.env.get(b, noop)) for b in case.pattern.inputs))
            if captured is not None:
                frame.env.update(zip(case.captures, captured, strict=True))
                return case.block
        return op.default

    def _give_in(self, op: f.Op, frame: Frame, walk: Walk, error: BaseException) -> None:
        """A choice, or what a call needs, has failed: what it would have given has too."""
        failed = Deferred()
        failed.fail(error)
        target = getattr(op, "target", None)
        if getattr(op, "tail", False):
            self._end(walk, frame, failed)
        elif target is not None:
            frame.env[target] = failed

    # Calls.

    def _call(self, op: f.Call | f.Apply, frame: Frame, walk: Walk) -> Wait | None:
        if isinstance(op, f.Apply):
            callee = self.value(op.callee, frame)
            if type(callee) is Deferred:
                if callee.done:
                    assert callee.error is not None
                    return self._give_in(op, frame, walk, callee.error)
                return self._call_later(op, frame, callee)
        else:
            callee = None
        if op.tail:
            uniform = isinstance(op, f.Call) and op.uniform
            wait = self._turn(frame, uniform)
            if wait is not None:
                frame.pc -= 1
                return wait
        try:
            self._enter(op, callee, frame, walk)
        except Exception as error:
            self.fail(error, frame)
            self._give_in(op, frame, walk, error)
        return None

    def _call_later(self, op: f.Apply, frame: Frame, callee: Deferred) -> Wait | None:
        """The choreography that is called is not known yet."""
        frame.pc -= 1
        if op.tail or frame.order == "program":
            return Wait([callee], holds=True, detach=op.tail)
        frame.pc += 1
        region = Frame(
            frame.flow, (op,), dict(frame.env), frame.token, frame.cast, frame.scope, frame.lanes, frame.up, frame.site,
            frame.order,
        )  # fmt: skip
        region.gives = op.target
        self._set_apart(region, frame, None)
        if op.target is not None:
            frame.env[op.target] = region.result
        self._when(Wait([callee]), Walk(region))
        return None

    def _enter(self, op: f.Call | f.Apply, callee: Any, frame: Frame, walk: Walk) -> None:
        args = tuple([self.value(arg, frame) for arg in op.args])
        token = child(frame.token, op.site.index)
        if isinstance(callee, Lambda):
            env = {**callee.env, **dict(zip(callee.op.params, args, strict=True))}
            flow, cast, block = callee.flow, callee.cast, callee.op.body
        else:
            if isinstance(op, f.Call):
                cast = tuple([frame.cast[place] for place in op.cast])
                definition = self._machine.definition(op.find(), op.site)
                index = op.index
            else:
                definition = self._machine.definition(callee.choreography, callee.site)
                cast, index = callee.cast, callee.index
            flow = flows(definition)[index]
            env = dict(zip(flow.params, args, strict=True))
            block = flow.body
        if op.tail:
            frame.flow, frame.block, frame.pc, frame.outer = flow, block, 0, []
            frame.env, frame.token, frame.cast = env, token, cast
            frame.order = self._order_of(flow, frame.order)
            if frame.chain is None:
                frame.start = token
            return
        inner = Frame(flow, block, env, token, cast, frame.scope, frame.lanes, frame, op.site, self._order_of(flow, frame.order))
        inner.target = op.target
        walk.stack.append(inner)

    # Loops.

    def _turn(self, frame: Frame, uniform: bool) -> Wait | None:
        """A frame is about to go on as the one that it calls at its end: one more round of a chain of calls."""
        if not uniform:
            self._leave_loop(frame)
            self._leave_chain(frame)
            return None
        if frame.chain is None:
            rounds = self._rounds(key(frame.start, _CHAIN))
            rounds.complete(0)
            base = frame.rounds[1].parent if frame.rounds is not None else frame.scope
            assert base is not None
            self._leave_loop(frame)
            frame.chain = (rounds, self._scope(base, rounds, 1))
            frame.scope = frame.chain[1]
            return None
        self._leave_loop(frame)
        rounds, scope = frame.chain
        self._leave_round(frame, scope)
        wait = self._admit(rounds, rounds.current + 1, frame.order == "program")
        if wait is not None:
            return wait
        frame.chain = (rounds, self._scope(frame.scope, rounds, rounds.current + 1))
        frame.scope = frame.chain[1]
        return None

    def _leave_round(self, frame: Frame, scope: Scope) -> None:
        """The walker is through with a round: nothing more will begin in it. (It may be, if it had to wait.)"""
        if frame.scope is scope:
            assert scope.parent is not None
            frame.scope = scope.parent
            scope.close()

    def _admit(self, rounds: Rounds, number: int, strict: bool) -> Wait | None:
        """What round `number` has to wait for."""
        if strict or rounds.admits(number):
            return None
        return Wait([], holds=True, detach=True, admit=lambda call: rounds.when_admitted(number, call))

    def _rounds(self, loop: bytes) -> Rounds:
        rounds = Rounds(loop, self.window, lambda role, control: self.outside.tell(self.role, role, control))
        self._loops[loop] = rounds
        for role, wanted in self._wanted.pop(loop, {}).items():
            rounds.want(role, wanted)
        return rounds

    def _scope(self, parent: Scope, rounds: Rounds, number: int) -> Scope:
        def complete() -> None:
            self.scopes -= 1
            rounds.complete(number)
            self._check_over(rounds)

        rounds.current = number
        self.scopes += 1
        self.most_scopes = max(self.most_scopes, self.scopes)
        return Scope(parent, rounds, complete)

    def _check_over(self, rounds: Rounds) -> None:
        if rounds.finished and self._loops.get(rounds.loop) is rounds:
            del self._loops[rounds.loop]
            rounds.farewell()

    def _repeat(self, op: f.Repeat, frame: Frame, walk: Walk) -> Wait | None:
        rounds = self._rounds(key(frame.token, op.site.index))
        if op.leaves:
            inner = Frame(
                frame.flow, op.body, dict(frame.env), frame.token, frame.cast, frame.scope, frame.lanes, frame.up, frame.site,
                frame.order,
            )  # fmt: skip
            inner.gives = inner.target = op.target
            walk.stack.append(inner)
            frame = inner
        else:
            self._leave_loop(frame)
        scope = self._scope(frame.scope, rounds, 0)
        frame.rounds, frame.scope, frame.loop = (rounds, scope), scope, op
        frame.token = child(frame.token, op.site.index)
        frame.block, frame.pc, frame.outer = op.body, 0, []
        return None

    def _again(self, op: f.Again, frame: Frame) -> Wait | None:
        assert frame.rounds is not None
        assert frame.loop is not None
        rounds, scope = frame.rounds
        self._leave_round(frame, scope)
        wait = self._admit(rounds, rounds.current + 1, frame.order == "program")
        if wait is not None:
            frame.pc -= 1
            return wait
        values = [self.value(operand, frame) for operand in op.operands]
        frame.env.update(zip(op.targets, values, strict=True))
        new = self._scope(frame.scope, rounds, rounds.current + 1)
        frame.rounds, frame.scope = (rounds, new), new
        frame.token = child(frame.token, frame.loop.site.index)
        frame.block, frame.pc, frame.outer = frame.loop.body, 0, []
        return None

    def _leave_loop(self, frame: Frame) -> None:
        if frame.rounds is not None:
            rounds, scope = frame.rounds
            frame.rounds = frame.loop = None
            rounds.over = True
            self._leave_round(frame, scope)
            self._check_over(rounds)

    def _leave_chain(self, frame: Frame) -> None:
        if frame.chain is not None:
            rounds, scope = frame.chain
            frame.chain = None
            rounds.over = True
            self._leave_round(frame, scope)
            self._check_over(rounds)

    # The rest.

    def _await(self, op: f.Await, frame: Frame) -> Wait | None:
        value = self.value(op.operand, frame)
        missing = [value] if type(value) is Deferred and not value.done else []
        if frame.order == "effects":
            missing += frame.lanes.before(None)
        result = Deferred()

        def begin(step: Step) -> None:
            awaitable = plain(value)
            if type(awaitable) is Deferred or self.stopped:
                error = awaitable.error if type(awaitable) is Deferred else self.error
                assert error is not None
                step.result.fail(error)
                return
            self.outside.wait(self, awaitable, op.site, result)
            result.then(lambda: self._awaited(step, result))

        step = Step("compute", self._number(), frame, begin, op)
        step.site = op.site
        if op.target is not None:
            frame.env[op.target] = step.result
        if frame.order == "effects":
            frame.lanes.put(None, step.result)
        return self._queue(step, missing)

    def _awaited(self, step: Step, result: Deferred) -> None:
        if result.error is not None:
            self.fail(result.error, step.frame)
            step.result.fail(result.error)
        else:
            step.result.settle(result.value)

    def _no_match(self, op: f.NoMatch, frame: Frame) -> Wait | None:
        value = self.value(op.subject, frame)
        step = Step("compute", self._number(), frame, self._no_clause, op)
        step.site, step.inputs = op.site, (value,)
        return self._begin(step, [value] if type(value) is Deferred and not value.done else [])

    def _no_clause(self, step: Step) -> None:
        assert step.site is not None
        error = no_match(plain(step.inputs[0]), step.site)
        self.fail(error, step.frame)
        step.result.fail(error)

    def _check(self, op: f.Check, frame: Frame) -> None:
        if not self.audit:
            return
        value, cast, token = self.value(op.operand, frame), frame.cast, frame.token

        def compare() -> None:
            found = plain(value)
            if type(found) is Deferred:
                return
            try:
                self.outside.check(self.role, found, cast, op.site, token)
            except Exception as error:
                self.fail(error, frame)

        if type(value) is Deferred:
            value.then(compare)
        else:
            compare()

    def _verify(self, op: f.Verify, frame: Frame) -> Wait | None:
        roles = tuple(frame.cast[place] for place in op.roles)
        checker = None if op.checker is None else frame.cast[op.checker]
        value = self.value(op.operand, frame)
        result = Deferred()
        scope = frame.scope
        scope.open()
        self.outstanding += 1
        result.then(lambda: self._close(scope))
        program = _Beside(self, frame, op.site, result)
        token = child(frame.token, op.site.index)

        def begin() -> None:
            found = plain(value)
            if type(found) is Deferred:
                assert found.error is not None
                result.fail(found.error)
            else:
                program.start(verify(self.role, roles, checker, found, op.site), token)

        if type(value) is Deferred:
            value.then(begin)
        else:
            begin()
        return None if result.done else Wait([result])


class _Beside:
    """A program of the runtime's own that runs beside the walk: the check of an agreement."""

    def __init__(self, walker: Walker, frame: Frame, site: Site, result: Deferred) -> None:
        self.walker = walker
        self.frame = frame
        self.scope = frame.scope
        self.site = site
        self.result = result
        self.stack: list[tuple[Generator[Any, Any, Any], Token]] = []

    def start(self, program: Generator[Any, Any, Any], token: Token) -> None:
        self.stack.append((program, token))
        self._resume(None)

    def _resume(self, value: Any) -> None:
        walker = self.walker
        while True:
            program, token = self.stack[-1]
            try:
                command = program.send(value)
            except StopIteration as stop:
                self.stack.pop()
                value = stop.value
                if not self.stack:
                    self.result.settle(value)
                    return
                continue
            except Exception as error:
                walker.fail(error, self.frame)
                self.result.fail(error)
                return
            value = None
            if command[0] == SEND:
                walker.outside.send(Letter(walker.role, command[1], token, command[3], command[2]))
            elif command[0] == RECEIVE:
                value = walker._take(command[1], token, command[2], self.scope)
                if type(value) is Deferred:
                    value.then(lambda value=value: self._arrived(value))  # type: ignore[misc]
                    return
            else:
                assert command[0] in (CALL, APPLY)
                self.stack.append((command[1](*command[2]), child(token, self.site.index)))

    def _arrived(self, value: Deferred) -> None:
        if value.error is not None:
            self.result.fail(value.error)
        else:
            self._resume(value.value)


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


class _Fence:
    """The op waits for all that was begun before it."""

    __slots__ = ()


_FENCE: Final = _Fence()


def _join(missing: list[Deferred], call: Callable[[], None]) -> None:
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


__all__ = ["WINDOW", "Outside", "Step", "Walker", "pending", "settled"]
