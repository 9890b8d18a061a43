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
from collections.abc import Callable
from typing import Any, Final

from klorpy.core.choreography import Site
from klorpy.core.endpoint import Binding
from klorpy.core.keys import START, Token, child
from klorpy.core.types import Role
from klorpy.core.values import noop
from klorpy.outoforder import flow as f
from klorpy.outoforder.actions import Actions
from klorpy.outoforder.compile import flows
from klorpy.outoforder.deferred import Deferred, plain, settled
from klorpy.outoforder.lanes import Lanes
from klorpy.outoforder.mailbox import Letter
from klorpy.outoforder.rounds import Control, Scope
from klorpy.outoforder.state import WINDOW, Fence, Frame, Lambda, Outside, Step, Wait, Walk
from klorpy.runtime.commands import AWAIT, RECEIVE, SEND, Command, Program


class Walker(Actions):
    """One role of one run. Begin with `start`; then `advance`, `perform` steps, and `deliver` what arrives."""

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
        return heapq.heappop(self.ready)[1]

    def deliver(self, letter: Letter) -> None:
        self._arrived(letter)
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
            wait = _OPS[type(op)](self, op, frame, walk)
            if wait is None:
                continue
            if isinstance(wait, Fence):
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

    def _move(self, op: f.Move, frame: Frame, _: Walk) -> None:
        frame.env[op.target] = self.value(op.operand, frame)

    def _leave(self, op: f.Leave, frame: Frame, walk: Walk) -> None:
        self._end(walk, frame, self._given(frame))

    def _return(self, op: f.Return, frame: Frame, walk: Walk) -> None:
        self._end(walk, frame, self.value(op.operand, frame))

    def _lambda(self, op: f.Lambda, frame: Frame, _: Walk) -> None:
        frame.env[op.target] = Lambda(op, frame, self._program)

    def _program(self, closure: Lambda, args: tuple[Any, ...]) -> Program:
        """The program of a choreography that was made at this role, in program order."""
        outside = _Commands()
        role = closure.cast[closure.flow.index]
        walker = Walker(role, self.pinned, "program", outside)
        env = {**closure.env, **dict(zip(closure.op.params, args, strict=True))}
        walker.begin(closure.flow, closure.op.body, env, closure.cast)
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

    def _choose(self, op: f.Branch | f.Select, frame: Frame, walk: Walk) -> Wait | None:
        if type(op) is f.Branch:
            guard = self.value(op.guard, frame)
            if type(guard) is not Deferred:
                frame.outer.append((frame.block, frame.pc))
                frame.block, frame.pc = op.then if guard else op.orelse, 0
                return None
        missing, failed = self._guards(op, frame)
        if failed is not None:
            self._give_in(op, frame, walk, failed)
            return None
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

    def _call(self, op: f.Call | f.Apply, frame: Frame, walk: Walk) -> Wait | None:
        if isinstance(op, f.Apply):
            callee = self.value(op.callee, frame)
            if type(callee) is Deferred:
                if callee.done:
                    assert callee.error is not None
                    self._give_in(op, frame, walk, callee.error)
                    return None
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

    def wait(self, role: Role, awaitable: Any, site: Site, result: Deferred) -> None:
        self.awaited.append((awaitable, site, result))

    def check(self, role: Role, value: Any, cast: tuple[Role, ...], site: Site, token: Token) -> None:
        """The run that could compare is over."""


#: What each kind of op does: gives what program order would wait for, or what the frame itself has to. (A `match` would try one class after the other, for each op.)
_OPS: Final[dict[type, Callable[[Walker, Any, Frame, Walk], Wait | Fence | None]]] = {
    f.Host: Walker._host,
    f.Send: Walker._send,
    f.Receive: Walker._receive,
    f.Move: Walker._move,
    f.Branch: Walker._choose,
    f.Select: Walker._choose,
    f.Call: Walker._call,
    f.Apply: Walker._call,
    f.Repeat: Walker._repeat,
    f.Again: Walker._again,
    f.Leave: Walker._leave,
    f.Return: Walker._return,
    f.Lambda: Walker._lambda,
    f.Await: Walker._await,
    f.NoMatch: Walker._no_match,
    f.Check: Walker._check,
    f.Verify: Walker._verify,
}

__all__ = ["WINDOW", "Outside", "Step", "Walker"]
